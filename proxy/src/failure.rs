//! Why an exchange failed, before anybody has decided what to answer.
//!
//! Every layer below the retry stage fails with a [`Failure`]; `http::local_reply` is the only place that turns
//! one into a response, and `telemetry` the only one that turns it into log fields and metrics.

use std::borrow::Cow;

use outrigger_policy::verdict::{Cause, CauseCode, ResponseFlag};

/// What went wrong, in the classes that Envoy's stream reset reasons have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The connection to the upstream failed.
    ConnectFailure,
    /// The connection to the upstream did not come about in time.
    ConnectTimeout,
    /// The upstream closed the connection.
    ConnectionTermination,
    /// The upstream reset the stream.
    RemoteReset,
    /// The upstream refused the stream without processing it.
    RemoteRefused,
    /// The upstream broke the protocol.
    ProtocolError,
    /// A circuit breaker was full.
    Overflow,
    /// No host may be picked.
    NoHealthyUpstream,
    /// The attempt's own timeout.
    PerTryTimeout,
    /// The attempt's idle timeout.
    PerTryIdleTimeout,
    /// The attempt's longest duration.
    MaxStreamDuration,
    /// The client's body failed while it was sent up.
    Downstream,
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The class.
    pub kind: FailureKind,
    /// Why, for people.
    pub cause: Cause,
    /// What the transport said: `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub transport: Cow<'static, str>,
    /// True if no byte of the request can have reached the upstream application.
    pub is_unsent: bool,
}

impl Failure {
    /// A failure without transport text.
    #[must_use]
    pub const fn new(kind: FailureKind, cause: Cause) -> Self {
        Self { kind, cause, transport: Cow::Borrowed(""), is_unsent: false }
    }

    /// A failure about nothing but its code.
    #[must_use]
    pub fn of(kind: FailureKind, code: CauseCode) -> Self {
        Self::new(kind, code.into())
    }

    /// Marks the request as never sent: any method may be tried again.
    #[must_use]
    pub const fn unsent(mut self) -> Self {
        self.is_unsent = true;
        self
    }

    /// Adds what the transport said.
    #[must_use]
    pub fn with_transport(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.transport = text.into();
        self
    }
}

impl FailureKind {
    /// The response flag.
    #[must_use]
    pub const fn flag(self) -> ResponseFlag {
        match self {
            Self::ConnectFailure | Self::ConnectTimeout => ResponseFlag::UpstreamConnectionFailure,
            Self::ConnectionTermination => ResponseFlag::UpstreamConnectionTermination,
            Self::RemoteReset | Self::RemoteRefused => ResponseFlag::UpstreamRemoteReset,
            Self::ProtocolError => ResponseFlag::UpstreamProtocolError,
            Self::Overflow => ResponseFlag::UpstreamOverflow,
            Self::NoHealthyUpstream => ResponseFlag::NoHealthyUpstream,
            Self::PerTryTimeout | Self::PerTryIdleTimeout => ResponseFlag::UpstreamRequestTimeout,
            Self::MaxStreamDuration => ResponseFlag::UpstreamMaxStreamDurationReached,
            Self::Downstream => ResponseFlag::DownstreamConnectionTermination,
        }
    }

    /// Envoy's name of the reset reason, as bodies and details spell it (in details, `_` for spaces).
    /// (envoy: `Http::Utility::resetReasonToString`)
    #[must_use]
    pub const fn reset_reason(self) -> &'static str {
        match self {
            Self::ConnectFailure => "remote connection failure",
            Self::ConnectTimeout => "connection timeout",
            Self::ConnectionTermination => "connection termination",
            Self::RemoteReset => "remote reset",
            Self::RemoteRefused => "remote refused stream reset",
            Self::ProtocolError => "protocol error",
            Self::Overflow => "overflow",
            Self::NoHealthyUpstream => "no healthy upstream",
            Self::PerTryTimeout | Self::PerTryIdleTimeout | Self::MaxStreamDuration => {
                "local reset"
            }
            Self::Downstream => "http1 response payload error",
        }
    }
}
