//! Which priorities a retry should leave alone: those of the hosts that were tried.
//!
//! Given to [`crate::lb::Balancer::shares_without`] before a pick. When no other priority can carry anything it begins again.
//! (envoy: extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig)

use std::num::NonZeroU32;

use smallvec::SmallVec;

/// The priorities that a request was sent to.
#[derive(Debug)]
pub struct PreviousPriorities {
    after: NonZeroU32,
    attempts: u32,
    tried: SmallVec<[u32; 4]>,
    excluded: SmallVec<[u32; 4]>,
}

impl PreviousPriorities {
    /// Nothing was tried; the choice changes after each `after` attempts.
    #[must_use]
    pub fn new(after: NonZeroU32) -> Self {
        Self { after, attempts: 0, tried: SmallVec::new(), excluded: SmallVec::new() }
    }

    /// Notes an attempt at a host of `priority`.
    pub fn add(&mut self, priority: u32) {
        self.attempts = self.attempts.saturating_add(1);
        // There are no more priorities than a cluster has, so this stays short.
        if !self.tried.contains(&priority) {
            self.tried.push(priority);
        }
        if self.attempts.is_multiple_of(self.after.get()) {
            self.excluded.clone_from(&self.tried);
        }
    }

    /// The priorities that get nothing; empty at first.
    #[must_use]
    pub fn excluded(&self) -> &[u32] {
        &self.excluded
    }

    /// Begins again: the others can carry nothing.
    pub fn forget(&mut self) {
        self.attempts = 0;
        self.tried.clear();
        self.excluded.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_left_after_each_such_number_of_attempts() {
        let mut previous = PreviousPriorities::new(NonZeroU32::new(2).unwrap());
        previous.add(0);
        assert_eq!(previous.excluded(), [0; 0]);
        previous.add(0);
        assert_eq!(previous.excluded(), [0]);
        previous.add(1);
        assert_eq!(previous.excluded(), [0], "only after the second");
        previous.add(2);
        assert_eq!(previous.excluded(), [0, 1, 2]);
        previous.forget();
        previous.add(1);
        assert_eq!(previous.excluded(), [0; 0]);
    }
}
