//! The only place that turns a decision or a failure into a response.
//!
//! Bodies, statuses, flags and details are Envoy's, byte for byte; the cause is ours. (envoy: `Utility::sendLocalReply`)

use std::borrow::Cow;

use bytes::Bytes;
use outrigger_policy::head::{Id, ResponseHead};
use outrigger_policy::verdict::{Cause, CauseCode, ResponseFlag};

use crate::body::Body;
use crate::exchange::Exchange;
use crate::failure::{Failure, FailureKind};

/// A response that the proxy makes itself.
#[derive(Clone, Debug)]
pub struct LocalReply {
    /// Status; a gRPC client gets 200 and the matching `grpc-status`.
    pub status: u16,
    /// Body, or the `grpc-message`.
    pub body: Cow<'static, str>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Cow<'static, str>,
    /// Response flag.
    pub flag: Option<ResponseFlag>,
    /// Why, for people; `None` if the reply is no failure.
    pub cause: Option<Cause>,
    /// `grpc-status` for a gRPC client, if the status's own is not meant.
    pub grpc_status: Option<u32>,
    /// Further header lines.
    pub headers: Vec<(Id, Cow<'static, [u8]>)>,
}

impl LocalReply {
    /// A reply without body, flag and cause.
    #[must_use]
    pub const fn new(status: u16, details: &'static str) -> Self {
        Self {
            status,
            body: Cow::Borrowed(""),
            details: Cow::Borrowed(details),
            flag: None,
            cause: None,
            grpc_status: None,
            headers: Vec::new(),
        }
    }

    /// Adds a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Cow<'static, str>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a flag.
    #[must_use]
    pub const fn with_flag(mut self, flag: ResponseFlag) -> Self {
        self.flag = Some(flag);
        self
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Gives gRPC clients this status instead of that of the HTTP status.
    #[must_use]
    pub const fn with_grpc_status(mut self, status: u32) -> Self {
        self.grpc_status = Some(status);
        self
    }

    /// Adds a header line.
    #[must_use]
    pub fn with_header(mut self, id: Id, value: impl Into<Cow<'static, [u8]>>) -> Self {
        self.headers.push((id, value.into()));
        self
    }

    /// Makes this the response of `exchange`.
    pub fn answer(self, exchange: &mut Exchange) {
        if let Some(flag) = self.flag {
            exchange.info.flags.insert(flag);
        }
        if let Some(cause) = self.cause {
            exchange.info.cause.get_or_insert(cause);
        }
        exchange.info.details = self.details;
        let mut head;
        let mut body = Body::Empty;
        if exchange.request.is_grpc() {
            head = ResponseHead::new(200);
            head.headers.append_id(Id::CONTENT_TYPE, b"application/grpc");
            let status = self.grpc_status.unwrap_or_else(|| grpc_status(self.status));
            let mut number = itoa::Buffer::new();
            head.headers.append_id(Id::GRPC_STATUS, number.format(status).as_bytes());
            if !self.body.is_empty() && !exchange.request.is_head() {
                head.headers.append_id(Id::GRPC_MESSAGE, &percent_encode(self.body.as_bytes()));
            }
        } else {
            head = ResponseHead::new(self.status);
            if !self.body.is_empty() {
                let mut number = itoa::Buffer::new();
                let length = number.format(self.body.len());
                head.headers.append_id(Id::CONTENT_LENGTH, length.as_bytes());
                head.headers.append_id(Id::CONTENT_TYPE, b"text/plain");
                if !exchange.request.is_head() {
                    body = Body::Full(match self.body {
                        Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
                        Cow::Owned(text) => Bytes::from(text),
                    });
                }
            }
        }
        for (id, value) in &self.headers {
            head.headers.set(*id, value);
        }
        exchange.response = head;
        exchange.response_body = body;
        super::route::apply_response_headers(exchange);
    }
}

/// What a client gets when the last attempt failed.
#[must_use]
pub fn of_failure(failure: Failure, is_retried: bool) -> LocalReply {
    let kind = failure.kind;
    let reply = match kind {
        FailureKind::NoHealthyUpstream => {
            LocalReply::new(503, "no_healthy_upstream").with_body("no healthy upstream")
        }
        FailureKind::PerTryTimeout => {
            LocalReply::new(504, "upstream_per_try_timeout").with_body("upstream request timeout")
        }
        FailureKind::PerTryIdleTimeout => LocalReply::new(504, "upstream_per_try_idle_timeout")
            .with_body("upstream request timeout"),
        FailureKind::MaxStreamDuration => {
            LocalReply::new(504, "upstream_max_stream_duration_reached")
                .with_body("upstream max stream duration reached")
        }
        _ => {
            let status = if kind == FailureKind::ProtocolError { 502 } else { 503 };
            let reason = kind.reset_reason();
            let retried = if is_retried { "retried and the latest " } else { "" };
            let mut reply = LocalReply::new(status, "").with_body(format!(
                "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reason}"
            ));
            reply.details = reset_details(&failure, "before").into();
            if kind == FailureKind::Overflow {
                reply = reply.with_header(Id::X_ENVOY_OVERLOADED, b"true".as_slice());
            }
            reply
        }
    };
    reply.with_flag(kind.flag()).because(failure.cause)
}

/// `upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}`
#[must_use]
pub fn reset_details(failure: &Failure, when: &str) -> String {
    let reason = failure.kind.reset_reason();
    let mut details = format!("upstream_reset_{when}_response_started{{{reason}");
    if !failure.transport.is_empty() {
        details.push('|');
        details.push_str(&failure.transport);
    }
    details.push('}');
    details.replace(' ', "_")
}

/// The route's own timeout ended.
#[must_use]
pub fn route_timeout() -> LocalReply {
    LocalReply::new(504, "response_timeout")
        .with_body("upstream request timeout")
        .with_flag(ResponseFlag::UpstreamRequestTimeout)
        .because(CauseCode::RouteTimeout)
}

/// `grpc-status` of an HTTP status. (envoy: `Grpc::Utility::httpToGrpcStatus`)
#[must_use]
pub const fn grpc_status(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The encoding of `grpc-message` (gRPC over HTTP/2, Percent-Encoded).
fn percent_encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(byte);
        } else {
            let hex = |nibble: u8| b"0123456789ABCDEF".get(usize::from(nibble)).copied();
            out.push(b'%');
            out.extend(hex(byte >> 4).into_iter().chain(hex(byte & 0xf)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_reason_as_envoy_does() {
        let failure = Failure::of(FailureKind::ConnectFailure, CauseCode::ConnectRefused)
            .with_transport("delayed connect error: Connection refused");
        let reply = of_failure(failure, false);
        assert_eq!(reply.status, 503);
        assert_eq!(
            reply.body,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
        );
        assert_eq!(
            reply.details,
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
        );
        let garbage = Failure::of(FailureKind::ProtocolError, CauseCode::UpstreamProtocol);
        assert_eq!(of_failure(garbage, false).status, 502);
    }

    #[test]
    fn messages_of_grpc_are_percent_encoded() {
        assert_eq!(percent_encode("a b%\u{e9}\n".as_bytes()), b"a b%25%C3%A9%0A");
    }
}
