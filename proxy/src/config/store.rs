//! Everything that was said, and what became of it. Owned by the control runtime.
//!
//! [`apply`](super::apply) takes updates in; [`warming`](super::warming) brings into force what is complete, as the next [`Snapshot`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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
use super::source::Source;
use super::unknown::UnknownFields;
use crate::http::route::RouteTable;
use crate::listener::Listener;
use crate::telemetry::metrics::{ClusterManagerStats, ClusterStats, ListenerManagerStats};
use crate::tls::Secret;

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
    /// Secrets by name.
    pub secrets: BTreeMap<Arc<str>, Slot<Secret>>,
    /// The clusters of a service.
    pub(super) services: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// What was not heard of in time.
    pub(super) given_up: HashSet<(ResourceType, Arc<str>)>,
    /// The version of the last update of each type.
    pub versions: HashMap<ResourceType, Arc<str>>,
    /// What held versions need, and how many of them.
    pub(super) needs: HashMap<(ResourceType, Arc<str>), Vec<(Need, usize)>>,
    /// Resources that are needed more, less or elsewhere since this was last asked.
    touched: HashSet<(ResourceType, Arc<str>)>,
    /// Clusters and routes that were taken in since this was last asked, and were not there before.
    pub(super) taken: HashSet<(ResourceType, Arc<str>)>,
    /// Clusters that nobody was told about yet.
    pub(super) new_clusters: Vec<Arc<ClusterHandle>>,
    pub(super) pending: Pending,
    /// The snapshot that workers read.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) cluster_stats: ClusterManagerStats,
    pub(super) listener_stats: ListenerManagerStats,
    pub(super) unknown: UnknownFields,
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
        let unknown = UnknownFields::new(environment.registry.stats("server."));
        Self {
            environment,
            clusters: BTreeMap::new(),
            listeners: BTreeMap::new(),
            routes: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            secrets: BTreeMap::new(),
            services: HashMap::new(),
            given_up: HashSet::new(),
            versions: HashMap::new(),
            needs: HashMap::new(),
            touched: HashSet::new(),
            taken: HashSet::new(),
            new_clusters: Vec::new(),
            pending: Pending::default(),
            snapshot,
            cluster_stats,
            listener_stats,
            unknown,
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
            ResourceType::Secret => self.secrets.get(name).is_some_and(|s| !s.is_vacant()),
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

    /// Resources about which [`needs_of`](Self::needs_of) may have another answer since this was last asked.
    pub fn take_touched(&mut self) -> HashSet<(ResourceType, Arc<str>)> {
        std::mem::take(&mut self.touched)
    }

    /// Clusters and routes that were taken in, in a form that was not there before, since this was last asked.
    pub fn take_taken(&mut self) -> HashSet<(ResourceType, Arc<str>)> {
        std::mem::take(&mut self.taken)
    }

    /// From where a resource is needed now.
    pub fn needs_of(&self, kind: ResourceType, name: &Arc<str>) -> impl Iterator<Item = &Need> {
        self.needs.get(&(kind, name.clone())).into_iter().flatten().map(|(need, _)| need)
    }

    /// Clusters of a service that are in use: name, scope of counters, and counters.
    pub fn built_of_service(
        &self,
        service: &Arc<str>,
    ) -> impl Iterator<Item = (Arc<str>, String, ClusterStats)> {
        let users = self.services.get(service).into_iter().flatten();
        let slots = users.filter_map(|name| Some((name, self.clusters.get(name)?)));
        slots.filter_map(|(name, slot)| {
            let built = slot.versions().find_map(|version| version.value.built())?;
            let counters = &built.counters;
            Some((name.clone(), counters.prefix().to_owned(), counters.stats.clone()))
        })
    }

    /// The names of what is needed of a type, in order.
    pub(super) fn needed(&self, kind: ResourceType) -> impl Iterator<Item = &Arc<str>> {
        let of_kind = self.needs.keys().filter(move |(of, _)| *of == kind);
        let names: BTreeSet<_> = of_kind.map(|(_, name)| name).collect();
        names.into_iter()
    }

    /// True if a resource is needed.
    pub(super) fn is_needed(&self, kind: ResourceType, name: &Arc<str>) -> bool {
        self.needs.contains_key(&(kind, name.clone()))
    }

    /// Needs a resource once more.
    pub(super) fn hold(&mut self, need: Need) {
        let key = (need.kind, need.name.clone());
        let held = self.needs.entry(key.clone()).or_default();
        if let Some((_, count)) = held.iter_mut().find(|(held, _)| *held == need) {
            *count += 1;
        } else {
            held.push((need, 1));
            self.touched.insert(key);
        }
    }

    /// Needs a resource once less, and forgets it if that was the last time.
    pub(super) fn release(&mut self, need: &Need) {
        let key = (need.kind, need.name.clone());
        let Some(held) = self.needs.get_mut(&key) else { return };
        for (_, count) in held.iter_mut().filter(|(held, _)| held == need) {
            *count -= 1;
        }
        let before = held.len();
        held.retain(|(_, count)| *count > 0);
        if held.len() == before {
            return;
        }
        self.touched.insert(key.clone());
        if !held.is_empty() {
            return;
        }
        self.needs.remove(&key);
        self.given_up.remove(&key);
        self.unknown.forget(need.kind, &need.name);
        match need.kind {
            ResourceType::Routes => {
                self.routes.remove(&need.name);
                self.pending.routes.insert(need.name.clone());
            }
            ResourceType::Secret => {
                self.secrets.remove(&need.name);
                self.environment.secrets.set(&need.name, None);
            }
            ResourceType::Cluster | ResourceType::Endpoints | ResourceType::Listener => {}
        }
    }

    /// True if everything of this is there, or was given up. Endpoints are their cluster's business.
    pub(super) fn has_all(&self, needs: &[Need]) -> bool {
        needs.iter().all(|need| {
            let is_there = match need.kind {
                ResourceType::Routes | ResourceType::Secret => self.holds(need.kind, &need.name),
                ResourceType::Cluster | ResourceType::Endpoints | ResourceType::Listener => true,
            };
            is_there || self.given_up.contains(&(need.kind, need.name.clone()))
        })
    }

    /// Names a server that a subscription needs and that is no cluster of the bootstrap, and who needs it.
    /// (envoy: "must be a statically defined non-EDS cluster")
    pub(super) fn unknown_server<'a>(&self, needs: &'a [Need]) -> Option<&'a Need> {
        needs.iter().find(|need| match &need.from.source {
            Source::Server(server) => !self.is_of_bootstrap(&server.cluster),
            Source::Ads | Source::File(_) => false,
        })
    }

    /// True for a cluster of the bootstrap.
    #[must_use]
    pub fn is_of_bootstrap(&self, cluster: &str) -> bool {
        self.clusters.get(cluster).is_some_and(|slot| {
            let mut versions = slot.versions();
            slot.origin == Origin::Static && versions.all(|v| v.value.service_name.is_none())
        })
    }

    /// The first subscription of what is held to a server that the bootstrap does not have.
    #[must_use]
    pub fn first_unknown_server(&self) -> Option<(&Arc<str>, &Arc<str>)> {
        let mut all = self.needs.values().flatten().map(|(need, _)| need);
        all.find_map(|need| match &need.from.source {
            Source::Server(server) if !self.is_of_bootstrap(&server.cluster) => {
                Some((&need.name, &server.cluster))
            }
            Source::Server(_) | Source::Ads | Source::File(_) => None,
        })
    }
}
