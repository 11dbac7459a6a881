//! Takes updates in: compares, translates, and holds what is good until everything that it needs is there.
//!
//! Equal bytes are neither decoded nor translated: a control plane repeats itself. What is refused is noted beside the last good version, which
//! stays.

use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashSet;
use outrigger_xds::{Extent, Resource, ResourceType, Update};

use super::cluster::{self, Discovery};
use super::cluster_handle::ClusterHandle;
use super::cx::{Ignored, Need};
use super::error::{At, ConfigError};
use super::slot::{Origin, Refused, Slot, Version};
use super::store::Store;
use super::{endpoints, listener, route, tls};
use crate::telemetry::metrics::{ClusterManagerStat, ListenerManagerStat, Own};
use crate::upstream::transport::Transports;

/// A resource that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its name.
    pub name: Arc<str>,
    /// Which field, and why.
    pub error: ConfigError,
}

/// Fields that are set and have no effect, or the refusal.
type Taken = Result<Vec<Ignored>, ConfigError>;

impl Store {
    /// Takes an update of a control plane in. Nothing is in force before things settle.
    ///
    /// Returns the resources that were refused; all others were taken.
    pub fn apply(&mut self, update: Update) -> Vec<Rejection> {
        let Update { kind, version, resources, removed, extent } = update;
        let count = resources.len();
        let mut named = HashSet::with_capacity(resources.len());
        let is_new: Vec<bool> = resources.iter().map(|r| named.insert(r.name.clone())).collect();
        // Removals come first: a listener that is gone leaves its address to the next.
        for name in removed.iter().filter(|name| !named.contains(*name)) {
            self.remove(kind, name);
        }
        if extent == Extent::Everything && kind.absence_removes() {
            for name in self.dynamic_names(kind) {
                if !named.contains(&name) {
                    self.remove(kind, &name);
                }
            }
        }
        let mut rejections = Vec::new();
        for (resource, is_new) in resources.into_iter().zip(is_new) {
            let name = resource.name.clone();
            let taken = if is_new {
                self.take(resource)
            } else {
                let reason = format!("duplicate {} {name} found", kind.noun());
                Err(ConfigError { path: String::new(), reason })
            };
            if let Err(error) = taken {
                tracing::warn!(%version, "{} {name} is refused: {error}", kind.noun());
                if let Some(own) = Own::installed() {
                    own.config_refused(kind.noun()).increment(1);
                }
                rejections.push(Rejection { name, error });
            }
        }
        if rejections.len() < count || count == 0 {
            self.versions.insert(kind, version);
        }
        rejections
    }

    /// Takes a resource of the bootstrap in. Returns the fields that are set and have no effect.
    ///
    /// # Errors
    /// Why it is refused; `at` is where it stands.
    pub fn take_static(
        &mut self,
        resource: Resource,
        at: &At<'_>,
    ) -> Result<Vec<Ignored>, ConfigError> {
        let Resource { kind, name, .. } = &resource;
        if self.holds(*kind, name) {
            let noun = kind.noun();
            return Err(at.field("name").error(format_args!("duplicate {noun} {name} found")));
        }
        let taken = match kind {
            ResourceType::Cluster => self.take_cluster(resource, Origin::Static),
            ResourceType::Listener => self.take_listener(resource, Origin::Static),
            ResourceType::Endpoints | ResourceType::Routes | ResourceType::Secret => {
                self.take(resource).map(|()| Vec::new())
            }
        };
        taken.map_err(|ConfigError { path, reason }| {
            if path.is_empty() { at.error(reason) } else { at.field(&path).error(reason) }
        })
    }

    fn take(&mut self, resource: Resource) -> Result<(), ConfigError> {
        let (kind, name) = (resource.kind, resource.name.clone());
        let ignored = match kind {
            ResourceType::Cluster => self.take_cluster(resource, Origin::Dynamic)?,
            ResourceType::Endpoints => self.take_endpoints(resource)?,
            ResourceType::Listener => self.take_listener(resource, Origin::Dynamic)?,
            ResourceType::Routes => self.take_routes(resource)?,
            ResourceType::Secret => self.take_secret(resource)?,
        };
        for Ignored { path, reason } in ignored {
            tracing::debug!("{} {name}: {path} has no effect: {reason}", kind.noun());
        }
        Ok(())
    }

