//! Brings into force what is complete: make before break.
//!
//! A cluster waits for its endpoints, a listener for its routes; the versions that they replace serve until then. What stays the same stays the same
//! object, and everything that changed is published at once, as the next snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrigger_xds::ResourceType;

use super::cluster_handle::ClusterHandle;
use super::cx::Need;
use super::slot::{Slot, Version};
use super::store::{Pending, Store};
use crate::listener::Listener;
use crate::telemetry::metrics::{ClusterManagerStat, ListenerManagerStat};
use crate::upstream::host_set::Assignment;

/// What has changed and is for others to act on.
#[derive(Debug, Default)]
pub struct Settled {
    /// Listeners that are new or have changed: to be bound.
    pub listeners: Vec<Arc<Listener>>,
    /// Names of listeners that are gone.
    pub removed_listeners: Vec<Arc<str>>,
    /// Clusters that are new: names may have to be resolved, hosts watched.
    pub clusters: Vec<Arc<ClusterHandle>>,
}

impl Store {
    /// Brings into force what is complete. Listeners only if `opens_listeners`: at the start all of them open together.
    pub fn settle(&mut self, opens_listeners: bool) -> Settled {
        let clusters = std::mem::take(&mut self.new_clusters);
        let mut settled = Settled { clusters, ..Settled::default() };
        let Pending { clusters, listeners, routes } = std::mem::take(&mut self.pending);
        let mut next = None;
        let mut retired = Vec::new();
        for name in clusters {
            self.settle_cluster(&name, &mut next, &mut retired);
        }
        for name in routes {
            let next = next.get_or_insert_with(|| (**self.snapshot.load()).clone());
            match self.routes.get(&name).and_then(|slot| slot.active.as_ref()) {
                Some(version) => next.routes.insert(name.clone(), version.value.clone()),
                None => next.routes.remove(&name),
            };
            // Listeners may have waited for it.
            self.touch_users(ResourceType::Routes, &name);
        }
        let mut waiting = std::mem::take(&mut self.pending.listeners);
        waiting.extend(listeners);
        if !opens_listeners {
            self.pending.listeners = waiting;
        } else {
            for name in waiting {
                self.settle_listener(&name, &mut next, &mut settled);
            }
        }
        if let Some(mut next) = next {
            if !settled.listeners.is_empty() || !settled.removed_listeners.is_empty() {
                next.index_listeners();
            }
            next.generation += 1;
            self.retired.push(self.snapshot.swap(Arc::new(next)));
        }
        // Only now does nobody find them any more.
        for version in retired {
            version.value.retire();
            self.drop_cluster(&version.resource.name.clone(), version);
        }
        self.count();
        settled
    }

    fn settle_cluster(
        &mut self,
        name: &Arc<str>,
        next: &mut Option<super::Snapshot>,
        retired: &mut Vec<Version<ClusterHandle>>,
    ) {
        let warming = self.clusters.get(name).and_then(|slot| slot.warming.as_ref());
        let is_warm = warming.is_some_and(|v| v.value.is_warm() && self.has_all(&v.needs));
        let Some(slot) = self.clusters.get_mut(name) else { return };
        if !is_warm && !slot.is_vacant() {
            return;
        }
        let next = next.get_or_insert_with(|| (**self.snapshot.load()).clone());
        if let Some(version) = slot.warming.take() {
            let handle = version.value.clone();
            if let Some(old) = slot.active.replace(version) {
                if old.value.built().is_some() {
                    // Counters live on: the new cluster finds them while the old one holds them.
                    handle.cluster();
                }
                retired.push(old);
            }
            next.clusters.insert(name.clone(), handle);
        } else {
            if slot.refused.is_none() {
                self.clusters.remove(name);
            }
            next.clusters.remove(name);
        }
    }

