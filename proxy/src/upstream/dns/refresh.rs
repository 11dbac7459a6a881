//! When a name is resolved again.

use std::time::Duration;

use rand::Rng;

/// Times between two looks at a name. (envoy: Cluster.dns_refresh_rate and the fields beside it)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// After an answer. (envoy: dns_refresh_rate)
    pub interval: Duration,
    /// An answer is good for this long at least. (envoy: dns_min_refresh_rate)
    pub least: Duration,
    /// After the first failure, and at most; without it as after an answer. (envoy: dns_failure_refresh_rate)
    pub failure: Option<(Duration, Duration)>,
    /// After an answer, as long as it is good for. (envoy: respect_dns_ttl)
    pub respects_ttl: bool,
    /// Up to this is added after an answer. (envoy: dns_jitter)
    pub jitter: Duration,
}

impl Refresh {
    /// The time after an answer that is good for `ttl`. An answer without addresses is good for nothing, nor is one that says zero.
    pub(super) fn after_answer(&self, ttl: Option<Duration>, rng: &mut impl Rng) -> Duration {
        let base = match ttl {
            Some(ttl) if self.respects_ttl && !ttl.is_zero() => ttl.max(self.least),
            _ => self.interval,
        };
        base.saturating_add(below(self.jitter, rng))
    }

    /// The time after the latest of `failures` in a row: a random part of a time that doubles.
    pub(super) fn after_failure(&self, failures: u32, rng: &mut impl Rng) -> Duration {
        let Some((first, longest)) = self.failure else { return self.interval };
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(31));
        // Never at once: a resolver that fails does so quickly.
        below(doubled.min(longest), rng).max(Duration::from_millis(1))
    }
}

/// A random time below `bound`.
fn below(bound: Duration, rng: &mut impl Rng) -> Duration {
    let share = u128::from(rng.next_u64());
    let nanos = bound.as_nanos().saturating_mul(share) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
