//! Names that hosts are found under. (envoy: Cluster.type STRICT_DNS, LOGICAL_DNS)
//!
//! Each name of a cluster has a task of its own on the control runtime, which resolves it again and again (`watch`). What all names resolved
//! to last is the cluster's hosts (`names`). A failure changes nothing: the last good answer stays.

mod names;
mod refresh;
mod resolver;
#[cfg(test)]
mod tests;
mod watch;

use std::net::SocketAddr;

use super::host::HostSpec;

pub use refresh::Refresh;
pub use resolver::Resolver;
pub use watch::watch;

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

impl Names {
    /// All names, locality by locality.
    fn iter(&self) -> impl Iterator<Item = &Name> {
        self.localities.iter().flat_map(|locality| &locality.names)
    }
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
