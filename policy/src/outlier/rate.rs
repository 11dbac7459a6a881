//! Success rates: counting them, and how far one is from the others.

use std::sync::atomic::{AtomicU64, Ordering};

/// Successes and attempts in one word, counted by many and taken by one.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Successes in the upper half, attempts in the lower.
    counts: AtomicU64,
}

/// What was counted between two sweeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    successes: u32,
    attempts: u32,
}

impl Rate {
    pub(super) fn count(&self, is_success: bool) {
        // Half of what fits is more than any interval holds; beyond, the rate stays as it is.
        if self.counts.load(Ordering::Relaxed) as u32 > u32::MAX / 2 {
            return;
        }
        self.counts.fetch_add(u64::from(is_success) << 32 | 1, Ordering::Relaxed);
    }

    /// What was counted since the last call.
    pub(super) fn take(&self) -> Window {
        let counts = self.counts.swap(0, Ordering::Relaxed);
        Window { successes: (counts >> 32) as u32, attempts: counts as u32 }
    }
}

impl Window {
    pub(super) const fn attempts(self) -> u32 {
        self.attempts
    }

    /// Percentage of successes; `None` without attempts.
    pub(super) fn percent(self) -> Option<f64> {
        let rate = f64::from(self.successes) * 100.0 / f64::from(self.attempts);
        (self.attempts > 0).then_some(rate)
    }
}

/// The success rates of a cluster at one sweep. (envoy: `/clusters`, `success_rate_average`,
/// `success_rate_ejection_threshold`)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Mean of the hosts' rates in percent.
    pub average: f64,
    /// A rate below this is an outlier.
    pub threshold: f64,
}

impl Spread {
    /// The threshold is `stdev_factor` thousandths of the standard deviation under the mean. `None`
    /// without rates.
    pub(super) fn of(rates: &[f64], stdev_factor: u32) -> Option<Self> {
        let count = rates.len() as f64;
        let average = rates.iter().sum::<f64>() / count;
        let variance = rates.iter().map(|rate| (rate - average).powi(2)).sum::<f64>() / count;
        let threshold = average - f64::from(stdev_factor) / 1000.0 * variance.sqrt();
        (!rates.is_empty()).then_some(Self { average, threshold })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_lies_under_the_mean_by_the_spread() {
        let spread = Spread::of(&[50.0, 100.0, 100.0, 100.0, 100.0], 1900).unwrap();
        assert!((spread.average - 90.0).abs() < 1e-9 && (spread.threshold - 52.0).abs() < 1e-9);
        let even = Spread::of(&[80.0, 80.0], u32::MAX).unwrap();
        assert!((even.threshold - 80.0).abs() < 1e-6);
        assert_eq!(Spread::of(&[], 1900), None);
    }

    #[test]
    fn a_rate_is_taken_once_and_survives_any_number() {
        let rate = Rate::default();
        assert_eq!(rate.take().percent(), None);
        for at in 0..10 {
            rate.count(at % 5 != 0);
        }
        let window = rate.take();
        assert_eq!((window.attempts(), window.percent()), (10, Some(80.0)));
        assert_eq!(rate.take().percent(), None);
        rate.counts.store(u64::from(u32::MAX), Ordering::Relaxed);
        rate.count(true);
        assert_eq!(rate.take(), Window { successes: 0, attempts: u32::MAX });
    }
}
