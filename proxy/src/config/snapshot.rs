//! The configuration in force: immutable, replaced as a whole.

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
}
