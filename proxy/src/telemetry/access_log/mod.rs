//! Access logs. (skeleton)
use crate::exchange::Exchange;
use crate::telemetry::StreamInfo;
use outrigger_policy::head::{RequestHead, ResponseHead};

/// Logs of a listener or connection manager.
#[derive(Debug, Default)]
pub struct AccessLog {}

/// What a line is made of.
#[derive(Debug)]
pub struct Record<'a> {
    /// Request.
    pub request: Option<&'a RequestHead>,
    /// Response.
    pub response: Option<&'a ResponseHead>,
    /// Stream.
    pub info: &'a StreamInfo,
}

impl<'a> Record<'a> {
    /// Of an exchange.
    #[must_use]
    pub fn of(exchange: &'a Exchange) -> Self {
        Self {
            request: Some(&exchange.request),
            response: Some(&exchange.response),
            info: &exchange.info,
        }
    }
    /// Of a connection.
    #[must_use]
    pub const fn of_connection(info: &'a StreamInfo) -> Self {
        Self { request: None, response: None, info }
    }
}

impl AccessLog {
    /// Writes.
    pub fn write(&self, _: &Record<'_>) {}
}

/// Format.
#[derive(Debug)]
pub struct Format(pub Vec<u8>);
/// A format that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(String);
impl Format {
    /// Compiles text without operators.
    ///
    /// # Errors
    /// If there is one.
    pub fn compile(text: &str) -> Result<Self, FormatError> {
        let literal = text.replace("%%", "\0");
        match literal.find('%') {
            Some(position) => Err(FormatError(format!("an operator at position {position}"))),
            None => Ok(Self(literal.replace('\0', "%").into_bytes())),
        }
    }
    /// Writes.
    pub fn write(&self, out: &mut Vec<u8>, _: &Record<'_>) {
        out.extend_from_slice(&self.0);
    }
}
/// x
pub fn flush() {}
/// x
pub fn reopen() {}
