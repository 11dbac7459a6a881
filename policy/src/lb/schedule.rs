//! Entries of unequal weight in turn: earliest deadline first.
//!
//! An entry of weight w comes up every 1/w of a virtual time, so that over any stretch each gets its
//! share to within a pick or two, evenly spread. Hosts and localities are scheduled with it. Where Envoy
//! starts all schedules of a cluster at one random pick, here every entry starts at a random phase:
//! the first pick is already proportional to the weights, and no two workers or proxies move in step.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use rand::Rng;

/// A weight that still lets the virtual time advance. Weights below, and those that are no number,
/// are raised to it.
const LEAST_WEIGHT: f64 = 1e-9;

/// The order in which entries `0..n` come up.
#[derive(Debug)]
pub(super) struct Schedule {
    turns: BinaryHeap<Turn>,
}

impl Schedule {
    /// A schedule of `len` entries at a random point of its course.
    pub(super) fn new(len: u32, weight: impl Fn(u32) -> f64, rng: &mut impl Rng) -> Self {
        let total: f64 = (0..len).map(|entry| usable(weight(entry))).sum();
        // The entry that is due now is drawn by weight; the others are somewhere in their interval.
        let mut until_due = unit(rng) * total;
        let turns = (0..len).map(|entry| {
            let weight = usable(weight(entry));
            let is_due = (0.0..weight).contains(&until_due);
            until_due -= weight;
            Turn { deadline: if is_due { 0.0 } else { unit(rng) / weight }, entry }
        });
        Self { turns: turns.collect() }
    }

    /// The next entry, whose weight from now on is `weight(entry)`. `None` without entries.
    pub(super) fn next(&mut self, weight: impl Fn(u32) -> f64) -> Option<u32> {
        let mut first = self.turns.peek_mut()?;
        let entry = first.entry;
        first.deadline += 1.0 / usable(weight(entry));
        drop::<PeekMut<'_, Turn>>(first);
        Some(entry)
    }
}

/// When an entry comes up next.
#[derive(Debug)]
struct Turn {
    deadline: f64,
    entry: u32,
}

impl Ord for Turn {
    /// The heap holds its greatest on top: the earliest deadline, and of equal ones the first entry.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.entry.cmp(&self.entry))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

fn usable(weight: f64) -> f64 {
    // `max` returns the other operand for a NaN.
    weight.max(LEAST_WEIGHT)
}

/// A number in `[0, 1)`.
fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn counts(weights: &[f64], picks: usize, seed: u64) -> Vec<usize> {
        let weight = |entry: u32| weights[entry as usize];
        let mut rng = StdRng::seed_from_u64(seed);
        let mut schedule = Schedule::new(weights.len() as u32, weight, &mut rng);
        let mut counts = vec![0; weights.len()];
        for _ in 0..picks {
            counts[schedule.next(weight).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn each_gets_its_share_of_any_number_of_picks() {
        for seed in 0..50 {
            for picks in [1, 7, 60, 1200] {
                let counts = counts(&[1.0, 2.0, 3.0], picks, seed);
                for (weight, count) in [1.0, 2.0, 3.0].into_iter().zip(counts) {
                    let share = picks as f64 * weight / 6.0;
                    assert!((count as f64 - share).abs() <= 2.0, "{weight}: {count} of {picks}");
                }
            }
        }
    }

    #[test]
    fn the_first_pick_is_drawn_by_weight() {
        let firsts = (0..4000).filter(|seed| counts(&[1.0, 3.0], 1, *seed) == [0, 1]).count();
        assert!((2880..3120).contains(&firsts), "{firsts}");
    }

    #[test]
    fn a_weight_that_changes_counts_from_the_next_turn() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut schedule = Schedule::new(2, |_| 1.0, &mut rng);
        let picks: Vec<_> =
            (0..30).map(|_| schedule.next(|entry| f64::from(entry * 9 + 1)).unwrap()).collect();
        let second = picks.iter().filter(|entry| **entry == 1).count();
        assert!((26..=28).contains(&second), "{second}");
    }

    #[test]
    fn odd_weights_are_harmless() {
        let weights = [0.0, f64::NAN, -1.0, f64::INFINITY, 1.0];
        assert_eq!(counts(&weights, 100, 1).iter().sum::<usize>(), 100);
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(Schedule::new(0, |_| 1.0, &mut rng).next(|_| 1.0), None);
    }
}
