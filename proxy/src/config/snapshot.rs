//! The configuration in force: immutable, replaced as a whole.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;

use super::cluster_handle::ClusterHandle;
use crate::http::route::RouteTable;
use crate::listener::Listener;
use crate::upstream::Cluster;

/// Everything that a worker looks up by name.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with every change.
    pub generation: u64,
    /// Clusters by name.
    pub clusters: HashMap<Arc<str>, Arc<ClusterHandle>>,
    /// Route configurations by name, of those that are not part of a listener.
    pub routes: HashMap<Arc<str>, Arc<RouteTable>>,
    /// Listeners by name.
    pub listeners: HashMap<Arc<str>, Arc<Listener>>,
    /// Listeners by the addresses that they are known by, bound or not.
    pub listeners_at: HashMap<SocketAddr, Arc<Listener>>,
}

impl Snapshot {
    /// The cluster of this name, built if nobody has used it before.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<Arc<Cluster>> {
        Some(self.clusters.get(name)?.cluster().clone())
    }

    /// The route configuration of this name.
    #[must_use]
    pub fn route_table(&self, name: &str) -> Option<Arc<RouteTable>> {
        self.routes.get(name).cloned()
    }

    /// The listener of this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<Arc<Listener>> {
        self.listeners.get(name).cloned()
    }

    /// The listener of this address, or of all addresses and this port.
    #[must_use]
    pub fn listener_at(&self, address: SocketAddr) -> Option<Arc<Listener>> {
        let all: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let at = |address| self.listeners_at.get(&address);
        at(address).or_else(|| at(SocketAddr::new(all, address.port()))).cloned()
    }

    /// Brings the addresses of listeners up to date with their names. Of two listeners of one address the first by name is found.
    pub(super) fn index_listeners(&mut self) {
        self.listeners_at.clear();
        for listener in self.listeners.values() {
            for address in &listener.addresses {
                let Some(address) = address.socket() else { continue };
                let held = self.listeners_at.entry(address).or_insert_with(|| listener.clone());
                if listener.name < held.name {
                    *held = listener.clone();
                }
            }
        }
    }
}
