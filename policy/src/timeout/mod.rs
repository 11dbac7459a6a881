//! How long a request may take, and what the upstream is told of it.
//!
//! Called by the stage `deadline` twice: when the route is known, for the limit on the whole stream
//! ([`TimeoutPolicy::stream_duration`]), and when the request goes upstream, for the timeouts of route
//! and attempt ([`TimeoutPolicy::resolve`]). All is counted in whole milliseconds, as in Envoy, and 0 is
//! no timeout. Deliberately absent: idle timeouts of streams and connections, which no header changes.
//!
//! A route with `max_stream_duration`, even an empty one, has no `timeout` of its own: it takes over.

mod grpc;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::head::{Id, RequestHead, integer};

/// The longest time that a timer is set to, so that adding it to a point in time cannot overflow.
/// What the upstream is told is not cut.
const LONGEST_MS: u64 = 365 * 24 * 3600 * 1000;

/// What a route says about timeouts. (envoy: config.route.v3.RouteAction)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutPolicy {
    /// `timeout`: from the end of the request to the end of the response, retries included.
    pub timeout_ms: u64,
    /// `max_stream_duration`
    pub max_stream_duration: Option<MaxStreamDuration>,
    /// `max_grpc_timeout`, deprecated: gRPC requests have their own timeout, at most this if not 0.
    pub max_grpc_timeout_ms: Option<u64>,
    /// `grpc_timeout_offset`, deprecated: taken off the client's unless nothing would be left.
    pub grpc_timeout_offset_ms: Option<u64>,
    /// `retry_policy.per_try_timeout`: to the first byte of the response of one attempt.
    pub per_try_timeout_ms: u64,
    /// `retry_policy.per_try_idle_timeout`
    pub per_try_idle_timeout_ms: u64,
}

/// (envoy: config.route.v3.RouteAction.MaxStreamDuration)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxStreamDuration {
    /// `max_stream_duration`: of the whole stream, from its first byte.
    pub max_stream_duration_ms: Option<u64>,
    /// `grpc_timeout_header_max`: the client's `grpc-timeout` counts instead, at most this if not 0.
    pub grpc_timeout_header_max_ms: Option<u64>,
    /// `grpc_timeout_header_offset`: taken off it.
    pub grpc_timeout_header_offset_ms: Option<u64>,
}

impl Default for TimeoutPolicy {
    fn default() -> Self {
        Self {
            timeout_ms: 15_000,
            max_stream_duration: None,
            max_grpc_timeout_ms: None,
            grpc_timeout_offset_ms: None,
            per_try_timeout_ms: 0,
            per_try_idle_timeout_ms: 0,
        }
    }
}

/// What the router says. (envoy: extensions.filters.http.router.v3.Router)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterOptions {
    /// `respect_expected_rq_timeout`: a proxy before this one has settled the timeout.
    pub respect_expected_rq_timeout: bool,
    /// `suppress_envoy_headers`
    pub suppress_envoy_headers: bool,
}

/// The timeouts of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    route_ms: u64,
    per_try_ms: u64,
    per_try_idle_ms: u64,
    tells_expected: bool,
    tells_grpc: bool,
}

impl TimeoutPolicy {
    /// The time that the whole stream may take from its first byte, `None` for any time. Zero is over
    /// at once. Tells a gRPC upstream of it.
    ///
    /// `connection_manager_max_ms` is the limit of the connection manager, for routes that set none
    /// (envoy: HttpConnectionManager.common_http_protocol_options.max_stream_duration).
    pub fn stream_duration(
        &self,
        head: &mut RequestHead,
        connection_manager_max_ms: Option<u64>,
    ) -> Option<Duration> {
        let limits = self.max_stream_duration.unwrap_or_default();
        // Any request may carry the header; only one that is gRPC has it rewritten.
        let asked_ms = head.headers.get(Id::GRPC_TIMEOUT).and_then(grpc::parse_ms);
        let limit_ms = match (asked_ms, limits.grpc_timeout_header_max_ms) {
            (Some(asked), Some(max)) => {
                let capped = at_most(asked, max);
                capped.saturating_sub(limits.grpc_timeout_header_offset_ms.unwrap_or(0))
            }
            _ => {
                let max = limits.max_stream_duration_ms.or(connection_manager_max_ms);
                max.filter(|max| *max > 0)?
            }
        };
        if self.max_stream_duration.is_some() && head.is_grpc() {
            head.headers.set(Id::GRPC_TIMEOUT, &grpc::format(limit_ms));
        }
        Some(Duration::from_millis(limit_ms.min(LONGEST_MS)))
    }

