//! Injected faults: how long a request is held up, and how it is aborted.
//! (envoy: extensions.filters.http.fault.v3.HTTPFault)
//!
//! The filter asks [`Fault::decide`] once per request, waits for the delay (flag `DI`) and then aborts (flag
//! `FI`) or sends the request on. Counting active faults, waiting and the reply are the caller's. Absent:
//! `response_rate_limit`, runtime keys and statistics per downstream cluster.

use std::time::Duration;

use rand::Rng;

use crate::fraction::Fraction;
use crate::head::{Headers, Id, RequestHead};
use crate::matcher::HeaderMatcher;

/// `%RESPONSE_CODE_DETAILS%` of an aborted request.
pub const ABORT_DETAILS: &str = "fault_filter_abort";

/// The body that Envoy gives to an aborted request.
pub const ABORT_BODY: &str = "fault filter abort";

/// The longest delay that a request may ask for: far more than any timeout, and safe to add to a clock.
const MAX_DELAY_MS: u64 = u32::MAX as u64;

/// Which faults are injected, and into which requests.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// Holds requests up.
    pub delay: Option<Delay>,
    /// Aborts requests, after the delay if there is one.
    pub abort: Option<Abort>,
    /// Only requests whose route leads to this cluster.
    pub upstream_cluster: Option<Box<str>>,
    /// Only requests that match all of these.
    pub headers: Vec<HeaderMatcher>,
    /// Only requests with one of these names in `x-envoy-downstream-service-node`, unless empty.
    pub downstream_nodes: Vec<Box<str>>,
    /// How many delays may be running at a time. The caller takes a place before it injects a plan and gives
    /// it back when the delay ends; without a place it sends the request on and counts
    /// `faults_overflow`.
    pub max_active_faults: Option<u32>,
}

/// A share of requests that is held up. (envoy: extensions.filters.common.fault.v3.FaultDelay)
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    /// How long.
    pub by: DelayBy,
    /// Of how many requests.
    pub percentage: Fraction,
}

/// How long a request is held up.
#[derive(Clone, Copy, Debug)]
pub enum DelayBy {
    /// For this time, in whole milliseconds.
    Fixed(Duration),
    /// For as many milliseconds as `x-envoy-fault-delay-request` says;
    /// `x-envoy-fault-delay-request-percentage` may lower the share.
    Header,
}

/// A share of requests that is aborted. (envoy: extensions.filters.http.fault.v3.FaultAbort)
#[derive(Clone, Debug)]
pub struct Abort {
    /// With which status.
    pub with: AbortWith,
    /// Of how many requests.
    pub percentage: Fraction,
    /// The body, and the gRPC message; [`ABORT_BODY`] unless configured.
    pub body: Box<str>,
}

/// With which status a request is aborted.
#[derive(Clone, Copy, Debug)]
pub enum AbortWith {
    /// This one.
    Status(AbortStatus),
    /// The one in `x-envoy-fault-abort-request` or else in `x-envoy-fault-abort-grpc-request`;
    /// `x-envoy-fault-abort-request-percentage` may lower the share.
    Header,
}

/// The status of an abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// A status of HTTP, 200 to 599; a gRPC client gets the gRPC status that stands for it.
    Http(u16),
    /// A status of gRPC; a client that speaks no gRPC gets 200.
    Grpc(u32),
}

/// What is injected into one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Holds the request up; never zero.
    pub delay: Option<Duration>,
    /// Aborts it after that.
    pub abort: Option<AbortStatus>,
}

impl Plan {
    /// True if the request is left alone.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.delay.is_none() && self.abort.is_none()
    }
}

impl Fault {
    /// Plans the faults of one request; `cluster` is where its route leads, if it leads to a cluster.
    pub fn decide(&self, head: &RequestHead, cluster: Option<&str>, rng: &mut impl Rng) -> Plan {
        if !self.applies(head, cluster) {
            return Plan::default();
        }
        Plan {
            delay: self.delay.and_then(|delay| delay.draw(&head.headers, rng)),
            abort: self.abort.as_ref().and_then(|abort| abort.draw(&head.headers, rng)),
        }
    }

    fn applies(&self, head: &RequestHead, cluster: Option<&str>) -> bool {
        self.upstream_cluster.as_deref().is_none_or(|only| cluster == Some(only))
            && self.is_from_node(&head.headers)
            && self.headers.iter().all(|matcher| matcher.matches(head))
    }

    fn is_from_node(&self, headers: &Headers) -> bool {
        let mut lines = headers.get_all_id(Id::X_ENVOY_DOWNSTREAM_SERVICE_NODE);
        let node = (lines.next(), lines.next());
        self.downstream_nodes.is_empty()
            || matches!(node, (Some(node), None) if self.names_node(node))
    }

    fn names_node(&self, node: &[u8]) -> bool {
        self.downstream_nodes.iter().any(|name| name.as_bytes() == node)
    }
}

impl Delay {
    fn draw(self, headers: &Headers, rng: &mut impl Rng) -> Option<Duration> {
        let (delay_ms, percentage) = match self.by {
            DelayBy::Fixed(delay) => {
                (u64::try_from(delay.as_millis()).unwrap_or(MAX_DELAY_MS), self.percentage)
            }
            DelayBy::Header => (
                number(headers, Id::X_ENVOY_FAULT_DELAY_REQUEST)?,
                lowered(self.percentage, headers, Id::X_ENVOY_FAULT_DELAY_REQUEST_PERCENTAGE),
            ),
        };
        let hit = delay_ms > 0 && percentage.holds(rng.next_u64());
        hit.then(|| Duration::from_millis(delay_ms.min(MAX_DELAY_MS)))
    }
}

impl Abort {
    fn draw(&self, headers: &Headers, rng: &mut impl Rng) -> Option<AbortStatus> {
        let (status, percentage) = match self.with {
            AbortWith::Status(status) => (status, self.percentage),
            AbortWith::Header => (
                requested_status(headers)?,
                lowered(self.percentage, headers, Id::X_ENVOY_FAULT_ABORT_REQUEST_PERCENTAGE),
            ),
        };
        percentage.holds(rng.next_u64()).then_some(status)
    }
}

fn requested_status(headers: &Headers) -> Option<AbortStatus> {
    let http = number::<u16>(headers, Id::X_ENVOY_FAULT_ABORT_REQUEST);
    match http.filter(|status| (200..600).contains(status)) {
        Some(status) => Some(AbortStatus::Http(status)),
        None => number(headers, Id::X_ENVOY_FAULT_ABORT_GRPC_REQUEST).map(AbortStatus::Grpc),
    }
}

/// A request may lower the configured share, never raise it.
fn lowered(percentage: Fraction, headers: &Headers, id: Id) -> Fraction {
    number(headers, id).map_or(percentage, |numerator| percentage.at_most(numerator))
}

/// The number in the first line of `id`.
fn number<N: std::str::FromStr>(headers: &Headers, id: Id) -> Option<N> {
    std::str::from_utf8(headers.get(id)?).ok()?.trim_ascii().parse().ok()
}

#[cfg(test)]
mod tests;