    fn settle_listener(
        &mut self,
        name: &Arc<str>,
        next: &mut Option<super::Snapshot>,
        settled: &mut Settled,
    ) {
        let is_ready = self
            .listeners
            .get(name)
            .and_then(|slot| slot.warming.as_ref())
            .is_some_and(|version| self.has_all(&version.needs));
        let Some(slot) = self.listeners.get_mut(name) else { return };
        if slot.is_vacant() {
            if slot.refused.is_none() {
                self.listeners.remove(name);
            }
            let next = next.get_or_insert_with(|| (**self.snapshot.load()).clone());
            next.listeners.remove(name);
            settled.removed_listeners.push(name.clone());
        } else if is_ready && let Some(version) = slot.warming.take() {
            let listener = version.value.clone();
            let old = slot.active.replace(version);
            let next = next.get_or_insert_with(|| (**self.snapshot.load()).clone());
            next.listeners.insert(name.clone(), listener.clone());
            settled.listeners.push(listener);
            old.into_iter().flat_map(|old| old.needs).for_each(|need| self.release(&need));
        }
    }

    /// Looks at what waits for this resource when things settle next.
    pub(super) fn touch_users(&mut self, kind: ResourceType, name: &Arc<str>) {
        let is_it = |need: &Need| need.kind == kind && need.name == *name;
        let listeners = waiting(&self.listeners, &is_it);
        self.pending.listeners.extend(listeners);
        if kind == ResourceType::Secret {
            let clusters = waiting(&self.clusters, &is_it);
            self.pending.clusters.extend(clusters);
        }
    }

    /// What waits for this resource goes on without it. (envoy: initial_fetch_timeout)
    pub fn give_up(&mut self, kind: ResourceType, name: &Arc<str>) {
        self.given_up.insert((kind, name.clone()));
        match kind {
            ResourceType::Endpoints => {
                for user in self.services.get(name).cloned().unwrap_or_default() {
                    let Some(slot) = self.clusters.get(&user) else { continue };
                    let of_service =
                        slot.versions().filter(|v| v.value.service_name.as_ref() == Some(name));
                    of_service.for_each(|version| version.value.set_hosts(Assignment::default()));
                    self.pending.clusters.insert(user);
                }
            }
            ResourceType::Routes | ResourceType::Secret => self.touch_users(kind, name),
            ResourceType::Cluster | ResourceType::Listener => {}
        }
    }

    /// True if a cluster waits.
    #[must_use]
    pub fn is_warming_clusters(&self) -> bool {
        self.clusters.values().any(|slot| slot.warming.is_some())
    }

    /// True if a listener waits for something other than to be let open.
    #[must_use]
    pub fn is_warming_listeners(&self) -> bool {
        let mut waiting = self.listeners.values().filter_map(|slot| slot.warming.as_ref());
        waiting.any(|version| !self.has_all(&version.needs))
    }

    fn count(&self) {
        let count = |is: &dyn Fn(&Slot<ClusterHandle>) -> bool| {
            self.clusters.values().filter(|slot| is(slot)).count() as u64
        };
        let stats = &self.cluster_stats;
        stats.set(ClusterManagerStat::active_clusters, count(&|slot| slot.active.is_some()));
        stats.set(ClusterManagerStat::warming_clusters, count(&|slot| slot.warming.is_some()));
        let count = |is: &dyn Fn(&Slot<Listener>) -> bool| {
            self.listeners.values().filter(|slot| is(slot)).count() as u64
        };
        let stats = &self.listener_stats;
        stats
            .set(ListenerManagerStat::total_listeners_active, count(&|slot| slot.active.is_some()));
        stats.set(
            ListenerManagerStat::total_listeners_warming,
            count(&|slot| slot.warming.is_some()),
        );
    }
}

/// The names of those that wait and need such a resource.
fn waiting<T>(slots: &BTreeMap<Arc<str>, Slot<T>>, is_it: &dyn Fn(&Need) -> bool) -> Vec<Arc<str>> {
    let waits = |slot: &Slot<T>| slot.warming.as_ref().is_some_and(|v| v.needs.iter().any(is_it));
    slots.iter().filter(|(_, slot)| waits(slot)).map(|(name, _)| name.clone()).collect()
}
