//! The retries of one request: what was asked for, what is left, and the decision after each attempt.

use std::time::{Duration, SystemTime};

use rand::Rng;

use super::conditions::{Conditions, Seen};
use super::{Outcome, RetryPolicy};
use crate::breaker::Breaker;
use crate::bulkhead::Permit;
use crate::head::Name;

/// What happens after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The outcome is final: it is not retriable. If there was a retry before, it succeeded
    /// (envoy: stat `upstream_rq_retry_success`).
    No,
    /// Try again after this wait (envoy: stat `upstream_rq_retry`).
    Retry(Wait),
    /// The outcome is final: all retries are used. Response flag `URX`
    /// (envoy: stat `upstream_rq_retry_limit_exceeded`).
    Exhausted,
    /// The outcome is final: too many retries of the cluster are under way. Response flag `UO`
    /// (envoy: stat `upstream_rq_retry_overflow`).
    Overflow,
}

/// How long to wait, and by what rule: each has its statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: the upstream answered 425.
    None,
    /// (envoy: stat `upstream_rq_retry_backoff_exponential`)
    Exponential(Duration),
    /// (envoy: stat `upstream_rq_retry_backoff_ratelimited`)
    RateLimited(Duration),
}

impl Wait {
    /// The time before the next attempt.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Exponential(duration) | Self::RateLimited(duration) => duration,
        }
    }
}

/// The retries of one request. Made by [`RetryPolicy::begin`]; the same policy goes into every decision.
#[derive(Debug)]
pub struct RetryState {
    retry_on: Conditions,
    is_early_data: bool,
    remaining: u32,
    /// Waits drawn from the exponential back-off so far.
    back_offs: u32,
    from_headers: Option<Box<FromHeaders>>,
    /// Counts the retry that is waiting or under way.
    permit: Option<Permit>,
}

/// What the headers of the request add to the policy's lists.
#[derive(Debug)]
pub(super) struct FromHeaders {
    pub(super) status_codes: Vec<u16>,
    pub(super) header_names: Vec<Name>,
}

impl RetryState {
    pub(super) const fn new(
        retry_on: Conditions,
        retries: u32,
        is_early_data: bool,
        from_headers: Option<Box<FromHeaders>>,
    ) -> Self {
        let (back_offs, permit) = (0, None);
        Self { retry_on, is_early_data, remaining: retries, back_offs, from_headers, permit }
    }

    /// Decides after an attempt ended with `outcome` and nothing of it has gone downstream.
    ///
    /// A retry counts against `breaker` from this decision to the next, or until the state is dropped.
    /// `now` is the wall clock, read for responses that say until when to wait.
    pub fn decide(
        &mut self,
        policy: &RetryPolicy,
        outcome: Outcome<'_>,
        breaker: &Breaker,
        now: SystemTime,
        rng: &mut impl Rng,
    ) -> Decision {
        self.permit = None;
        let seen = self.seen(policy, outcome);
        if !self.retry_on.are_met(&seen) {
            return Decision::No;
        }
        let needs_no_wait = self.retry_on.needs_no_wait(&seen);
        let Some(remaining) = self.remaining.checked_sub(1) else { return Decision::Exhausted };
        self.remaining = remaining;
        self.permit = breaker.try_acquire_retry();
        if self.permit.is_none() {
            return Decision::Overflow;
        }
        if needs_no_wait {
            return Decision::Retry(Wait::None);
        }
        if let (Outcome::Response(head), Some(limited)) = (outcome, &policy.rate_limited_back_off)
            && let Some(wait) = limited.wait(&head.headers, now, rng)
        {
            return Decision::Retry(Wait::RateLimited(wait));
        }
        self.back_offs = self.back_offs.saturating_add(1);
        Decision::Retry(Wait::Exponential(policy.back_off.wait(self.back_offs, rng)))
    }

    fn seen<'a>(&'a self, policy: &'a RetryPolicy, outcome: Outcome<'a>) -> Seen<'a> {
        let added = self.from_headers.as_deref();
        let added_codes = added.map_or(&[][..], |added| &added.status_codes);
        Seen {
            outcome,
            status_codes: [&policy.retriable_status_codes, added_codes],
            headers: &policy.retriable_headers,
            header_names: added.map_or(&[], |added| &added.header_names),
            is_early_data: self.is_early_data,
        }
    }
}
