//! Hosts that are where requests were going before they were redirected here: made when they are first asked for, forgotten when nobody uses
//! them. (envoy: Cluster.DiscoveryType.ORIGINAL_DST)
//!
//! The table is for all workers; each keeps what it has met (`pool`), so that a request costs no lock. Clients choose the addresses, so the
//! table is bounded.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outrigger_policy::head::{Name, RequestHead};
use rustc_hash::FxHashMap;

use super::cluster::Cluster;
use super::host::{EdsHealth, Host, HostSpec, Locality};
use crate::telemetry::metrics::ClusterStat;
use crate::upstream::transport::Labels;

/// Hosts of one cluster at once: more than a proxy can have connections to.
const MOST_HOSTS: usize = 65_536;

/// What the configuration says of them.
#[derive(Clone, Debug)]
pub struct OriginalDestinations {
    /// A host that nobody used for one to two such times is forgotten. (envoy: cleanup_interval)
    pub cleanup_interval: Duration,
    /// The port that is connected to instead. (envoy: OriginalDstLbConfig.upstream_port_override)
    pub port: Option<u16>,
    /// A header of requests that may name the address. (envoy: OriginalDstLbConfig.use_http_header, http_header_name)
    pub header: Option<Name>,
}

/// See the module.
#[derive(Debug)]
pub struct Destinations {
    settings: OriginalDestinations,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    hosts: FxHashMap<SocketAddr, Arc<Host>>,
    cleaned: Instant,
}

impl Destinations {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(settings: OriginalDestinations) -> Self {
        let table = Table { hosts: FxHashMap::default(), cleaned: Instant::now() };
        Self { settings, table: Mutex::new(table) }
    }

    /// Where a request was going: where it says itself, or where its connection was going.
    #[must_use]
    pub fn of_request(
        &self,
        cluster: &Cluster,
        head: &RequestHead,
        of_connection: Option<SocketAddr>,
    ) -> Option<SocketAddr> {
        let said = self.settings.header.as_ref().and_then(|name| head.headers.get_name(name));
        let Some(said) = said else { return of_connection };
        let address = std::str::from_utf8(said).ok().and_then(|text| text.parse().ok());
        if address.is_none() {
            cluster.counters.stats.inc(ClusterStat::original_dst_host_invalid);
        }
        address.or(of_connection)
    }

    /// Where requests for `destination` are sent.
    #[must_use]
    pub const fn target(&self, mut destination: SocketAddr) -> SocketAddr {
        if let Some(port) = self.settings.port {
            destination.set_port(port);
        }
        destination
    }

    /// The host at an address, made if need be; `None` if there are too many.
    #[must_use]
    pub fn host(&self, cluster: &Cluster, address: SocketAddr) -> Option<Arc<Host>> {
        let mut table = self.table();
        if let Some(host) = table.hosts.get(&address) {
            host.touch();
            return Some(host.clone());
        }
        if cluster.is_retired() {
            return None;
        }
        if table.hosts.len() >= MOST_HOSTS {
            Self::clean(&mut table, cluster);
            if table.hosts.len() >= MOST_HOSTS {
                return None;
            }
        }
        let transports = &cluster.settings.transports;
        let spec = HostSpec {
            address: address.into(),
            additional_addresses: Box::default(),
            hostname: Box::default(),
            locality: Arc::new(Locality::default()),
            transport: transports.select(&Labels::new(), &Labels::new()).clone(),
            weight: 1,
            priority: 0,
            health: EdsHealth::Unknown,
            workload: None,
        };
        let host = Host::new(spec, |_| None);
        table.hosts.insert(address, host.clone());
        count(cluster, &table);
        Some(host)
    }

    /// All hosts that are known now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Host>> {
        self.table().hosts.values().cloned().collect()
    }

    /// Forgets hosts that nobody uses, if it is time for that. Every worker asks now and then.
    pub fn expire(&self, cluster: &Cluster) {
        let mut table = self.table();
        if table.cleaned.elapsed() >= self.settings.cleanup_interval {
            Self::clean(&mut table, cluster);
        }
    }

    /// Forgets all hosts: the cluster is gone.
    pub(super) fn retire(&self) {
        for (_, host) in self.table().hosts.drain() {
            host.retire();
        }
    }

    fn clean(table: &mut Table, cluster: &Cluster) {
        table.cleaned = Instant::now();
        let before = table.hosts.len();
        table.hosts.retain(|_, host| {
            let is_used = host.take_use();
            if !is_used {
                host.retire();
            }
            is_used
        });
        if table.hosts.len() != before {
            count(cluster, table);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Another number of hosts.
fn count(cluster: &Cluster, table: &Table) {
    let stats = &cluster.counters.stats;
    let hosts = table.hosts.len() as u64;
    stats.set(ClusterStat::membership_total, hosts);
    stats.set(ClusterStat::membership_healthy, hosts);
    stats.inc(ClusterStat::membership_change);
}
