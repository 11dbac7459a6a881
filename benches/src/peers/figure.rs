//! The arithmetic of the table: percentiles, medians, ratios.

/// The value below which `share` of the sorted values lie, by the nearest rank; none of an empty list.
#[must_use]
pub fn percentile(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// The middle value, or the mean of the two in the middle; none of an empty list.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle - 1)?, upper))
}

/// What the right side costs in units of the left one, and how far the rounds lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Of the ratios of the rounds: a disturbance that hits both sides of a round cancels out, one that hits one side is an outlier.
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// The ratio of `(left, right)` costs, one pair for each round; none without rounds.
#[must_use]
pub fn ratio(rounds: &[(f64, f64)]) -> Option<Ratio> {
    let ratios: Vec<f64> = rounds.iter().map(|(left, right)| right / left).collect();
    Some(Ratio {
        median: median(ratios.iter().copied())?,
        least: ratios.iter().copied().min_by(f64::total_cmp)?,
        most: ratios.iter().copied().max_by(f64::total_cmp)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_of_the_list_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        for (share, wanted) in [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)] {
            assert_eq!(percentile(&hundred, share), Some(wanted), "{share}");
        }
        assert_eq!(percentile(&[7], 0.99), Some(7));
        assert_eq!(percentile(&[1, 2, 3], 0.5), Some(2));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_median_does_not_follow_an_outlier() {
        assert_eq!(median([3.0, 1000.0, 1.0]), Some(3.0));
        assert_eq!(median([4.0, 1.0, 2.0, 1000.0]), Some(3.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_each_round_and_not_between_rounds() {
        // The machine was twice as slow in the second round: medians of the sides would say 0.375.
        let found = ratio(&[(100.0, 25.0), (200.0, 50.0), (100.0, 50.0)]).unwrap();
        assert_eq!(found, Ratio { median: 0.25, least: 0.25, most: 0.5 });
        assert_eq!(ratio(&[]), None);
    }
}