    /// The timeouts of a request, from the route and the headers of the request. Takes the headers off
    /// that are meant for this proxy.
    pub fn resolve(&self, head: &mut RequestHead, options: RouterOptions) -> Timeouts {
        let is_replaced = self.max_stream_duration.is_some();
        let grpc_max_ms = self.max_grpc_timeout_ms.filter(|_| !is_replaced && head.is_grpc());
        let configured_ms = match grpc_max_ms {
            _ if is_replaced => 0,
            Some(max) => self.grpc_timeout(head, max),
            None => self.timeout_ms,
        };
        let route_ms = asked_route_timeout(head, options).unwrap_or(configured_ms);
        let asked_per_try = take(head, Id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS);
        let per_try_ms = asked_per_try.unwrap_or(self.per_try_timeout_ms);
        Timeouts {
            route_ms,
            per_try_ms: if route_ms != 0 && per_try_ms >= route_ms { 0 } else { per_try_ms },
            per_try_idle_ms: self.per_try_idle_timeout_ms,
            tells_expected: !options.suppress_envoy_headers,
            tells_grpc: grpc_max_ms.is_some(),
        }
    }

    /// The client's `grpc-timeout` less the offset, at most `max_ms` if that is not 0.
    fn grpc_timeout(&self, head: &RequestHead, max_ms: u64) -> u64 {
        let asked = head.headers.get(Id::GRPC_TIMEOUT).and_then(grpc::parse_ms).unwrap_or(0);
        let offset = self.grpc_timeout_offset_ms.unwrap_or(0);
        let asked = if offset < asked { asked - offset } else { asked };
        if asked == 0 { max_ms } else { at_most(asked, max_ms) }
    }
}

/// The timeout that the request asks for; one that cannot be read asks for none.
fn asked_route_timeout(head: &mut RequestHead, options: RouterOptions) -> Option<u64> {
    if options.respect_expected_rq_timeout
        && let Some(expected) = head.headers.get(Id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS)
    {
        return integer(expected);
    }
    take(head, Id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS)
}

/// The number in a header, which is taken off whatever it holds.
fn take(head: &mut RequestHead, id: Id) -> Option<u64> {
    let number = integer(head.headers.get(id)?);
    head.headers.remove(id);
    number
}

impl Timeouts {
    /// From the end of the request to the end of the response, over all attempts.
    #[must_use]
    pub fn route(&self) -> Option<Duration> {
        timer(self.route_ms)
    }

    /// From the end of the request, or the connection of the attempt, to its first byte. Also holds for
    /// the only attempt of a route without retries.
    #[must_use]
    pub fn per_try(&self) -> Option<Duration> {
        timer(self.per_try_ms)
    }

    /// Without a byte in either direction of an attempt.
    #[must_use]
    pub fn per_try_idle(&self) -> Option<Duration> {
        timer(self.per_try_idle_ms)
    }

    /// Tells the upstream what is left of the time. Called before each attempt, with the time since the
    /// request ended, zero if it has not. With hedging, an attempt may use all that is left.
    pub fn tell_upstream(&self, head: &mut RequestHead, elapsed: Duration, is_hedged: bool) {
        let own_ms =
            if is_hedged || self.per_try_ms == 0 { self.route_ms } else { self.per_try_ms };
        if own_ms == 0 {
            return;
        }
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let expected_ms = if self.route_ms == 0 {
            own_ms
        } else {
            // Zero would be any time: the timer of the route is about to end the request.
            own_ms.min(self.route_ms.saturating_sub(elapsed_ms)).max(1)
        };
        if self.tells_expected {
            let mut buffer = itoa::Buffer::new();
            let text = buffer.format(expected_ms);
            head.headers.set(Id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, text.as_bytes());
        }
        if self.tells_grpc {
            head.headers.set(Id::GRPC_TIMEOUT, &grpc::format(expected_ms));
        }
    }
}

/// The lesser of the two, where a `max` of 0 is none.
fn at_most(value: u64, max: u64) -> u64 {
    if max == 0 { value } else { value.min(max) }
}

fn timer(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms.min(LONGEST_MS)))
}