    fn take_cluster(&mut self, resource: Resource, origin: Origin) -> Taken {
        let name = resource.name.clone();
        let slot = self.clusters.entry(name.clone()).or_insert_with(|| Slot::new(origin));
        if slot.origin != origin || slot.holds(&resource) {
            slot.refused = None;
            return Ok(Vec::new());
        }
        self.unknown.search(&resource);
        let environment = self.environment.clone();
        let cx = environment.cx();
        let translated = cluster::from_resource(&resource, &cx);
        let secrets = cx.take_needs();
        let translated =
            translated.and_then(|spec| self.check_servers(origin, &secrets).map(|()| spec));
        let slot = self.clusters.entry(name.clone()).or_insert_with(|| Slot::new(origin));
        let spec = match translated {
            Ok(spec) => spec,
            Err(error) => return Err(refuse(slot, resource, error)),
        };
        slot.refused = None;
        let stat = if slot.is_vacant() {
            ClusterManagerStat::cluster_added
        } else {
            ClusterManagerStat::cluster_modified
        };
        self.cluster_stats.inc(stat);
        let mut needs = secrets;
        match &spec.discovery {
            Discovery::Eds { service_name, from } => needs.push(Need {
                kind: ResourceType::Endpoints,
                name: service_name.clone(),
                from: from.clone(),
                stats_prefix: spec.stats_prefix(),
            }),
            Discovery::Static(_) | Discovery::Dns(_) => {}
        }
        let bytes = (origin == Origin::Dynamic).then(|| resource.clone());
        self.taken.insert((ResourceType::Cluster, name.clone()));
        let value = ClusterHandle::new(spec, bytes, &environment);
        let old = slot.warming.take();
        let version = Version { resource, since: SystemTime::now(), value, needs };
        let held = version.value.service_name.as_ref().and_then(|service| {
            self.services.entry(service.clone()).or_default().push(name.clone());
            self.endpoints.get(service)?.active.as_ref()
        });
        if let Some(held) = held {
            version.value.set_assignment(&held.resource);
        }
        self.new_clusters.push(version.value.clone());
        let needed = version.needs.clone();
        slot.warming = Some(version);
        needed.into_iter().for_each(|need| self.hold(need));
        old.into_iter().for_each(|version| self.drop_cluster(&name, version));
        self.pending.clusters.insert(name);
        Ok(cx.take_ignored())
    }

    fn take_endpoints(&mut self, resource: Resource) -> Taken {
        let Some(users) = self.services.get(&resource.name) else { return Ok(Vec::new()) };
        let slot =
            self.endpoints.entry(resource.name.clone()).or_insert(Slot::new(Origin::Dynamic));
        if slot.holds(&resource) {
            slot.refused = None;
        } else {
            self.unknown.search(&resource);
            // Which transport an endpoint gets is for its cluster to say; here it is only validated.
            let cx = self.environment.cx();
            if let Err(error) = endpoints::from_resource(&resource, &Transports::plain(), &cx) {
                return Err(refuse(slot, resource, error));
            }
            slot.refused = None;
        }
        for name in users {
            let Some(slot) = self.clusters.get(name) else { continue };
            let of_service = slot
                .versions()
                .filter(|version| version.value.service_name.as_ref() == Some(&resource.name));
            for version in of_service {
                let is_news = !version.value.is_warm()
                    || self.endpoints.get(&resource.name).is_none_or(|slot| !slot.holds(&resource));
                if is_news {
                    version.value.set_assignment(&resource);
                }
            }
            self.pending.clusters.insert(name.clone());
        }
        if let Some(slot) = self.endpoints.get_mut(&resource.name) {
            slot.active = Some(Version {
                resource,
                since: SystemTime::now(),
                value: Arc::new(()),
                needs: Vec::new(),
            });
        }
        Ok(Vec::new())
    }

