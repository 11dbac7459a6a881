//! The ejections of one cluster: who is out, for how long, and who comes back.
//!
//! Owned by the control side, one call at a time. A host is out for the base time multiplied by its
//! recent ejections, and comes back at a sweep; each interval in which it then stays in takes one
//! ejection off again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use super::host::Host;
use super::rate::Spread;
use super::{HostMonitor, Outlier, OutlierPolicy, Stats};
use crate::draw::below;

/// The detector of a cluster. `K` tells hosts apart, and outlives changes of the host set.
#[derive(Debug)]
pub struct Detector<K> {
    policy: Arc<OutlierPolicy>,
    hosts: BTreeMap<K, Host>,
    stats: Stats,
    spreads: [Option<Spread>; 2],
}

/// A decision about a host, for the caller to act on and for the event log.
/// (envoy: data.cluster.v3.OutlierDetectionEvent)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<K> {
    /// The host.
    pub host: K,
    /// What became of it.
    pub action: Action,
    /// How often it was ejected so far.
    pub num_ejections: u32,
    /// Time since the opposite action, if there was one.
    pub since_last_action: Option<Duration>,
}

/// What became of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is ejected: the balancer has to leave it out.
    Eject(Outlier),
    /// It would be, if its kind of outlier were enforced (this time). For the log only.
    Detect(Outlier),
    /// It is back.
    Uneject,
}

/// Answers, or connections.
#[derive(Clone, Copy)]
enum Origin {
    External,
    Local,
}

impl<K: Ord + Clone> Detector<K> {
    /// A detector without hosts.
    #[must_use]
    pub fn new(policy: Arc<OutlierPolicy>) -> Self {
        Self { policy, hosts: BTreeMap::new(), stats: Stats::default(), spreads: [None; 2] }
    }

    /// Takes over a new policy from the next decision on; ejected hosts stay so for their time.
    pub fn set_policy(&mut self, policy: Arc<OutlierPolicy>) {
        self.policy = policy;
    }

    /// Watches `host`, whose counters are returned; they are those of before if it was watched already.
    pub fn add(&mut self, host: K) -> Arc<HostMonitor> {
        Arc::clone(&self.hosts.entry(host).or_default().monitor)
    }

    /// Forgets `host`.
    pub fn remove(&mut self, host: &K) {
        if self.hosts.remove(host).is_some_and(|gone| gone.ejected.is_some()) {
            self.stats.active -= 1;
        }
    }

    /// True while `host` is ejected.
    #[must_use]
    pub fn is_ejected(&self, host: &K) -> bool {
        self.hosts.get(host).is_some_and(|host| host.ejected.is_some())
    }

    /// The cluster's counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The success rates of answers and of connections at the last sweep, if enough hosts had enough.
    #[must_use]
    pub const fn spreads(&self) -> [Option<Spread>; 2] {
        self.spreads
    }

