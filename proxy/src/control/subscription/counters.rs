//! What a subscription counts, under Envoy's names. (envoy: `SubscriptionStats`)
//!
//! Most have a scope of their own. Endpoints count in the scope of their cluster, which has one only once it is used: until then the numbers are
//! kept here, so that thousands of clusters that nobody calls cost no counters.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outrigger_xds::ResourceType;
use xxhash_rust::xxh64::xxh64;

use crate::config::Store;
use crate::telemetry::metrics::{
    ClusterStat, ClusterStats, EdsStat, EdsStats, RdsStat, RdsStats, Registry, ReloadStat,
    ReloadStats, SubscriptionStat, SubscriptionStats, TextReadout,
};

/// What came of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    /// All is good.
    Accepted(Accepted<'a>),
    /// It was refused.
    Rejected,
    /// It could not be heard.
    Failed,
    /// Nothing was heard in time.
    Late,
}

/// An update that was taken in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted<'a> {
    /// Its version.
    pub(super) version: &'a str,
    /// How long that took.
    pub(super) took: Duration,
    /// It said something new.
    pub(super) is_news: bool,
}

/// Where a subscription counts.
pub(super) enum Counters {
    /// In a scope of its own.
    Own { stats: SubscriptionStats, version_text: TextReadout, reloads: Reloads },
    /// In those of its clusters.
    Endpoints(Box<OfEndpoints>),
}

impl Counters {
    /// Counters in this scope, which ends in a dot. To begin is an attempt.
    pub(super) fn new(registry: &Registry, kind: ResourceType, prefix: &str) -> Self {
        if kind == ResourceType::Endpoints {
            return Self::Endpoints(Box::new(OfEndpoints::new()));
        }
        let stats: SubscriptionStats = registry.stats(prefix);
        stats.inc(SubscriptionStat::update_attempt);
        let version_text = registry.text(&format!("{prefix}version_text"));
        let reloads = match kind {
            ResourceType::Cluster => Reloads::Clusters(registry.stats(prefix)),
            ResourceType::Routes => Reloads::Routes(registry.stats(prefix)),
            _ => Reloads::None,
        };
        Self::Own { stats, version_text, reloads }
    }

    pub(super) fn count(&mut self, outcome: Outcome<'_>) {
        match self {
            Self::Own { stats, version_text, reloads } => {
                stats.inc(SubscriptionStat::update_attempt);
                match outcome {
                    Outcome::Accepted(Accepted { version, took, is_news }) => {
                        if is_news {
                            reloads.count();
                        }
                        stats.inc(SubscriptionStat::update_success);
                        stats.set(SubscriptionStat::version, hash(version));
                        stats.set(SubscriptionStat::update_time, now_ms());
                        stats.record(SubscriptionStat::update_duration, millis(took));
                        version_text.set(version);
                    }
                    Outcome::Rejected => stats.inc(SubscriptionStat::update_rejected),
                    Outcome::Failed => stats.inc(SubscriptionStat::update_failure),
                    Outcome::Late => stats.inc(SubscriptionStat::init_fetch_timeout),
                }
            }
            Self::Endpoints(counters) => counters.count(outcome),
        }
    }

    /// Shows what was kept, if there is a place for it by now.
    pub(super) fn publish(&mut self, service: &Arc<str>, store: &Store) {
        if let Self::Endpoints(counters) = self {
            counters.publish(service, store);
        }
    }
}

/// Counters of updates that have changed something.
pub(super) enum Reloads {
    None,
    Clusters(ReloadStats),
    Routes(RdsStats),
}

impl Reloads {
    fn count(&self) {
        match self {
            Self::None => {}
            Self::Clusters(stats) => {
                stats.inc(ReloadStat::config_reload);
                stats.set(ReloadStat::config_reload_time_ms, now_ms());
            }
            Self::Routes(stats) => {
                stats.inc(RdsStat::config_reload);
                stats.set(RdsStat::config_reload_time_ms, now_ms());
            }
        }
    }
}

/// The counters of endpoints.
pub(super) struct OfEndpoints {
    attempts: u64,
    successes: u64,
    failures: u64,
    rejections: u64,
    timeouts: u64,
    version: Arc<str>,
    updated_ms: u64,
    /// By the name of the cluster.
    shown: Vec<(Arc<str>, Shown)>,
}

struct Shown {
    stats: ClusterStats,
    more: EdsStats,
    version_text: TextReadout,
}

impl OfEndpoints {
    fn new() -> Self {
        Self {
            attempts: 1,
            successes: 0,
            failures: 0,
            rejections: 0,
            timeouts: 0,
            version: Arc::default(),
            updated_ms: 0,
            shown: Vec::new(),
        }
    }

    fn count(&mut self, outcome: Outcome<'_>) {
        self.attempts += 1;
        self.shown.iter().for_each(|(_, shown)| shown.stats.inc(ClusterStat::update_attempt));
        let all = self.shown.iter().map(|(_, shown)| shown);
        match outcome {
            Outcome::Accepted(Accepted { version, took, .. }) => {
                self.successes += 1;
                self.updated_ms = now_ms();
                if *self.version != *version {
                    self.version = version.into();
                }
                for shown in all {
                    shown.stats.inc(ClusterStat::update_success);
                    shown.more.record(EdsStat::update_duration, millis(took));
                    shown.tell_version(&self.version, self.updated_ms);
                }
            }
            Outcome::Rejected => {
                self.rejections += 1;
                all.for_each(|shown| shown.more.inc(EdsStat::update_rejected));
            }
            Outcome::Failed => {
                self.failures += 1;
                all.for_each(|shown| shown.stats.inc(ClusterStat::update_failure));
            }
            Outcome::Late => {
                self.timeouts += 1;
                all.for_each(|shown| shown.more.inc(EdsStat::init_fetch_timeout));
            }
        }
    }

    fn publish(&mut self, service: &Arc<str>, store: &Store) {
        for (name, prefix, stats) in store.built_of_service(service) {
            if self.shown.iter().any(|(shown, _)| *shown == name) {
                continue;
            }
            let registry = &store.environment().registry;
            let more: EdsStats = registry.stats(&prefix);
            let version_text = registry.text(&format!("{prefix}version_text"));
            let shown = Shown { stats, more, version_text };
            shown.stats.add(ClusterStat::update_attempt, self.attempts);
            shown.stats.add(ClusterStat::update_success, self.successes);
            shown.stats.add(ClusterStat::update_failure, self.failures);
            shown.more.add(EdsStat::update_rejected, self.rejections);
            shown.more.add(EdsStat::init_fetch_timeout, self.timeouts);
            if self.successes > 0 {
                shown.tell_version(&self.version, self.updated_ms);
            }
            self.shown.push((name, shown));
        }
    }
}

impl Shown {
    fn tell_version(&self, version: &str, at_ms: u64) {
        self.stats.set(ClusterStat::version, hash(version));
        self.more.set(EdsStat::update_time, at_ms);
        self.version_text.set(version);
    }
}

fn hash(version: &str) -> u64 {
    xxh64(version.as_bytes(), 0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
