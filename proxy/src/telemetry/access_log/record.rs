//! What a line is made of: the heads of a request and its response, and what is known of their stream.

use outrigger_policy::head::{RequestHead, ResponseHead};

use crate::exchange::Exchange;
use crate::telemetry::StreamInfo;

/// Why a line is written. (envoy: data.accesslog.v3.AccessLogType)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogType {
    /// A listener tells of a connection.
    NotSet,
    /// An HTTP exchange has ended.
    DownstreamEnd,
    /// A relayed connection has ended.
    TcpConnectionEnd,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The request, if one was read.
    pub request: Option<&'a RequestHead>,
    /// The response, if there is one.
    pub response: Option<&'a ResponseHead>,
    /// The stream.
    pub info: &'a StreamInfo,
    /// Why the line is written.
    pub log_type: LogType,
    /// The connection manager traces requests.
    pub has_tracing: bool,
    /// The body that a local reply would have; of use only where such bodies are formatted.
    pub local_reply_body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The gRPC status of the stream, be it gRPC or not.
    #[must_use]
    pub fn grpc_status(&self) -> i64 {
        super::operators::grpc_status(self)
    }

    /// Of an exchange.
    #[must_use]
    pub fn of(exchange: &'a Exchange) -> Self {
        Self {
            // A request that did not parse has neither method nor path.
            request: Some(&*exchange.request).filter(|request| !request.method().is_empty()),
            response: Some(&exchange.response).filter(|_| exchange.has_response()),
            info: &exchange.info,
            log_type: LogType::DownstreamEnd,
            has_tracing: exchange.manager.tracing.is_some(),
            local_reply_body: b"",
        }
    }

    /// Of a connection that was relayed.
    #[must_use]
    pub const fn of_connection(info: &'a StreamInfo) -> Self {
        Self::of_stream(info, LogType::TcpConnectionEnd)
    }

    /// Of a connection, as its listener tells of it.
    #[must_use]
    pub const fn of_listener(info: &'a StreamInfo) -> Self {
        Self::of_stream(info, LogType::NotSet)
    }

    const fn of_stream(info: &'a StreamInfo, log_type: LogType) -> Self {
        Self {
            request: None,
            response: None,
            info,
            log_type,
            has_tracing: false,
            local_reply_body: b"",
        }
    }
}
