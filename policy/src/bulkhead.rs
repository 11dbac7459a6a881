//! An exact limit on how many of something exist at once, over all threads of the process.
//!
//! Circuit breakers are made of bulkheads, and so is every other cap that must hold on all workers
//! together. Envoy's counterpart checks and increments in two steps and lets each worker go over the
//! limit by one; here limit and count lie in one word, so that admission is one compare-and-swap and
//! the count is never above what the limit was at that moment. Deliberately absent: waiting. What is not
//! admitted is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A limit and the number of permits out. Shared by `Arc`; nothing in it blocks.
#[derive(Debug)]
pub struct Bulkhead {
    /// The limit in the upper half, the permits out in the lower.
    state: AtomicU64,
}

impl Bulkhead {
    /// A bulkhead that admits `limit` at once; 0 admits nothing.
    #[must_use]
    pub fn new(limit: u32) -> Arc<Self> {
        Arc::new(Self { state: AtomicU64::new(pack(limit, 0)) })
    }

    /// A permit, or `None` if the limit is reached.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.admit(|limit| limit)
    }

    /// A permit if fewer than `limit` are out, whatever the bulkhead's own limit is: for limits that
    /// follow the load, such as a retry budget.
    #[must_use]
    pub fn try_acquire_below(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        self.admit(|_| limit)
    }

    /// Changes the limit. Permits that are out stay out: after a lower limit nothing is admitted until
    /// enough of them have come back.
    pub fn set_limit(&self, limit: u32) {
        let change = |state| Some(pack(limit, used(state)));
        // The closure never refuses, so there is no error to look at.
        let _ = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        limit(self.state.load(Ordering::Relaxed))
    }

    /// Permits that are out.
    #[must_use]
    pub fn used(&self) -> u32 {
        used(self.state.load(Ordering::Relaxed))
    }

    /// How many more would be admitted now.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let state = self.state.load(Ordering::Relaxed);
        limit(state).saturating_sub(used(state))
    }

    /// True if nothing would be admitted now: the circuit breaker is open.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.remaining() == 0
    }

    fn admit(self: &Arc<Self>, effective: impl Fn(u32) -> u32) -> Option<Permit> {
        // `used` stays below a limit of at most u32::MAX, so adding one never reaches the upper half.
        let admit = |state| (used(state) < effective(limit(state))).then(|| state + 1);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, admit).ok()?;
        Some(Permit { bulkhead: Arc::clone(self) })
    }
}

/// One admission; dropping it makes room for the next.
#[derive(Debug)]
#[must_use = "a dropped permit admits the next at once"]
pub struct Permit {
    bulkhead: Arc<Bulkhead>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.bulkhead.state.fetch_sub(1, Ordering::Release);
    }
}

const fn pack(limit: u32, used: u32) -> u64 {
    (limit as u64) << 32 | used as u64
}

const fn limit(state: u64) -> u32 {
    (state >> 32) as u32
}

const fn used(state: u64) -> u32 {
    state as u32
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread;

    use super::*;

    #[test]
    fn it_admits_up_to_the_limit_and_again_after_a_drop() {
        let bulkhead = Bulkhead::new(2);
        let first = bulkhead.try_acquire().unwrap();
        let _second = bulkhead.try_acquire().unwrap();
        assert!(bulkhead.try_acquire().is_none() && bulkhead.is_full());
        drop(first);
        assert_eq!((bulkhead.used(), bulkhead.remaining()), (1, 1));
        assert!(bulkhead.try_acquire().is_some());
        assert!(Bulkhead::new(0).try_acquire().is_none());
    }

    #[test]
    fn a_new_limit_holds_at_once_and_keeps_the_permits_that_are_out() {
        let bulkhead = Bulkhead::new(3);
        let mut permits: Vec<_> = (0..3).map(|_| bulkhead.try_acquire().unwrap()).collect();
        bulkhead.set_limit(1);
        assert_eq!((bulkhead.used(), bulkhead.remaining()), (3, 0));
        permits.truncate(1);
        assert!(bulkhead.try_acquire().is_none());
        bulkhead.set_limit(u32::MAX);
        assert!(bulkhead.try_acquire().is_some());
        assert_eq!(bulkhead.used(), 1);
    }

    #[test]
    fn a_limit_from_outside_counts_the_same_permits() {
        let bulkhead = Bulkhead::new(0);
        let one = bulkhead.try_acquire_below(1);
        assert!(one.is_some() && bulkhead.try_acquire_below(1).is_none());
        assert!(bulkhead.try_acquire_below(2).is_some());
    }

    #[test]
    fn threads_never_pass_the_limit_together_and_lose_no_permit() {
        const LIMIT: u32 = 3;
        let bulkhead = Bulkhead::new(LIMIT);
        let (inside, most, admitted) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let Some(_permit) = bulkhead.try_acquire() else { continue };
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        admitted.fetch_add(1, Ordering::SeqCst);
                        if round % 64 == 0 {
                            thread::yield_now();
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
            scope.spawn(|| {
                for round in 0..10_000 {
                    bulkhead.set_limit(LIMIT - round % 2);
                }
                bulkhead.set_limit(LIMIT);
            });
        });
        assert!(most.into_inner() <= LIMIT);
        assert!(admitted.into_inner() > 0);
        assert_eq!((bulkhead.used(), bulkhead.limit()), (0, LIMIT));
    }
}
