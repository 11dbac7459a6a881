//! Whether, when and where an attempt is made again.
//!
//! The stage `retry` compiles a [`RetryPolicy`] with the route, begins a [`RetryState`] per request and
//! asks it after every attempt. One file per question: `conditions` (is this outcome retriable),
//! `backoff` (when), `budget` (are there too many already), `predicate` and `priority` (on which host). Deliberately
//! absent: hedging, and the buffering that makes a retry possible.
//! (envoy: config.route.v3.RetryPolicy)

mod backoff;
mod budget;
mod conditions;
mod policy;
mod predicate;
mod priority;
mod state;
#[cfg(test)]
mod tests;

pub use self::backoff::{BackOff, RateLimitedBackOff, ResetFormat};
pub use self::budget::RetryBudget;
pub use self::conditions::{Conditions, Family};
pub use self::policy::RetryPolicy;
pub use self::predicate::PreviousHosts;
pub use self::priority::PreviousPriorities;
pub use self::state::{Decision, RetryState, Wait};

use crate::head::ResponseHead;

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The head of a response arrived.
    Response(&'a ResponseHead),
    /// It ended without.
    Reset(Reset),
}

/// An attempt that ended before a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// What ended it.
    pub reason: ResetReason,
    /// The request's head was handed to a connection, so the upstream may have acted on it.
    pub request_started: bool,
}

/// What ended an attempt, as far as retries care. The timeout of the route is not here: after it
/// nothing is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// A circuit breaker was full. Never retried.
    Overflow,
    /// No connection came up: refused, timed out, failed handshake.
    ConnectFailure,
    /// The upstream refused the stream unseen: HTTP/2 `REFUSED_STREAM`.
    RefusedStream,
    /// Anything else: stream reset, connection closed, protocol error, timeout of the attempt.
    Other,
}
