//! Whether a count that chance decided is as it should be.

use std::fmt;

/// Deviations from the mean that are allowed. Beyond five of them chance goes once in 1.7 million runs.
const DEVIATIONS: f64 = 5.0;

/// A share of a number of trials, in percent, with what was expected of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    percent: f64,
    expected: f64,
    tolerance: f64,
}

impl Share {
    /// `hits` of `trials`, each of which had `expected` percent of a chance.
    #[expect(clippy::cast_precision_loss, reason = "a demonstration counts thousands")]
    pub(super) fn new(hits: usize, trials: usize, expected: f64) -> Self {
        let trials = trials.max(1) as f64;
        let tolerance = DEVIATIONS * (expected * (100.0 - expected) / trials).sqrt();
        Self { percent: 100.0 * hits as f64 / trials, expected, tolerance }
    }

    pub(super) fn is_plausible(&self) -> bool {
        (self.percent - self.expected).abs() <= self.tolerance
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.1} % ({:.0} ± {:.1} expected)", self.percent, self.expected, self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_deviations_are_chance_and_more_are_not() {
        let share = |hits| Share::new(hits, 2000, 20.0);
        assert_eq!(share(391).to_string(), "19.6 % (20 ± 4.5 expected)");
        assert!(share(311).is_plausible() && share(489).is_plausible());
        assert!(!share(310).is_plausible() && !share(490).is_plausible());
    }
}
