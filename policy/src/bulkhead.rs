//! An exact limit on how many of something exist at once, over all threads of the process.
//!
//! Circuit breakers are made of bulkheads, and so is every other cap that must hold on all workers
//! together. Envoy's counterpart checks and increments in two steps and lets each worker go over the
//! limit by one; here limit and count lie in one word, so that admission is one compare-and-swap and
//! the count is never above what the limit was at that moment. Deliberately absent: waiting. What is not
//! admitted is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
mod tests;

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
