//! A choice among weighted items. (envoy: config.route.v3.WeightedCluster)
//!
//! The random value, modulo the sum of weights, falls into the share of one item; shares lie in the order
//! of configuration, so that a value means the same item in Envoy and here.

use std::num::NonZeroU64;

/// Items with shares of a random value.
#[derive(Clone, Debug)]
pub struct Split<T> {
    total: NonZeroU64,
    /// All items but the last, each with the end of its share: the sum of weights so far.
    before: Box<[(u64, T)]>,
    /// Takes what is left.
    last: T,
}

/// Weights make no split. The texts are Envoy's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// There is no item, or no item has a weight.
    #[error("Sum of weights in the weighted_cluster must be greater than 0.")]
    NoWeight,
    /// The sum does not fit into 32 bits.
    #[error("The sum of weights of all weighted clusters of route {route} exceeds 4294967295")]
    TooHeavy {
        /// Name of the route.
        route: String,
    },
}

impl<T> Split<T> {
    /// A split of `(weight, item)`; `route` is for the error. An item of weight 0 is never picked.
    ///
    /// # Errors
    /// If the weights sum up to nothing or to more than 32 bits hold.
    pub fn new(items: impl IntoIterator<Item = (u32, T)>, route: &str) -> Result<Self, SplitError> {
        let mut end: u64 = 0;
        let mut before = Vec::new();
        for (weight, item) in items {
            end += u64::from(weight);
            if end > u64::from(u32::MAX) {
                return Err(SplitError::TooHeavy { route: route.to_owned() });
            }
            before.push((end, item));
        }
        let total = NonZeroU64::new(end).ok_or(SplitError::NoWeight)?;
        let (_, last) = before.pop().ok_or(SplitError::NoWeight)?;
        Ok(Self { total, before: before.into(), last })
    }

    /// The item whose share holds `random`.
    #[must_use]
    pub fn pick(&self, random: u64) -> &T {
        let value = random % self.total;
        let index = self.before.partition_point(|(end, _)| *end <= value);
        self.before.get(index).map_or(&self.last, |(_, item)| item)
    }

    /// All items, in order, those of weight 0 included.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.before.iter().map(|(_, item)| item).chain([&self.last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed on Envoy 1.40 with a random value of the request's own (`header_name`).
    #[test]
    fn a_value_means_the_item_that_envoy_takes() {
        let split = Split::new([(3, "a"), (7, "b")], "r").unwrap();
        for (random, expected) in [
            (0, "a"),
            (2, "a"),
            (3, "b"),
            (9, "b"),
            (10, "a"),
            (12, "a"),
            (13, "b"),
            (u64::MAX, "b"),
        ] {
            assert_eq!(*split.pick(random), expected, "{random}");
        }
    }

    #[test]
    fn every_item_gets_its_weight_and_none_without_weight() {
        for weights in [vec![1], vec![0, 7], vec![7, 0], vec![0, 3, 0, 0, 5, 0], vec![1; 50]] {
            let split = Split::new(weights.iter().copied().zip(0..), "r").unwrap();
            let mut counts = vec![0; weights.len()];
            for random in 0..u64::from(weights.iter().sum::<u32>()) {
                counts[*split.pick(random)] += 1;
            }
            assert_eq!(counts, weights);
            assert_eq!(split.iter().count(), weights.len());
        }
    }

    #[test]
    fn weights_without_a_sum_are_refused() {
        assert_eq!(Split::<()>::new([], "r").unwrap_err(), SplitError::NoWeight);
        assert_eq!(Split::new([(0, 1), (0, 2)], "r").unwrap_err(), SplitError::NoWeight);
        let heavy = Split::new([(u32::MAX, 1), (1, 2)], "r").unwrap_err();
        assert_eq!(heavy, SplitError::TooHeavy { route: "r".into() });
        assert!(Split::new([(u32::MAX, 1), (0, 2)], "r").is_ok());
    }
}
