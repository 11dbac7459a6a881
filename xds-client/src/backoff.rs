//! How long to wait before the next attempt: exponential, and fully jittered, so that the clients of a server that went away do not all come back at once.
//! (envoy: `JitteredExponentialBackOffStrategy`; config.core.v3.BackoffStrategy)

use std::time::Duration;

/// What Envoy waits at most before the second attempt on an xDS stream.
const BASE: Duration = Duration::from_millis(500);

/// What Envoy waits at most before any attempt on an xDS stream.
const MAX: Duration = Duration::from_secs(30);

/// Waits between attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(BASE, Some(MAX))
    }
}

impl Backoff {
    /// The first wait is below `base`; each may be twice as long as the one before, up to `max`, or ten times `base`.
    /// (envoy: config.core.v3.RetryPolicy.retry_back_off)
    #[must_use]
    pub fn new(base: Duration, max: Option<Duration>) -> Self {
        // An interval of nothing would never grow.
        let base = base.max(Duration::from_millis(1));
        let max = max.unwrap_or_else(|| base.saturating_mul(10)).max(base);
        Self { base, max, next: base }
    }

    /// The next wait; `random` is any number, evenly distributed.
    pub fn next(&mut self, random: u64) -> Duration {
        let interval = self.next;
        self.next = interval.saturating_mul(2).min(self.max);
        let below = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random % below)
    }

    /// Begins anew: an attempt has succeeded.
    pub const fn reset(&mut self) {
        self.next = self.base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest waits of a number of attempts in a row.
    fn longest(backoff: &mut Backoff, attempts: usize) -> Vec<u128> {
        let mut ends = Vec::new();
        for _ in 0..attempts {
            // One below any interval of whole milliseconds is its last microsecond.
            let interval = backoff.next;
            let last = u64::try_from(interval.as_micros()).unwrap() - 1;
            assert_eq!(backoff.clone().next(0), Duration::ZERO);
            ends.push((backoff.next(last) + Duration::from_micros(1)).as_millis());
        }
        ends
    }

    #[test]
    fn rule_54_intervals_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let expected = [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000];
        assert_eq!(longest(&mut backoff, 8), expected);
        backoff.reset();
        assert_eq!(longest(&mut backoff, 2), expected[..2]);
        let mut own = Backoff::new(Duration::from_millis(30), None);
        assert_eq!(longest(&mut own, 6), [30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn a_wait_is_anywhere_below_its_interval() {
        let mut seen = Vec::new();
        for random in 0..1000_u64 {
            let wait = Backoff::default().next(random.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            assert!(wait < BASE);
            seen.push(wait);
        }
        let early = seen.iter().filter(|wait| **wait < BASE / 2).count();
        assert!((400..600).contains(&early), "{early}");
    }

    #[test]
    fn senseless_intervals_are_mended() {
        for mut backoff in [
            Backoff::new(Duration::ZERO, Some(Duration::ZERO)),
            Backoff::new(Duration::ZERO, None),
            Backoff::new(Duration::MAX, None),
        ] {
            for random in [0, 1, u64::MAX] {
                backoff.next(random);
            }
        }
    }
}