    /// A worker detected that `host` is an outlier ([`HostMonitor::report`]).
    pub fn detected(
        &mut self,
        host: &K,
        outlier: Outlier,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<Event<K>> {
        // The report may come late: the host may be gone or ejected since.
        if self.hosts.get(host)?.ejected.is_some() {
            return None;
        }
        let event = self.eject(host, outlier, now, rng);
        // Counting goes on from zero even if the host stays, so that it is detected again.
        self.hosts.get(host)?.monitor.reset(outlier);
        event
    }

    /// An active health check of `host` succeeded.
    pub fn check_passed(&mut self, host: &K, now: Instant) -> Option<Event<K>> {
        let ejected = self.hosts.get_mut(host).filter(|host| host.ejected.is_some())?;
        if !self.policy.check_unejects {
            return None;
        }
        self.stats.active -= 1;
        Some(Event { host: host.clone(), ..ejected.come_back(host, now) })
    }

    /// The sweep: to be called once per [`OutlierPolicy::interval`]. Lets hosts come back, then looks
    /// for hosts whose rates stand out.
    pub fn sweep(&mut self, now: Instant, rng: &mut impl Rng) -> Vec<Event<K>> {
        let mut events = Vec::new();
        for (key, host) in &mut self.hosts {
            if host.ejected.is_some_and(|ejected| ejected.is_over(now)) {
                self.stats.active -= 1;
                events.push(host.come_back(key, now));
            }
            host.windows = host.monitor.take().into();
        }
        for origin in [Origin::External, Origin::Local] {
            self.eject_by_rate(origin, now, rng, &mut events);
        }
        for host in self.hosts.values_mut() {
            host.forgive(now, self.policy.interval);
        }
        events
    }

    /// Ejects the hosts whose rates of `origin` stand out.
    fn eject_by_rate(
        &mut self,
        origin: Origin,
        now: Instant,
        rng: &mut impl Rng,
        events: &mut Vec<Event<K>>,
    ) {
        let policy = Arc::clone(&self.policy);
        let by_success = self.rates(origin, policy.success_rate_request_volume);
        let rates: Vec<f64> = by_success.iter().map(|(_, rate)| *rate).collect();
        let spread = Spread::of(&rates, policy.success_rate_stdev_factor)
            .filter(|_| rates.len() >= policy.success_rate_minimum_hosts as usize);
        if let Some(slot) = self.spreads.get_mut(origin as usize) {
            *slot = spread;
        }
        // Both kinds judge what was counted, whatever the first of them ejects.
        let by_failure = self.rates(origin, policy.failure_percentage_request_volume);
        let (success, failure) = origin.outliers();
        for (host, rate) in by_success {
            if spread.is_some_and(|spread| rate < spread.threshold) {
                events.extend(self.eject(&host, success, now, rng));
            }
        }
        if by_failure.len() < policy.failure_percentage_minimum_hosts as usize {
            return;
        }
        for (host, rate) in by_failure {
            if 100.0 - rate >= f64::from(policy.failure_percentage_threshold) {
                events.extend(self.eject(&host, failure, now, rng));
            }
        }
    }

    /// Success rates of hosts that are in and had at least `volume` attempts.
    fn rates(&self, origin: Origin, volume: u32) -> Vec<(K, f64)> {
        let rate = |(key, host): (&K, &Host)| {
            let window = host.windows.get(origin as usize)?;
            let counts = host.ejected.is_none() && window.attempts() >= volume;
            Some((key.clone(), window.percent().filter(|_| counts)?))
        };
        self.hosts.iter().filter_map(rate).collect()
    }

    /// Counts a detection and ejects the host if there is room and the kind is enforced.
    fn eject(
        &mut self,
        key: &K,
        outlier: Outlier,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<Event<K>> {
        self.stats.count_detected(outlier);
        if self.is_ejected(key) {
            // By the other kind of rate, a moment ago.
            return None;
        }
        if !self.has_room() {
            self.stats.overflow += 1;
            return None;
        }
        if matches!(outlier, Outlier::Consecutive5xx | Outlier::SuccessRate) {
            self.stats.total += 1;
        }
        let host = self.hosts.get_mut(key)?;
        let is_enforced = below(100, rng) < self.policy.enforcing.percent(outlier);
        let since_last_action = host.last_return.map(|at| now.saturating_duration_since(at));
        let action = if is_enforced { Action::Eject(outlier) } else { Action::Detect(outlier) };
        if is_enforced {
            self.stats.active += 1;
            self.stats.count_enforced(outlier);
            host.leave(&self.policy, now, rng);
        }
        let num_ejections = host.ejections;
        Some(Event { host: key.clone(), action, num_ejections, since_last_action })
    }

    fn has_room(&self) -> bool {
        let (out, all) = (self.stats.active, self.hosts.len() as u64);
        let percent = u64::from(self.policy.max_ejection_percent.min(100));
        let is_first = self.policy.always_eject_one_host && out == 0;
        is_first || 100 * (out + 1) <= percent * all
    }
}

impl Origin {
    /// The kinds of outlier by success rate and by failure percentage.
    const fn outliers(self) -> (Outlier, Outlier) {
        match self {
            Self::External => (Outlier::SuccessRate, Outlier::FailurePercentage),
            Self::Local => (Outlier::LocalOriginSuccessRate, Outlier::LocalOriginFailurePercentage),
        }
    }
}
