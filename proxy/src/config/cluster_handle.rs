//! A cluster that may never be used: validated when it arrived, built at its first use.
//!
//! A mesh tells every proxy about every service, and most of them are never called. Until then a cluster is the bytes that it came in, and
//! those of its endpoints.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use outrigger_xds::Resource;

use super::cluster::{ClusterSpec, Discovery};
use super::endpoints;
use super::environment::Environment;
use crate::telemetry::metrics::ClusterStats;
use crate::upstream::Cluster;
use crate::upstream::host_set::Assignment;

/// See the module.
pub struct ClusterHandle {
    /// Its name.
    pub name: Arc<str>,
    /// The name that stats and logs have for it. (envoy: Cluster.alt_stat_name)
    pub observability_name: Arc<str>,
    /// The name that its endpoints have, if they are discovered. (envoy: EdsClusterConfig.service_name)
    pub service_name: Option<Arc<str>>,
    source: Source,
    endpoints: Mutex<Endpoints>,
    built: OnceLock<Arc<Cluster>>,
    is_retired: AtomicBool,
    environment: Arc<Environment>,
}

/// What it is built from.
enum Source {
    /// The bootstrap's, and those that names are resolved for: in use from the start.
    Spec(Arc<ClusterSpec>),
    /// The bytes of the resource.
    Resource(Resource),
}

/// What is known of its hosts.
enum Endpoints {
    /// Nothing has been heard yet.
    Unknown,
    /// They stand in the cluster itself.
    Own,
    /// What the control plane said last.
    Assignment(Resource),
    /// What names resolved to, or nobody where nothing was heard in time.
    Hosts(Assignment),
}

impl ClusterHandle {
    /// A cluster; `resource` if it is to be built from that, when it is used.
    pub(super) fn new(
        spec: ClusterSpec,
        resource: Option<Resource>,
        environment: &Arc<Environment>,
    ) -> Arc<Self> {
        let (service_name, endpoints, is_resolved) = match &spec.discovery {
            Discovery::Static(_) => (None, Endpoints::Own, false),
            Discovery::Dns(_) => (None, Endpoints::Unknown, true),
            Discovery::Eds { service_name, .. } => {
                (Some(service_name.clone()), Endpoints::Unknown, false)
            }
        };
        Arc::new(Self {
            name: spec.name.clone(),
            observability_name: spec.observability_name(),
            service_name,
            source: match resource {
                Some(resource) if !is_resolved => Source::Resource(resource),
                _ => Source::Spec(Arc::new(spec)),
            },
            endpoints: Mutex::new(endpoints),
            built: OnceLock::new(),
            is_retired: AtomicBool::new(false),
            environment: environment.clone(),
        })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<Cluster> {
        self.built.get_or_init(|| {
            // The lock is held until the cluster is there: an update in between waits, and then finds it.
            let endpoints = self.endpoints();
            self.build(&endpoints)
        })
    }

    /// The cluster, or for one that nobody uses what it would be.
    #[must_use]
    pub fn look(&self) -> Arc<Cluster> {
        let endpoints = self.endpoints();
        self.built.get().cloned().unwrap_or_else(|| self.build(&endpoints))
    }

    fn build(&self, endpoints: &Endpoints) -> Arc<Cluster> {
        let spec = self.spec();
        let cluster = spec.build(&self.environment.registry);
        match (endpoints, &spec.discovery) {
            (Endpoints::Own, Discovery::Static(hosts)) => {
                cluster.set_hosts(hosts);
            }
            (Endpoints::Assignment(resource), _) => self.assign(&cluster, resource),
            (Endpoints::Hosts(hosts), _) => {
                cluster.set_hosts(hosts);
            }
            (Endpoints::Unknown | Endpoints::Own, _) => {}
        }
        cluster
    }

    /// The cluster, if it is in use.
    #[must_use]
    pub fn built(&self) -> Option<&Arc<Cluster>> {
        self.built.get()
    }

    /// The cluster is gone.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
        if let Some(cluster) = self.built.get() {
            cluster.retire();
        }
    }

    /// True once the cluster is gone.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// True once its hosts are known, or were given up.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        !matches!(*self.endpoints(), Endpoints::Unknown)
    }

    /// The cluster's own definition.
    #[must_use]
    pub fn spec(&self) -> Arc<ClusterSpec> {
        match &self.source {
            Source::Spec(spec) => spec.clone(),
            Source::Resource(resource) => {
                let cx = self.environment.cx();
                let spec = super::cluster::from_resource(resource, &cx).unwrap_or_else(|error| {
                    // It was valid when it arrived: a file that it names has changed since.
                    tracing::error!(cluster = %self.name, %error, "the cluster cannot be built");
                    ClusterSpec::unusable(self.name.clone())
                });
                Arc::new(spec)
            }
        }
    }

    /// The counters that it has, or will have when it is used.
    #[must_use]
    pub fn stats(&self) -> ClusterStats {
        self.environment.registry.stats(&self.spec().stats_prefix())
    }

    /// Takes over what the control plane says of its endpoints; the caller has validated it.
    pub(super) fn set_assignment(&self, resource: &Resource) {
        let mut endpoints = self.endpoints();
        *endpoints = Endpoints::Assignment(resource.clone());
        if let Some(cluster) = self.built.get() {
            self.assign(cluster, resource);
        }
    }

    /// Takes over what names resolved to.
    pub fn set_hosts(&self, hosts: Assignment) {
        let mut endpoints = self.endpoints();
        if let Some(cluster) = self.built.get() {
            cluster.set_hosts(&hosts);
        }
        *endpoints = Endpoints::Hosts(hosts);
    }

    fn assign(&self, cluster: &Cluster, resource: &Resource) {
        let cx = self.environment.cx();
        match endpoints::from_resource(resource, &cluster.settings.transports, &cx) {
            Ok(assignment) => {
                cluster.set_hosts(&assignment);
            }
            Err(error) => {
                tracing::error!(cluster = %self.name, %error, "the endpoints cannot be used");
            }
        }
    }

    fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_built = self.built.get().is_some();
        f.debug_struct("ClusterHandle").field("name", &self.name).field("built", &is_built).finish()
    }
}
