//! How many retries may run at once when they follow the load of the cluster.
//!
//! A budget replaces `max_retries`: retries stay a share of the work at hand, so that a failing
//! upstream is not drowned in them. Called by [`crate::breaker`].
//! (envoy: config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget)

/// Units of [`RetryBudget::share`] in 100 %: seven decimal places of a percentage.
const WHOLE: u32 = 1_000_000_000;

/// A share of the active requests, with a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    share: u32,
    min_concurrency: u32,
}

impl RetryBudget {
    /// `percent` of active and pending requests, at least `min_concurrency` retries.
    /// A percentage outside 0 to 100 is brought into the range.
    #[must_use]
    pub fn new(percent: f64, min_concurrency: u32) -> Self {
        let share = (percent / 100.0 * f64::from(WHOLE)).round();
        // A cast saturates, and turns what is no number into 0.
        Self { share: (share as u32).min(WHOLE), min_concurrency }
    }

    /// Retries that may run at once while `active` requests are active or pending.
    #[must_use]
    pub fn limit(self, active: u32) -> u32 {
        // Rounded down, as in Envoy: 30 % of three requests is no retry.
        let share = u64::from(self.share) * u64::from(active) / u64::from(WHOLE);
        u32::try_from(share).unwrap_or(u32::MAX).max(self.min_concurrency)
    }

    /// Both numbers in one word, so that a living breaker changes them together. Never all ones.
    pub(crate) const fn to_bits(self) -> u64 {
        (self.share as u64) << 32 | self.min_concurrency as u64
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self { share: (bits >> 32) as u32, min_concurrency: bits as u32 }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(20.0, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_share_of_the_active_requests_with_a_floor() {
        for (budget, active, limit) in [
            (RetryBudget::default(), 0, 3),
            (RetryBudget::default(), 15, 3),
            (RetryBudget::default(), 100, 20),
            (RetryBudget::new(0.0, 0), 1000, 0),
            (RetryBudget::new(0.0, 2), 1000, 2),
            (RetryBudget::new(30.0, 0), 3, 0),
            (RetryBudget::new(100.0, 0), 1, 1),
            (RetryBudget::new(33.3, 0), 1000, 333),
            (RetryBudget::new(-1.0, 0), 1000, 0),
            (RetryBudget::new(100.0, 0), u32::MAX, u32::MAX),
            (RetryBudget::new(f64::NAN, 1), 9, 1),
            (RetryBudget::new(1e9, 0), 9, 9),
        ] {
            assert_eq!(budget.limit(active), limit, "{budget:?} of {active}");
            assert_eq!(RetryBudget::from_bits(budget.to_bits()), budget);
        }
    }
}
