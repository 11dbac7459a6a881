//! What picks move forward: one worker's place in a balancer.
//!
//! Each list of hosts that a balancer can choose from has a slot: an index that rotates, or a schedule
//! for unequal weights. Slots are filled at first use, so a cursor of a cluster with equal weights stays
//! a few words and a pick allocates nothing.

use rand::Rng;

use super::schedule::Schedule;
use crate::draw::below;

/// A worker's place in the balancers of one cluster. One cursor per worker and cluster, used with
/// whichever balancer is the newest.
#[derive(Debug, Default)]
pub struct Cursor {
    balancer: u64,
    slots: Vec<Slot>,
}

impl Cursor {
    /// A cursor that starts anywhere.
    #[must_use]
    pub const fn new() -> Self {
        Self { balancer: 0, slots: Vec::new() }
    }

    /// Makes the cursor one of the balancer `balancer` (never 0) with `slots` slots. Indexes go on where
    /// they were, so that frequent changes of a host set do not make a rotation random; schedules start
    /// anew.
    pub(super) fn bind(&mut self, balancer: u64, slots: usize) {
        if self.balancer == balancer {
            return;
        }
        self.balancer = balancer;
        self.slots.resize_with(slots, Slot::default);
        for slot in &mut self.slots {
            if matches!(slot, Slot::Schedule(_)) {
                *slot = Slot::Fresh;
            }
        }
    }

    /// The slot at `at`, which is below the number that [`Cursor::bind`] was given.
    pub(super) fn slot(&mut self, at: u32) -> Option<&mut Slot> {
        self.slots.get_mut(at as usize)
    }
}

/// The place in one list.
#[derive(Debug, Default)]
pub(super) enum Slot {
    /// Not used yet.
    #[default]
    Fresh,
    /// The entry that is next, modulo their number.
    Index(u32),
    /// The order of entries of unequal weight.
    Schedule(Schedule),
}

impl Slot {
    /// The next of `len` entries in rotation, from a random start.
    pub(super) fn rotate(&mut self, len: u32, rng: &mut impl Rng) -> u32 {
        let index = match self {
            Self::Index(next) => *next,
            _ => below(len, rng),
        };
        let index = if index < len { index } else { 0 };
        *self = Self::Index(index + 1);
        index
    }

    /// The next of `entries` by weight.
    pub(super) fn schedule<E>(
        &mut self,
        entries: &[E],
        weight: impl Fn(&E) -> f64,
        rng: &mut impl Rng,
    ) -> u32 {
        let weight_at = |at: u32| entries.get(at as usize).map_or(0.0, &weight);
        if let Self::Schedule(schedule) = self {
            return schedule.next(weight_at).unwrap_or_default();
        }
        let mut schedule = Schedule::new(entries.len() as u32, weight_at, rng);
        let first = schedule.next(weight_at).unwrap_or_default();
        *self = Self::Schedule(schedule);
        first
    }
}
