//! Names that hosts are found under. (envoy: Cluster.type STRICT_DNS, LOGICAL_DNS)

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;

use super::host::HostSpec;
use crate::config::ClusterHandle;
use crate::control::Control;

/// The names of a cluster, and how they are resolved.
#[derive(Clone, Debug)]
pub struct Names {
    /// Names by locality.
    pub localities: Vec<NameLocality>,
    /// 100 × (1 + spare capacity). (envoy: Policy.overprovisioning_factor)
    pub overprovisioning_percent: u32,
    /// A priority's health is that of its weight. (envoy: Policy.weighted_priority_health)
    pub weighted_priority_health: bool,
    /// All addresses of a name are one host. (envoy: LOGICAL_DNS)
    pub is_logical: bool,
    /// When they are resolved again.
    pub refresh: Refresh,
    /// Which addresses are wanted.
    pub family: Family,
    /// Who is asked.
    pub servers: Servers,
}

/// Names of one locality within one priority.
#[derive(Clone, Debug)]
pub struct NameLocality {
    /// Its share of load, if localities are weighted.
    pub weight: u32,
    /// 0 is the most preferred.
    pub priority: u32,
    /// Its names.
    pub names: Vec<Name>,
}

/// One name.
#[derive(Clone, Debug)]
pub struct Name {
    /// The name, or an IP address.
    pub name: Box<str>,
    /// What its hosts are like; of the address only the port is theirs.
    pub like: HostSpec,
}

/// When a name is resolved again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// After an answer. (envoy: dns_refresh_rate)
    pub interval: Duration,
    /// Not sooner than this, whatever the answer says. (envoy: dns_min_refresh_rate)
    pub least: Duration,
    /// After the first failure, and at most; without it as after an answer. (envoy: dns_failure_refresh_rate)
    pub failure: Option<(Duration, Duration)>,
    /// After as long as the answer is good for. (envoy: respect_dns_ttl)
    pub respects_ttl: bool,
    /// Up to this is added. (envoy: dns_jitter)
    pub jitter: Duration,
}

/// Which addresses of a name are wanted. (envoy: Cluster.DnsLookupFamily)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv6; IPv4 if there is none.
    Auto,
    /// IPv4.
    V4Only,
    /// IPv6.
    V6Only,
    /// IPv4; IPv6 if there is none.
    V4Preferred,
    /// Both.
    All,
}

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Servers {
    /// Their addresses; without any those of the machine.
    pub addresses: Vec<SocketAddr>,
    /// Not by UDP.
    pub uses_tcp: bool,
    /// Names are complete: no domain is tried behind them.
    pub is_absolute: bool,
}

/// Resolves names.
#[derive(Default)]
pub struct Resolver;

/// Begins to resolve the names of a cluster, if it has any.
pub fn watch(_: &Resolver, _: &Arc<ClusterHandle>, _: &Weak<RefCell<Control>>) {}