    fn take_listener(&mut self, resource: Resource, origin: Origin) -> Taken {
        let name = resource.name.clone();
        let slot = self.listeners.entry(name.clone()).or_insert_with(|| Slot::new(origin));
        if slot.origin != origin || slot.holds(&resource) {
            slot.refused = None;
            return Ok(Vec::new());
        }
        self.unknown.search(&resource);
        let environment = self.environment.clone();
        let clusters = &self.clusters;
        let knows = |name: &str| clusters.get(name).is_some_and(|slot| !slot.is_vacant());
        let cx = environment.cx().with_clusters(&knows);
        let translated = listener::from_resource(&resource, &cx);
        let needs = cx.take_needs();
        let translated =
            translated.and_then(|listener| self.check_servers(origin, &needs).map(|()| listener));
        let slot = self.listeners.entry(name.clone()).or_insert_with(|| Slot::new(origin));
        let mut listener = match translated {
            Ok(listener) => listener,
            Err(error) => return Err(refuse(slot, resource, error)),
        };
        slot.refused = None;
        let stat = if slot.is_vacant() {
            ListenerManagerStat::listener_added
        } else {
            ListenerManagerStat::listener_modified
        };
        self.listener_stats.inc(stat);
        if let Some(held) = &slot.active
            && listener::keep_chains(
                &mut listener,
                &resource.body,
                &held.value,
                &held.resource.body,
            )
        {
            self.listener_stats.inc(ListenerManagerStat::listener_in_place_updated);
        }
        let old = slot.warming.replace(Version {
            resource,
            since: SystemTime::now(),
            value: Arc::new(listener),
            needs: needs.clone(),
        });
        let ignored = cx.take_ignored();
        needs.into_iter().for_each(|need| self.hold(need));
        old.into_iter().flat_map(|old| old.needs).for_each(|need| self.release(&need));
        self.pending.listeners.insert(name);
        Ok(ignored)
    }

    fn take_routes(&mut self, resource: Resource) -> Taken {
        let name = resource.name.clone();
        if !self.is_needed(ResourceType::Routes, &name) {
            return Ok(Vec::new());
        }
        let slot = self.routes.entry(name.clone()).or_insert(Slot::new(Origin::Dynamic));
        if slot.holds(&resource) {
            slot.refused = None;
            return Ok(Vec::new());
        }
        self.unknown.search(&resource);
        let clusters = &self.clusters;
        let knows = |name: &str| clusters.get(name).is_some_and(|slot| !slot.is_vacant());
        let cx = self.environment.cx().with_clusters(&knows);
        match route::from_resource(&resource, &cx) {
            Ok(table) => {
                slot.refused = None;
                slot.active = Some(Version {
                    resource,
                    since: SystemTime::now(),
                    value: Arc::new(table),
                    needs: Vec::new(),
                });
            }
            Err(error) => return Err(refuse(slot, resource, error)),
        }
        let ignored = cx.take_ignored();
        self.taken.insert((ResourceType::Routes, name.clone()));
        self.pending.routes.insert(name);
        Ok(ignored)
    }

    fn take_secret(&mut self, resource: Resource) -> Taken {
        let name = resource.name.clone();
        if !self.is_needed(ResourceType::Secret, &name) {
            return Ok(Vec::new());
        }
        let slot = self.secrets.entry(name.clone()).or_insert(Slot::new(Origin::Dynamic));
        if slot.holds(&resource) {
            slot.refused = None;
            return Ok(Vec::new());
        }
        self.unknown.search(&resource);
        let cx = self.environment.cx();
        let value = match tls::secret(&resource, &cx) {
            Ok(secret) => Arc::new(secret),
            Err(error) => return Err(refuse(slot, resource, error)),
        };
        slot.refused = None;
        let since = SystemTime::now();
        let is_first = slot.active.is_none();
        slot.active = Some(Version { resource, since, value: value.clone(), needs: Vec::new() });
        let ignored = cx.take_ignored();
        self.environment.secrets.set(&name, Some(value));
        if is_first {
            self.touch_users(ResourceType::Secret, &name);
        }
        Ok(ignored)
    }

