//! Circuit breakers of a cluster: what may be open, waiting, active and retrying at once.
//!
//! One object per cluster lives as long as the cluster and is shared by all workers; a new
//! configuration changes its limits in place, so that requests in flight stay counted. The limits are
//! exact over the process, where Envoy's are per worker at the edges. The stages `admit` and `retry`
//! ask it, the pool asks for connections, `telemetry` reads the gauges. Deliberately absent:
//! `max_connection_pools` (this proxy has one pool per host and worker) and per-host limits.
//! (envoy: config.cluster.v3.CircuitBreakers)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bulkhead::{Bulkhead, Permit};
use crate::retry::RetryBudget;

/// The limits of one priority. (envoy: CircuitBreakers.Thresholds)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Connections to all hosts together.
    pub max_connections: u32,
    /// Requests that wait for a connection.
    pub max_pending_requests: u32,
    /// Requests that have a connection.
    pub max_requests: u32,
    /// Retries from the decision to retry until their answer; without effect if there is a budget.
    pub max_retries: u32,
    /// Limits retries by the load instead.
    pub retry_budget: Option<RetryBudget>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            retry_budget: None,
        }
    }
}

/// Which breaker a route's requests count against. (envoy: config.core.v3.RoutingPriority)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RoutingPriority {
    /// `DEFAULT`
    #[default]
    Default,
    /// `HIGH`
    High,
}

impl RoutingPriority {
    /// As in names of statistics: `circuit_breakers.<this>.rq_open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::High => "high",
        }
    }
}

/// The breakers of both priorities of a cluster.
#[derive(Debug)]
pub struct CircuitBreakers {
    default: Breaker,
    high: Breaker,
}

impl CircuitBreakers {
    /// Breakers with these limits and nothing counted.
    #[must_use]
    pub fn new(default: &Thresholds, high: &Thresholds) -> Self {
        Self { default: Breaker::new(default), high: Breaker::new(high) }
    }

    /// The breaker of `priority`.
    #[must_use]
    pub const fn of(&self, priority: RoutingPriority) -> &Breaker {
        match priority {
            RoutingPriority::Default => &self.default,
            RoutingPriority::High => &self.high,
        }
    }
}

impl Default for CircuitBreakers {
    /// Envoy's defaults, which also hold for a priority that the configuration leaves out.
    fn default() -> Self {
        Self::new(&Thresholds::default(), &Thresholds::default())
    }
}

/// The breaker of one priority.
#[derive(Debug)]
pub struct Breaker {
    connections: Arc<Bulkhead>,
    pending: Arc<Bulkhead>,
    requests: Arc<Bulkhead>,
    retries: Arc<Bulkhead>,
    /// [`RetryBudget::to_bits`], or [`NO_BUDGET`].
    budget: AtomicU64,
}

/// What [`RetryBudget::to_bits`] never returns.
const NO_BUDGET: u64 = u64::MAX;

/// State for statistics: `circuit_breakers.<priority>.*`. A breaker is open if it admits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// `cx_open`
    pub cx_open: bool,
    /// `rq_pending_open`
    pub rq_pending_open: bool,
    /// `rq_open`
    pub rq_open: bool,
    /// `rq_retry_open`. With a budget this is the budget's state; Envoy goes on comparing with
    /// `max_retries`, which then limits nothing.
    pub rq_retry_open: bool,
    /// `remaining_cx`
    pub remaining_cx: u32,
    /// `remaining_pending`
    pub remaining_pending: u32,
    /// `remaining_rq`
    pub remaining_rq: u32,
    /// `remaining_retries`; 0 with a budget, as in Envoy.
    pub remaining_retries: u32,
}

impl Breaker {
    fn new(thresholds: &Thresholds) -> Self {
        Self {
            connections: Bulkhead::new(thresholds.max_connections),
            pending: Bulkhead::new(thresholds.max_pending_requests),
            requests: Bulkhead::new(thresholds.max_requests),
            retries: Bulkhead::new(thresholds.max_retries),
            budget: AtomicU64::new(budget_bits(thresholds.retry_budget)),
        }
    }

    /// Takes over the limits of a new configuration; what is counted stays counted.
    pub fn set(&self, thresholds: &Thresholds) {
        self.connections.set_limit(thresholds.max_connections);
        self.pending.set_limit(thresholds.max_pending_requests);
        self.requests.set_limit(thresholds.max_requests);
        self.retries.set_limit(thresholds.max_retries);
        self.budget.store(budget_bits(thresholds.retry_budget), Ordering::Relaxed);
    }

