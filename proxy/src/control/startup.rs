//! The order of the start: the bootstrap's clusters, then the control plane's, then listeners; all listeners open together.
//! (xDS: "warming"; envoy: intro/arch_overview/operations/init)

use outrigger_xds::ResourceType;

use super::Control;
use crate::config::ConfigSource;
use crate::lifecycle::ServerState;
use crate::telemetry::memory;
use crate::telemetry::metrics::ListenerManagerStat;

/// How far the start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Clusters of the bootstrap learn their hosts.
    Primary,
    /// The control plane's clusters come and learn theirs.
    Clusters,
    /// Listeners come and get their routes.
    Listeners,
    /// All is served.
    Live,
}

impl Control {
    /// Begins to subscribe, and to serve as soon as everything is there.
    pub fn start(&mut self) {
        tracing::info!(
            "starting: {} clusters, {} listeners in the bootstrap",
            self.store.clusters.len(),
            self.store.listeners.len()
        );
        self.settle();
    }

    /// How far the start has come.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// True if the start has moved on.
    pub(super) fn advance(&mut self) -> bool {
        let next = match self.stage {
            Stage::Primary if self.store.is_warming_clusters() => return false,
            Stage::Primary => Stage::Clusters,
            Stage::Clusters
                if !self.has_answered(ResourceType::Cluster, self.dynamic.clusters.as_ref())
                    || self.store.is_warming_clusters() =>
            {
                return false;
            }
            Stage::Clusters => Stage::Listeners,
            Stage::Listeners
                if !self.has_answered(ResourceType::Listener, self.dynamic.listeners.as_ref())
                    || self.store.is_warming_listeners() =>
            {
                return false;
            }
            Stage::Listeners => Stage::Live,
            Stage::Live => return false,
        };
        self.stage = next;
        match next {
            Stage::Primary | Stage::Clusters => {}
            Stage::Listeners => self.lifecycle.set_state(ServerState::Initializing),
            Stage::Live => {
                self.lifecycle.set_state(ServerState::Live);
                self.listener_stats.set(ListenerManagerStat::workers_started, 1);
                tracing::info!("all dependencies initialized: listeners open");
                tokio::task::spawn_local(memory::release_after_start());
            }
        }
        true
    }

    /// The sources that are subscribed to as a whole at this stage.
    pub(super) fn wildcards(&self) -> Vec<(ResourceType, ConfigSource)> {
        let clusters = self.dynamic.clusters.iter().filter(|_| self.stage >= Stage::Clusters);
        let listeners = self.dynamic.listeners.iter().filter(|_| self.stage >= Stage::Listeners);
        let clusters = clusters.map(|from| (ResourceType::Cluster, from.clone()));
        clusters.chain(listeners.map(|from| (ResourceType::Listener, from.clone()))).collect()
    }
}