    /// A resource of a control plane may only name servers that were there before.
    fn check_servers(&self, origin: Origin, needs: &[Need]) -> Result<(), ConfigError> {
        match self.unknown_server(needs) {
            Some(need) if origin == Origin::Dynamic => {
                let reason = format!(
                    "secret {}: its server is no cluster of the bootstrap whose hosts are known without a control plane",
                    need.name
                );
                Err(ConfigError { path: String::new(), reason })
            }
            _ => Ok(()),
        }
    }

    fn remove(&mut self, kind: ResourceType, name: &Arc<str>) {
        match kind {
            ResourceType::Cluster => {
                let Some(slot) = self.clusters.get_mut(name) else { return };
                if slot.origin == Origin::Static {
                    return;
                }
                slot.refused = None;
                self.unknown.forget(kind, name);
                let warming = slot.warming.take();
                let active = slot.active.take();
                if warming.is_some() || active.is_some() {
                    self.cluster_stats.inc(ClusterManagerStat::cluster_removed);
                }
                for version in warming.into_iter().chain(active) {
                    version.value.retire();
                    self.drop_cluster(name, version);
                }
                self.pending.clusters.insert(name.clone());
            }
            ResourceType::Listener => {
                let Some(slot) = self.listeners.get_mut(name) else { return };
                if slot.origin == Origin::Static {
                    return;
                }
                slot.refused = None;
                self.unknown.forget(kind, name);
                let warming = slot.warming.take();
                let active = slot.active.take();
                if warming.is_some() || active.is_some() {
                    self.listener_stats.inc(ListenerManagerStat::listener_removed);
                }
                for version in warming.into_iter().chain(active) {
                    version.needs.iter().for_each(|need| self.release(need));
                }
                self.pending.listeners.insert(name.clone());
            }
            ResourceType::Endpoints => {
                // The server says that there are none.
                let Some(slot) = self.endpoints.remove(name) else {
                    return self.give_up(ResourceType::Endpoints, name);
                };
                self.unknown.forget(kind, name);
                drop(slot);
                self.give_up(ResourceType::Endpoints, name);
            }
            ResourceType::Routes => {
                // Requests keep the routes that they have: they go when nothing needs them.
            }
            ResourceType::Secret => {
                // So is a secret: it goes when nobody names it. (envoy: `SdsApi::onConfigUpdate`)
            }
        }
    }

    /// Forgets what only this version of a cluster needed.
    pub(super) fn drop_cluster(&mut self, name: &Arc<str>, version: Version<ClusterHandle>) {
        if let Some(service) = &version.value.service_name
            && let Some(users) = self.services.get_mut(service)
        {
            if let Some(place) = users.iter().position(|user| user == name) {
                users.swap_remove(place);
            }
            if users.is_empty() {
                self.services.remove(service);
                self.endpoints.remove(service);
                self.unknown.forget(ResourceType::Endpoints, service);
            }
        }
        version.needs.iter().for_each(|need| self.release(need));
    }

    fn dynamic_names(&self, kind: ResourceType) -> Vec<Arc<str>> {
        fn names<'a, T: 'a>(
            slots: impl Iterator<Item = (&'a Arc<str>, &'a Slot<T>)>,
        ) -> Vec<Arc<str>> {
            slots.filter(|(_, s)| s.origin == Origin::Dynamic).map(|(n, _)| n.clone()).collect()
        }
        match kind {
            ResourceType::Cluster => names(self.clusters.iter()),
            ResourceType::Listener => names(self.listeners.iter()),
            ResourceType::Endpoints | ResourceType::Routes | ResourceType::Secret => Vec::new(),
        }
    }

    pub(super) fn version_of(&self, kind: ResourceType) -> &str {
        self.versions.get(&kind).map_or("", |version| version)
    }
}

fn refuse<T>(slot: &mut Slot<T>, resource: Resource, error: ConfigError) -> ConfigError {
    slot.refused = Some(Refused { resource, at: SystemTime::now(), reason: error.to_string() });
    error
}
