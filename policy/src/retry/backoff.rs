//! How long to wait before an attempt is made again.
//!
//! The n-th wait is drawn from zero to `base × 2ⁿ⁻¹`, at most `max`, so that clients that failed
//! together do not come back together. An upstream that says when it will have room is believed instead.
//! Observed on Envoy 1.40: the documented bound `(2ⁿ-1) × base` is not what it does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;

use crate::draw::below_u64;
use crate::head::{Headers, Name, integer};

#[cfg(test)]
mod tests;

/// Exponential back-off with full jitter. (envoy: RetryPolicy.RetryBackOff)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    base: Duration,
    max: Duration,
}

impl BackOff {
    /// The first wait is under `base`, none is over `max`, which is ten times `base` if not given and
    /// never below it.
    #[must_use]
    pub fn new(base: Duration, max: Option<Duration>) -> Self {
        Self { base, max: max.unwrap_or_else(|| base.saturating_mul(10)).max(base) }
    }

    /// The wait before retry `number`, of which the first is 1.
    pub(super) fn wait(&self, number: u32, rng: &mut impl Rng) -> Duration {
        let doublings = number.saturating_sub(1).min(31);
        below(self.base.saturating_mul(1 << doublings).min(self.max), rng)
    }
}

impl Default for BackOff {
    fn default() -> Self {
        Self::new(Duration::from_millis(25), None)
    }
}

/// Waits as long as the upstream asks for. (envoy: RetryPolicy.RateLimitedRetryBackOff)
#[derive(Clone, Debug)]
pub struct RateLimitedBackOff {
    /// Headers that may tell when, in order of preference.
    pub reset_headers: Box<[(Name, ResetFormat)]>,
    /// An answer beyond this is passed over. Envoy's default is 300 s.
    pub max_interval: Duration,
}

/// What the number in a header means. (envoy: RetryPolicy.ResetHeaderFormat)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetFormat {
    /// Seconds from now.
    Seconds,
    /// A point in time, in seconds since 1970.
    UnixTimestamp,
}

impl RateLimitedBackOff {
    /// The wait that `headers` of a response ask for, lengthened by up to a half; `None` if they do not.
    pub(super) fn wait(
        &self,
        headers: &Headers,
        now: SystemTime,
        rng: &mut impl Rng,
    ) -> Option<Duration> {
        let asked = self.reset_headers.iter().find_map(|(name, format)| {
            let number = integer(headers.get_name(name)?)?;
            let interval = Duration::from_secs(format.seconds(number, now)?);
            (interval <= self.max_interval).then_some(interval)
        })?;
        // An answer of zero is none: the exponential back-off holds.
        (!asked.is_zero()).then(|| asked + below(asked / 2, rng))
    }
}

impl ResetFormat {
    fn seconds(self, number: u64, now: SystemTime) -> Option<u64> {
        match self {
            Self::Seconds => Some(number),
            Self::UnixTimestamp => {
                let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                number.checked_sub(now)
            }
        }
    }
}

/// A duration in `[0, bound)`.
fn below(bound: Duration, rng: &mut impl Rng) -> Duration {
    let bound_ns = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(below_u64(bound_ns, rng))
}
