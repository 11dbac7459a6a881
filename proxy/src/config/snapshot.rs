//! The configuration in force: immutable, replaced as a whole.

use std::fmt;
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;

use crate::http::route::RouteTable;
use crate::listener::Listener;
use crate::upstream::Cluster;

/// Everything that a worker looks up by name.
#[derive(Debug, Default)]
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

/// A cluster that may never be used: validated when it arrived, built at its first use.
pub struct ClusterHandle {
    /// Its name.
    pub name: Arc<str>,
    build: Box<dyn Fn() -> Arc<Cluster> + Send + Sync>,
    built: OnceLock<Arc<Cluster>>,
}

impl ClusterHandle {
    /// `build` makes the cluster; it was called once before, to validate, and cannot fail.
    #[must_use]
    pub fn new(name: Arc<str>, build: Box<dyn Fn() -> Arc<Cluster> + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { name, build, built: OnceLock::new() })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<Cluster> {
        self.built.get_or_init(&self.build)
    }

    /// The cluster, if it is in use.
    #[must_use]
    pub fn built(&self) -> Option<&Arc<Cluster>> {
        self.built.get()
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_built = self.built.get().is_some();
        f.debug_struct("ClusterHandle").field("name", &self.name).field("built", &is_built).finish()
    }
}
