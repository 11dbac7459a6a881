//! The counters of a cluster. Those that only some traffic needs are made when it comes.

use std::sync::{Arc, OnceLock};

use outrigger_policy::breaker::RoutingPriority;

use crate::telemetry::metrics::{
    ClusterStats, CodeStats, Http2Stats, OutlierStats, Registry, RemainingStats, TlsStats,
    cluster_prefix,
};

/// See the module.
pub struct ClusterCounters {
    /// What every cluster counts.
    pub stats: ClusterStats,
    registry: Arc<Registry>,
    prefix: String,
    external: OnceLock<CodeStats>,
    internal: OnceLock<CodeStats>,
    canary: OnceLock<CodeStats>,
    retried: OnceLock<CodeStats>,
    tls: OnceLock<TlsStats>,
    http2: OnceLock<Http2Stats>,
    outliers: OnceLock<OutlierStats>,
    remaining: [OnceLock<RemainingStats>; 2],
}

impl ClusterCounters {
    /// Their scope, with its last dot.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The counters of a cluster, under its `alt_stat_name` if it has one.
    #[must_use]
    pub fn new(registry: &Arc<Registry>, name: &str, alt_stat_name: &str) -> Self {
        let prefix = cluster_prefix(name, alt_stat_name);
        Self {
            stats: registry.stats(&prefix),
            registry: registry.clone(),
            prefix,
            external: OnceLock::new(),
            internal: OnceLock::new(),
            canary: OnceLock::new(),
            retried: OnceLock::new(),
            tls: OnceLock::new(),
            http2: OnceLock::new(),
            outliers: OnceLock::new(),
            remaining: [const { OnceLock::new() }; 2],
        }
    }

    fn codes<'a>(&self, place: &'a OnceLock<CodeStats>, part: &str) -> &'a CodeStats {
        place.get_or_init(|| self.registry.stats(&format!("{}{part}", self.prefix)))
    }

    /// Answers to requests from outside.
    pub fn external(&self) -> &CodeStats {
        self.codes(&self.external, "external.")
    }

    /// Answers to requests from inside.
    pub fn internal(&self) -> &CodeStats {
        self.codes(&self.internal, "internal.")
    }

    /// Answers of canaries.
    pub fn canary(&self) -> &CodeStats {
        self.codes(&self.canary, "canary.")
    }

    /// Answers after which the request was tried again.
    pub fn retried(&self) -> &CodeStats {
        self.codes(&self.retried, "retry.")
    }

    /// Handshakes.
    pub fn tls(&self) -> &TlsStats {
        self.tls.get_or_init(|| self.registry.stats(&format!("{}ssl.", self.prefix)))
    }

    /// The HTTP/2 codec.
    pub fn http2(&self) -> &Http2Stats {
        self.http2.get_or_init(|| self.registry.stats(&format!("{}http2.", self.prefix)))
    }

    /// Ejections.
    pub fn outliers(&self) -> &OutlierStats {
        let make = || self.registry.stats(&format!("{}outlier_detection.", self.prefix));
        self.outliers.get_or_init(make)
    }

    /// What the limits of a priority leave.
    pub fn remaining(&self, priority: RoutingPriority) -> &RemainingStats {
        let [default, high] = &self.remaining;
        let place = if priority == RoutingPriority::High { high } else { default };
        let name = priority.as_str();
        let make = || self.registry.stats(&format!("{}circuit_breakers.{name}.", self.prefix));
        place.get_or_init(make)
    }
}

impl std::fmt::Debug for ClusterCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ClusterCounters").field(&self.prefix).finish()
    }
}
