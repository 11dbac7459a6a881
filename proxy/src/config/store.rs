//! Everything that was said, and what became of it. Owned by the control runtime.
//!
//! [`apply`](super::apply) takes updates in; [`warming`](super::warming) brings into force what is complete, as the next [`Snapshot`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use outrigger_xds::ResourceType;

use super::cluster_handle::ClusterHandle;
use super::cx::Need;
use super::environment::Environment;
use super::slot::{Origin, Refused, Slot, Version};
use super::snapshot::Snapshot;
use crate::http::route::RouteTable;
use crate::listener::Listener;
use crate::telemetry::metrics::{ClusterManagerStats, ListenerManagerStats};

/// See the module.
pub struct Store {
    pub(super) environment: Arc<Environment>,
    /// Clusters by name.
    pub clusters: BTreeMap<Arc<str>, Slot<ClusterHandle>>,
    /// Listeners by name.
    pub listeners: BTreeMap<Arc<str>, Slot<Listener>>,
    /// Route configurations by name.
    pub routes: BTreeMap<Arc<str>, Slot<RouteTable>>,
    /// Endpoints by the name of their service; the cluster translates them.
    pub endpoints: BTreeMap<Arc<str>, Slot<()>>,
    /// The clusters of a service.
    pub(super) services: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// What was not heard of in time.
    pub(super) given_up: HashSet<(ResourceType, Arc<str>)>,
    /// The version of the last update of each type.
    pub versions: HashMap<ResourceType, Arc<str>>,
    /// What held versions need, and how many of them.
    pub(super) needs: HashMap<(ResourceType, Arc<str>), Vec<(Need, usize)>>,
    /// Clusters that nobody was told about yet.
    pub(super) new_clusters: Vec<Arc<ClusterHandle>>,
    pub(super) pending: Pending,
    /// The snapshot that workers read.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) cluster_stats: ClusterManagerStats,
    pub(super) listener_stats: ListenerManagerStats,
}

/// Names that were touched since things last settled.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) clusters: HashSet<Arc<str>>,
    pub(super) listeners: HashSet<Arc<str>>,
    pub(super) routes: HashSet<Arc<str>>,
}

impl Store {
    /// An empty configuration; `snapshot` is where it will be published.
    #[must_use]
    pub fn new(environment: Arc<Environment>, snapshot: Arc<ArcSwap<Snapshot>>) -> Self {
        let cluster_stats = environment.registry.stats("cluster_manager.");
        let listener_stats = environment.registry.stats("listener_manager.");
        Self {
            environment,
            clusters: BTreeMap::new(),
            listeners: BTreeMap::new(),
            routes: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            services: HashMap::new(),
            given_up: HashSet::new(),
            versions: HashMap::new(),
            needs: HashMap::new(),
            new_clusters: Vec::new(),
            pending: Pending::default(),
            snapshot,
            cluster_stats,
            listener_stats,
        }
    }

    /// What lasts.
    #[must_use]
    pub const fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    /// Looks at a cluster when things settle next.
    pub fn touch_cluster(&mut self, name: &Arc<str>) {
        self.pending.clusters.insert(name.clone());
    }

    /// True if a resource of this name is in force or waits.
    #[must_use]
    pub fn holds(&self, kind: ResourceType, name: &str) -> bool {
        match kind {
            ResourceType::Cluster => self.clusters.get(name).is_some_and(|s| !s.is_vacant()),
            ResourceType::Listener => self.listeners.get(name).is_some_and(|s| !s.is_vacant()),
            ResourceType::Routes => self.routes.get(name).is_some_and(|s| !s.is_vacant()),
            ResourceType::Endpoints => self.endpoints.get(name).is_some_and(|s| !s.is_vacant()),
            ResourceType::Secret => false,
        }
    }

    /// Takes a listener out of force whose address cannot be had; true if it is the bootstrap's.
    pub fn cannot_bind(&mut self, name: &str, reason: &dyn fmt::Display) -> bool {
        let Some(slot) = self.listeners.get_mut(name) else { return false };
        if let Some(version) = slot.active.take() {
            let Version { resource, .. } = version;
            slot.refused =
                Some(Refused { resource, at: SystemTime::now(), reason: reason.to_string() });
        }
        slot.origin == Origin::Static
    }

    /// What is needed now, of all that is held.
    pub fn needs(&self) -> impl Iterator<Item = &Need> {
        self.needs.values().flatten().map(|(need, _)| need)
    }
}
