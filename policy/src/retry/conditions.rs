//! Which outcomes of an attempt are retriable: one row per condition of Envoy.
//! (envoy: config.route.v3.RetryPolicy.retry_on, docs `http_filters/router_filter#x-envoy-retry-on`)

use std::fmt;
use std::ops::{BitOr, BitOrAssign, RangeInclusive};

use super::{Outcome, Reset, ResetReason};
use crate::head::{Fields, Id, Name, tokens};
use crate::matcher::HeaderMatcher;

/// Which of the two headers, or lists of the documentation, a condition belongs to. The field
/// `retry_on` of a policy takes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `x-envoy-retry-on`
    Http,
    /// `x-envoy-retry-grpc-on`
    Grpc,
}

/// A row: bit n of [`Conditions`] is row n.
struct Condition {
    name: &'static str,
    family: Family,
    is_met: fn(&Seen<'_>) -> bool,
}

const CONDITIONS: [Condition; 16] = [
    http("5xx", |seen| seen.has_status(500..=599) || seen.reset().is_some()),
    http("gateway-error", |seen| seen.has_status(502..=504) || seen.reset().is_some()),
    http("reset", |seen| seen.reset().is_some()),
    http("reset-before-request", |seen| seen.reset().is_some_and(|reset| !reset.request_started)),
    http("connect-failure", |seen| seen.is_reset_by(ResetReason::ConnectFailure)),
    http("envoy-ratelimited", is_rate_limited),
    http("retriable-4xx", |seen| seen.has_status(409..=409)),
    http("refused-stream", |seen| seen.is_reset_by(ResetReason::RefusedStream)),
    http("retriable-status-codes", has_listed_status),
    http("retriable-headers", has_listed_header),
    // There is no HTTP/3 upstream.
    http("http3-post-connect-failure", |_| false),
    grpc("cancelled", |seen| seen.has_grpc_status(1)),
    grpc("deadline-exceeded", |seen| seen.has_grpc_status(4)),
    grpc("internal", |seen| seen.has_grpc_status(13)),
    grpc("resource-exhausted", |seen| seen.has_grpc_status(8)),
    grpc("unavailable", |seen| seen.has_grpc_status(14)),
];

/// `envoy-ratelimited`, the only condition that a rate-limited response can meet.
const RATE_LIMITED: Conditions = Conditions(1 << 5);

/// `retriable-status-codes`, under which 425 needs no wait.
const LISTED_STATUS: Conditions = Conditions(1 << 8);

const fn http(name: &'static str, is_met: fn(&Seen<'_>) -> bool) -> Condition {
    Condition { name, family: Family::Http, is_met }
}

const fn grpc(name: &'static str, is_met: fn(&Seen<'_>) -> bool) -> Condition {
    Condition { name, family: Family::Grpc, is_met }
}

/// A set of conditions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Conditions(u16);

impl Conditions {
    /// No condition: nothing is retried.
    pub const NONE: Self = Self(0);

    /// Reads a comma-separated list. Names that are unknown, or not of `family`, are passed over;
    /// the second value is false if there were any (envoy: Router.strict_check_headers).
    #[must_use]
    pub fn parse(list: &[u8], family: Family) -> (Self, bool) {
        let (mut set, mut all_known) = (Self::NONE, true);
        for token in tokens(list) {
            let is_named = |row: &Condition| row.family == family && row.name.as_bytes() == token;
            match CONDITIONS.iter().position(is_named) {
                Some(row) => set.0 |= 1 << row,
                None => all_known = false,
            }
        }
        (set, all_known)
    }

    /// Reads `retry_on` of a policy, which may name conditions of both families.
    #[must_use]
    pub fn configured(list: &[u8]) -> Self {
        Self::parse(list, Family::Http).0 | Self::parse(list, Family::Grpc).0
    }

    /// True for no condition.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if `seen` meets one of the conditions.
    pub(super) fn are_met(self, seen: &Seen<'_>) -> bool {
        let asked = self.applicable(seen);
        let is_asked = |row: usize| asked.0 & 1 << row != 0;
        CONDITIONS.iter().enumerate().any(|(row, c)| is_asked(row) && (c.is_met)(seen))
    }

