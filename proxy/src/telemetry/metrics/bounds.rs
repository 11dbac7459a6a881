//! The bucket bounds of histograms, shared by all histograms that have the same.
//! (envoy: config.metrics.v3.HistogramBucketSettings)
//!
//! Samples are whole numbers (milliseconds, bytes, percent), so a bound is compared as its floor; the
//! bound as configured is what `le="…"` shows. Which histogram gets which bounds is decided once, when
//! its family instance is made.

use std::sync::Arc;

use outrigger_policy::matcher::StringMatcher;

use super::number::significant;

/// Envoy's bounds where no setting matches. (envoy: HistogramSettingsImpl::defaultBuckets)
const DEFAULT: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// A histogram owns a cell for each bucket and worker: a configuration must not ask for millions.
const MAX_BOUNDS: usize = 256;

/// Upper bounds, ascending, without the last `+Inf`.
#[derive(Debug)]
pub struct Bounds {
    limits: Box<[f64]>,
    /// The greatest whole number within each limit.
    floors: Box<[u64]>,
    /// Each limit as Prometheus shows it.
    labels: Box<[Box<str>]>,
}

/// Why a list of bounds is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BoundsError {
    /// Not a positive number.
    #[error("histogram bucket {0} is not above 0 and finite")]
    NotPositive(f64),
    /// Too many.
    #[error("{0} histogram buckets, more than {MAX_BOUNDS}")]
    TooMany(usize),
    /// None at all.
    #[error("no histogram buckets")]
    Empty,
}

impl Bounds {
    /// Bounds in any order; doubles count once.
    ///
    /// # Errors
    /// If there is none, one that is not above 0 and finite, or more than 256.
    pub fn new(limits: &[f64]) -> Result<Self, BoundsError> {
        if limits.is_empty() {
            return Err(BoundsError::Empty);
        }
        if limits.len() > MAX_BOUNDS {
            return Err(BoundsError::TooMany(limits.len()));
        }
        if let Some(bad) = limits.iter().find(|limit| !(limit.is_finite() && **limit > 0.0)) {
            return Err(BoundsError::NotPositive(*bad));
        }
        Ok(Self::ascending(limits))
    }

    fn ascending(limits: &[f64]) -> Self {
        let mut limits = limits.to_vec();
        limits.sort_by(f64::total_cmp);
        limits.dedup();
        // The cast saturates.
        let floors = limits.iter().map(|limit| limit.floor() as u64).collect();
        let labels = limits.iter().map(|limit| significant(*limit, 32).into()).collect();
        Self { limits: limits.into(), floors, labels }
    }

    /// The bounds as configured.
    #[must_use]
    pub fn limits(&self) -> &[f64] {
        &self.limits
    }

    /// Each bound as Prometheus shows it in `le`.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| &**label)
    }

    /// The whole numbers that bucket `index` holds, first and last. The bucket above all bounds is
    /// given as if it held only the greatest bound, since nothing is known of its end.
    #[must_use]
    pub fn span(&self, index: usize) -> (u64, u64) {
        let greatest = self.floors.last().copied().unwrap_or(0);
        let last = self.floors.get(index).copied().unwrap_or(greatest);
        let first = match index.checked_sub(1).and_then(|below| self.floors.get(below)) {
            Some(below) => below.saturating_add(1).min(last),
            None => 0,
        };
        (first, last)
    }

    /// The bucket of `value`: the first whose bound is not below it, else the one above all bounds.
    #[inline]
    #[must_use]
    pub fn bucket(&self, value: u64) -> usize {
        // Most samples are small and the bounds few: a scan ends sooner than a search.
        self.floors.iter().position(|floor| *floor >= value).unwrap_or(self.floors.len())
    }
}

/// Which histogram has which bounds; the first rule that matches the stat's full name decides.
#[derive(Debug)]
pub(super) struct BoundsRules {
    rules: Box<[(StringMatcher, Arc<Bounds>)]>,
    default: Arc<Bounds>,
}

impl BoundsRules {
    /// `rules` in the order of the configuration.
    #[must_use]
    pub(super) fn new(rules: Vec<(StringMatcher, Bounds)>) -> Self {
        Self {
            rules: rules.into_iter().map(|(matcher, bounds)| (matcher, Arc::new(bounds))).collect(),
            default: Arc::new(Bounds::ascending(&DEFAULT)),
        }
    }

    /// The bounds of the histogram with this full name.
    #[must_use]
    pub(super) fn of(&self, name: &str) -> Arc<Bounds> {
        let rule = self.rules.iter().find(|(matcher, _)| matcher.matches(name.as_bytes()));
        Arc::clone(rule.map_or(&self.default, |(_, bounds)| bounds))
    }
}

#[cfg(test)]
mod tests {
    use outrigger_policy::matcher::StringRule;

    use super::*;

    #[test]
    fn a_value_at_a_bound_counts_below_it() {
        let bounds = Bounds::new(&[10.0, 0.5, 1.0, 10.0]).unwrap();
        assert_eq!(bounds.limits(), [0.5, 1.0, 10.0]);
        for (value, bucket) in [(0, 0), (1, 1), (2, 2), (10, 2), (11, 3), (u64::MAX, 3)] {
            assert_eq!(bounds.bucket(value), bucket, "{value}");
        }
    }

    #[test]
    fn a_bucket_spans_whole_numbers() {
        let bounds = Bounds::new(&[0.5, 1.0, 1.5, 10.0]).unwrap();
        let spans: Vec<_> = (0..5).map(|index| bounds.span(index)).collect();
        assert_eq!(spans, [(0, 0), (1, 1), (1, 1), (2, 10), (10, 10)]);
    }

    #[test]
    fn bounds_that_make_no_sense_are_refused() {
        assert_eq!(Bounds::new(&[]).unwrap_err(), BoundsError::Empty);
        assert_eq!(Bounds::new(&[1.0, -1.0]).unwrap_err(), BoundsError::NotPositive(-1.0));
        assert!(matches!(Bounds::new(&[f64::NAN]), Err(BoundsError::NotPositive(_))));
        let many = vec![1.0; MAX_BOUNDS + 1];
        assert_eq!(Bounds::new(&many).unwrap_err(), BoundsError::TooMany(MAX_BOUNDS + 1));
    }

    #[test]
    fn the_first_matching_rule_gives_the_bounds() {
        let rule = |rule, limit| (StringMatcher::new(rule, false), Bounds::new(&[limit]).unwrap());
        let rules = BoundsRules::new(vec![
            rule(StringRule::Suffix(b"_size".as_slice().into()), 7.0),
            rule(StringRule::Prefix(b"cluster.".as_slice().into()), 8.0),
        ]);
        assert_eq!(rules.of("cluster.a.body_size").limits(), [7.0]);
        assert_eq!(rules.of("cluster.a.time").limits(), [8.0]);
        assert_eq!(rules.of("http.a.time").limits(), DEFAULT);
    }
}