    /// The limits in force.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        let bits = self.budget.load(Ordering::Relaxed);
        Thresholds {
            max_connections: self.connections.limit(),
            max_pending_requests: self.pending.limit(),
            max_requests: self.requests.limit(),
            max_retries: self.retries.limit(),
            retry_budget: (bits != NO_BUDGET).then(|| RetryBudget::from_bits(bits)),
        }
    }

    /// Connections to the cluster's hosts.
    #[must_use]
    pub const fn connections(&self) -> &Arc<Bulkhead> {
        &self.connections
    }

    /// Requests that wait for a connection.
    #[must_use]
    pub const fn pending(&self) -> &Arc<Bulkhead> {
        &self.pending
    }

    /// Requests on a connection.
    #[must_use]
    pub const fn requests(&self) -> &Arc<Bulkhead> {
        &self.requests
    }

    /// Admits one retry, by budget or `max_retries`. The permit is held until the retry is answered.
    #[must_use]
    pub fn try_acquire_retry(&self) -> Option<Permit> {
        match self.retry_limit() {
            Some(limit) => self.retries.try_acquire_below(limit),
            None => self.retries.try_acquire(),
        }
    }

    /// The state for statistics.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let budget = self.retry_limit();
        Gauges {
            cx_open: self.connections.is_full(),
            rq_pending_open: self.pending.is_full(),
            rq_open: self.requests.is_full(),
            rq_retry_open: match budget {
                Some(limit) => self.retries.used() >= limit,
                None => self.retries.is_full(),
            },
            remaining_cx: self.connections.remaining(),
            remaining_pending: self.pending.remaining(),
            remaining_rq: self.requests.remaining(),
            remaining_retries: if budget.is_some() { 0 } else { self.retries.remaining() },
        }
    }

    /// The budget's limit at the present load; `None` without a budget.
    fn retry_limit(&self) -> Option<u32> {
        let bits = self.budget.load(Ordering::Relaxed);
        let active = || self.requests.used().saturating_add(self.pending.used());
        (bits != NO_BUDGET).then(|| RetryBudget::from_bits(bits).limit(active()))
    }
}

fn budget_bits(budget: Option<RetryBudget>) -> u64 {
    budget.map_or(NO_BUDGET, RetryBudget::to_bits)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn breaker(max_requests: u32, max_retries: u32, retry_budget: Option<RetryBudget>) -> Breaker {
        let defaults = Thresholds::default();
        Breaker::new(&Thresholds { max_requests, max_retries, retry_budget, ..defaults })
    }

    #[test]
    fn priorities_count_apart_and_have_envoys_defaults() {
        let breakers = CircuitBreakers::default();
        let held: Vec<_> =
            (0..4).map(|_| breakers.of(RoutingPriority::High).try_acquire_retry()).collect();
        assert_eq!(held.iter().filter(|permit| permit.is_some()).count(), 3);
        assert!(breakers.of(RoutingPriority::High).gauges().rq_retry_open);
        let gauges = breakers.of(RoutingPriority::Default).gauges();
        assert_eq!(
            gauges,
            Gauges {
                cx_open: false,
                rq_pending_open: false,
                rq_open: false,
                rq_retry_open: false,
                remaining_cx: 1024,
                remaining_pending: 1024,
                remaining_rq: 1024,
                remaining_retries: 3,
            }
        );
    }

    /// Ten requests fail at once and each wants one retry that lasts; retries let through by Envoy 1.40.
    #[test]
    fn as_many_retries_run_at_once_as_in_envoy() {
        for (max_retries, budget, admitted) in [
            (2, None, 2),
            (3, None, 3),
            (0, Some(RetryBudget::default()), 3),
            (3, Some(RetryBudget::new(0.0, 2)), 2),
            (0, Some(RetryBudget::new(100.0, 0)), 10),
            (3, Some(RetryBudget::new(0.0, 0)), 0),
        ] {
            let breaker = breaker(1024, max_retries, budget);
            let _active: Vec<_> = (0..10).map(|_| breaker.requests().try_acquire()).collect();
            let held: Vec<_> = (0..10).map(|_| breaker.try_acquire_retry()).collect();
            assert_eq!(held.iter().flatten().count(), admitted, "{max_retries} {budget:?}");
            let gauges = breaker.gauges();
            assert!(gauges.rq_retry_open && gauges.remaining_retries == 0);
        }
    }

    #[test]
    fn a_budget_counts_pending_requests_too() {
        let breaker = breaker(1024, 0, Some(RetryBudget::new(50.0, 0)));
        assert!(breaker.try_acquire_retry().is_none());
        let _active = breaker.requests().try_acquire();
        let _pending = breaker.pending().try_acquire();
        let held = breaker.try_acquire_retry();
        assert!(held.is_some() && breaker.try_acquire_retry().is_none());
    }

    #[test]
    fn a_config_swap_keeps_permits_and_may_add_or_drop_the_budget() {
        let breaker = breaker(1, 1, None);
        let (_request, _retry) = (breaker.requests().try_acquire(), breaker.try_acquire_retry());
        breaker.set(&Thresholds { max_requests: 2, max_retries: 9, ..Thresholds::default() });
        assert_eq!(breaker.gauges().remaining_rq, 1);
        assert_eq!(breaker.gauges().remaining_retries, 8);
        let retry_budget = Some(RetryBudget::new(0.0, 1));
        breaker.set(&Thresholds { retry_budget, ..Thresholds::default() });
        assert!(breaker.try_acquire_retry().is_none(), "one retry is out, the budget is one");
    }

    #[test]
    fn threads_keep_within_every_limit_and_return_every_permit() {
        let breaker = breaker(4, 2, None);
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let request = breaker.requests().try_acquire();
                        let retry = breaker.try_acquire_retry();
                        assert!(breaker.requests().used() <= 4 && breaker.retries.used() <= 2);
                        drop((request, retry));
                    }
                });
            }
        });
        assert_eq!((breaker.requests().used(), breaker.retries.used()), (0, 0));
    }
}
