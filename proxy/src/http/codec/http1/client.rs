//! The upstream end of an HTTP/1 connection: writes one request at a time and reads its response.
//!
//! A [`ClientStream`] moves both directions whenever it is polled, so that a long upload and an early response do not wait
//! for each other. Afterwards it gives the connection back, but only if both directions ended cleanly and no unread byte
//! waits: anything else could hand one client's response to another.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use outrigger_policy::head::{Headers, RequestHead, ResponseHead};
use outrigger_policy::verdict::CauseCode;

use super::decoder::{BodyDecoder, Decoded};
use super::encode;
use super::error::HeadError;
use super::framing::BodyLength;
use super::response::{ParsedResponse, parse_response};
use super::scan::{HeadScan, head_end};
use super::wire::Wire;
use crate::body::{Body, Frame, PollFrame};
use crate::failure::{Failure, FailureKind};
use crate::net::Io;

/// Bytes of the request that wait for the socket before its body is polled again.
const OUTPUT_HIGH_WATER: usize = 64 * 1024;

/// A connection to an upstream host, between requests.
#[derive(Debug)]
pub struct ClientConnection {
    wire: Wire,
}

/// What a connection accepts of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseLimits {
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Lines of a head.
    pub headers: usize,
    /// Trailers pass, both ways. (envoy: Http1ProtocolOptions.enable_trailers)
    pub trailers: bool,
}

/// How the request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    /// The body is still being sent.
    Sending,
    /// An upgrade: no byte of the client goes up before the upstream agreed.
    Held,
    /// All of it was handed to the socket's buffer.
    Sent,
    /// The socket refused more; a response may still come.
    Refused,
}

/// One request and its response.
#[derive(Debug)]
pub struct ClientStream {
    connection: ClientConnection,
    body: Body,
    body_length: BodyLength,
    upload: Upload,
    scan: HeadScan,
    limits: ResponseLimits,
    is_head_request: bool,
    decoder: BodyDecoder,
    /// The response's head said that the connection ends.
    keep_alive: bool,
    has_head: bool,
    is_broken: bool,
    /// The host has closed its direction.
    is_closed: bool,
    body_received: u64,
    body_sent: u64,
}

impl ClientConnection {
    /// A connection that has just been made.
    #[must_use]
    pub const fn new(io: Io) -> Self {
        Self { wire: Wire::new(io, Vec::new()) }
    }

    /// True if the peer has closed, or has sent what nobody asked for: not fit for a request.
    pub fn poll_is_stale(&mut self, cx: &mut Context<'_>) -> bool {
        !self.wire.input.is_empty() || self.wire.poll_fill(cx).is_ready()
    }

    /// Bytes read and written since this was last asked.
    pub fn take_traffic(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.wire.received), std::mem::take(&mut self.wire.sent))
    }

    /// The stream below.
    #[must_use]
    pub const fn io(&self) -> &Io {
        &self.wire.io
    }
}

impl ClientStream {
    /// Starts a request; nothing is written before the first poll.
    #[must_use]
    pub fn new(
        mut connection: ClientConnection,
        head: &RequestHead,
        extra: &[(&str, &[u8])],
        body: Body,
        body_length: BodyLength,
        limits: ResponseLimits,
    ) -> Self {
        encode::request_head(connection.wire.output(), head, extra);
        let upload = match body_length {
            BodyLength::UntilClose => Upload::Held,
            BodyLength::Exact(0) => Upload::Sent,
            _ => Upload::Sending,
        };
        Self {
            connection,
            body,
            body_length,
            upload,
            scan: HeadScan::default(),
            limits,
            is_head_request: head.is_head(),
            decoder: BodyDecoder::default(),
            keep_alive: false,
            has_head: false,
            is_broken: false,
            is_closed: false,
            body_received: 0,
            body_sent: 0,
        }
    }