    /// True if the retry that was decided needs no back-off: the upstream answered 425 and wants
    /// nothing but to be asked again.
    pub(super) fn needs_no_wait(self, seen: &Seen<'_>) -> bool {
        let is_asked = !self.applicable(seen).intersection(LISTED_STATUS).is_empty();
        is_asked && seen.has_status(425..=425) && has_listed_status(seen)
    }

    const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn applicable(self, seen: &Seen<'_>) -> Self {
        if is_rate_limited(seen) { self.intersection(RATE_LIMITED) } else { self }
    }
}

impl BitOr for Conditions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Conditions {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_held = |row: usize| self.0 & 1 << row != 0;
        let rows = CONDITIONS.iter().enumerate().filter(|(row, _)| is_held(*row));
        f.debug_set().entries(rows.map(|(_, condition)| condition.name)).finish()
    }
}

/// An outcome with what the policy and the request say about it.
pub(super) struct Seen<'a> {
    pub(super) outcome: Outcome<'a>,
    /// `retriable_status_codes`, of the policy and of the request.
    pub(super) status_codes: [&'a [u16]; 2],
    /// `retriable_headers`.
    pub(super) headers: &'a [HeaderMatcher],
    /// `x-envoy-retriable-header-names`.
    pub(super) header_names: &'a [Name],
    /// The request came as early data, so 425 is for its sender (RFC 8470 §5.2).
    pub(super) is_early_data: bool,
}

impl Seen<'_> {
    /// The reset, unless it is one that nothing retries.
    fn reset(&self) -> Option<Reset> {
        match self.outcome {
            Outcome::Reset(reset) if reset.reason != ResetReason::Overflow => Some(reset),
            _ => None,
        }
    }

    fn is_reset_by(&self, reason: ResetReason) -> bool {
        self.reset().is_some_and(|reset| reset.reason == reason)
    }

    fn has_status(&self, range: RangeInclusive<u16>) -> bool {
        matches!(self.outcome, Outcome::Response(head) if range.contains(&head.status))
    }

    fn has_grpc_status(&self, status: u32) -> bool {
        matches!(self.outcome, Outcome::Response(head) if head.grpc_status() == Some(status))
    }
}

fn is_rate_limited(seen: &Seen<'_>) -> bool {
    matches!(seen.outcome, Outcome::Response(head)
        if head.headers.contains(Id::X_ENVOY_RATELIMITED))
}

fn has_listed_status(seen: &Seen<'_>) -> bool {
    let Outcome::Response(head) = seen.outcome else { return false };
    let is_listed = seen.status_codes.iter().any(|codes| codes.contains(&head.status));
    is_listed && !(head.status == 425 && seen.is_early_data)
}

fn has_listed_header(seen: &Seen<'_>) -> bool {
    let Outcome::Response(head) = seen.outcome else { return false };
    seen.headers.iter().any(|matcher| matcher.matches(head))
        || seen.header_names.iter().any(|name| head.values(name).next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_rows_are_where_they_are_thought_to_be() {
        assert_eq!(Conditions::configured(b"envoy-ratelimited"), RATE_LIMITED);
        assert_eq!(Conditions::configured(b"retriable-status-codes"), LISTED_STATUS);
    }

    #[test]
    fn lists_are_read_as_envoy_reads_them() {
        let parse = |list: &str, family| {
            let (set, all_known) = Conditions::parse(list.as_bytes(), family);
            (format!("{set:?}"), all_known)
        };
        let set = |text: &str| text.to_owned();
        assert_eq!(parse("5xx, reset ,", Family::Http), (set(r#"{"5xx", "reset"}"#), true));
        assert_eq!(
            parse("foo , gateway-error ", Family::Http),
            (set(r#"{"gateway-error"}"#), false)
        );
        assert_eq!(parse("cancelled", Family::Http), (set("{}"), false));
        assert_eq!(parse("cancelled", Family::Grpc), (set(r#"{"cancelled"}"#), true));
        assert_eq!(parse("5XX", Family::Http), (set("{}"), false));
        assert_eq!(parse("", Family::Http), (set("{}"), true));
        let istio = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
        assert_eq!(
            format!("{:?}", Conditions::configured(istio.as_bytes())),
            r#"{"connect-failure", "refused-stream", "retriable-status-codes", "cancelled", "unavailable"}"#
        );
    }
}