    /// The next head: interim ones (1xx) first, then the final one.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Headers,
    ) -> Poll<Result<ResponseHead, Failure>> {
        self.poll_request(cx)?;
        loop {
            let wire = &mut self.connection.wire;
            match head_end(&wire.input, &mut self.scan, self.limits.head_bytes) {
                Ok(Some(length)) => {
                    let head = wire.input.get(..length).unwrap_or_default();
                    let parsed = parse_response(
                        head,
                        self.limits.headers,
                        self.is_head_request,
                        std::mem::take(spare),
                    );
                    self.connection.wire.consume(length);
                    self.scan = HeadScan::default();
                    return Poll::Ready(match parsed {
                        Ok(response) => self.accept_head(response),
                        Err(error) => Err(self.refuse_head(error)),
                    });
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(self.refuse_head(error))),
            }
            match ready!(self.connection.wire.poll_fill(cx)) {
                Ok(0) | Err(_) => {
                    self.is_broken = true;
                    self.is_closed = true;
                    let kind = if self.connection.wire.input.is_empty() {
                        FailureKind::ConnectionTermination
                    } else {
                        FailureKind::ProtocolError
                    };
                    return Poll::Ready(Err(Failure::of(kind, CauseCode::UpstreamClosed)));
                }
                Ok(_) => {}
            }
        }
    }

    /// The next piece of the response's body.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        if let Err(failure) = self.poll_request(cx) {
            return Poll::Ready(Some(Err(Box::new(failure))));
        }
        if self.body_length == BodyLength::UntilClose && self.is_request_sent() {
            // The client left the tunnel: the other direction has no reader.
            self.decoder = BodyDecoder::default();
            return Poll::Ready(None);
        }
        loop {
            match self.decoder.decode(&self.connection.wire.input) {
                Err(_) => return Poll::Ready(Some(Err(self.break_off()))),
                Ok(Decoded::End { skip, trailers }) => {
                    self.connection.wire.consume(skip);
                    let trailers = trailers.filter(|_| self.limits.trailers);
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))));
                }
                Ok(Decoded::Data { skip, len }) => {
                    let input = &self.connection.wire.input;
                    let data =
                        Bytes::copy_from_slice(input.get(skip..skip + len).unwrap_or_default());
                    self.connection.wire.consume(skip + len);
                    self.body_received += data.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::Data(data))));
                }
                Ok(Decoded::NeedMore) => self.connection.wire.input.clear(),
            }
            match ready!(self.connection.wire.poll_fill(cx)) {
                Ok(0) | Err(_) if self.decoder.end_of_input().is_ok() => {
                    self.is_broken = true;
                    self.is_closed = true;
                    return Poll::Ready(None);
                }
                Ok(0) | Err(_) => {
                    self.is_closed = true;
                    return Poll::Ready(Some(Err(self.break_off())));
                }
                Ok(_) => {}
            }
        }
    }

    /// Sends what can be sent of the request.
    ///
    /// # Errors
    /// If the client's body failed: the request cannot be finished.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            let flushed = match self.connection.wire.poll_flush(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => {
                    // The upstream may have answered before it closed: the reading side finds out.
                    self.upload = Upload::Refused;
                    self.connection.wire.drop_output();
                    return Ok(());
                }
            };
            let waiting = self.connection.wire.waiting();
            if self.upload != Upload::Sending || (!flushed && waiting > OUTPUT_HIGH_WATER) {
                return Ok(());
            }
            match self.body.poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(Frame::Data(bytes)))) => {
                    self.body_sent += bytes.len() as u64;
                    encode::data(self.connection.wire.output(), self.body_length, &bytes);
                }
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                    self.end_upload(Some(&trailers))
                }
                Poll::Ready(None) => self.end_upload(None),
                Poll::Ready(Some(Err(failure))) => {
                    self.is_broken = true;
                    return Err(*failure);
                }
            }
            if !flushed {
                return Ok(());
            }
        }
    }

    /// True once the response's body was read to its end.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.has_head && self.decoder.is_done()
    }

    /// True once the whole request is with the socket.
    #[must_use]
    pub fn is_request_sent(&self) -> bool {
        self.upload == Upload::Sent && self.connection.wire.waiting() == 0
    }

    /// True if no byte of this request was written.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        self.connection.wire.is_untouched()
    }

    /// True if the host has closed the connection.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Bytes of the request's body sent and of the response's body received.
    #[must_use]
    pub const fn body_traffic(&self) -> (u64, u64) {
        (self.body_sent, self.body_received)
    }

    /// The connection below.
    pub const fn connection_mut(&mut self) -> &mut ClientConnection {
        &mut self.connection
    }

    /// The connection, and whether it may carry another request.
    #[must_use]
    pub fn finish(self) -> (ClientConnection, bool) {
        let is_clean = self.keep_alive
            && !self.is_broken
            && self.is_end()
            && self.is_request_sent()
            && self.connection.wire.input.is_empty();
        (self.connection, is_clean)
    }

    fn accept_head(&mut self, response: ParsedResponse) -> Result<ResponseHead, Failure> {
        match response.head.status {
            101 if self.upload == Upload::Held => {
                self.has_head = true;
                self.upload = Upload::Sending;
                self.decoder = BodyDecoder::new(BodyLength::UntilClose);
                self.keep_alive = false;
            }
            // Nobody has asked for another protocol.
            101 => return Err(self.refuse_head(HeadError::Upgrade)),
            100..=199 => {}
            _ => {
                self.has_head = true;
                self.decoder = BodyDecoder::new(response.body);
                self.keep_alive = response.keep_alive && self.upload != Upload::Held;
            }
        }
        Ok(response.head)
    }

    fn refuse_head(&mut self, error: HeadError) -> Failure {
        self.is_broken = true;
        let code = match error {
            HeadError::TooLarge | HeadError::TooManyHeaders => CauseCode::UpstreamHeaders,
            _ => CauseCode::UpstreamProtocol,
        };
        Failure::of(FailureKind::ProtocolError, code)
    }

    fn break_off(&mut self) -> Box<Failure> {
        self.is_broken = true;
        Box::new(Failure::of(FailureKind::ProtocolError, CauseCode::UpstreamProtocol))
    }

    fn end_upload(&mut self, trailers: Option<&Headers>) {
        let trailers = trailers.filter(|_| self.limits.trailers);
        encode::end(self.connection.wire.output(), self.body_length, trailers);
        self.upload = Upload::Sent;
    }
}
