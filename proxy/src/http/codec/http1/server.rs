//! The downstream end of an HTTP/1 connection: reads requests, writes responses.
//!
//! The task of the connection and the body of its current request share this object; both run on one worker, and both
//! only ever poll. While the connection waits for a request it owns no buffer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use outrigger_policy::head::{Headers, Protocol, ResponseHead};
use outrigger_policy::verdict::CauseCode;
use tokio::io::AsyncWrite;

use super::decoder::{BodyDecoder, Decoded};
use super::encode;
use super::error::HeadError;
use super::framing::BodyLength;
use super::request::{ParsedRequest, RequestLimits, may_be_request, parse_request};
use super::scan::{HeadScan, head_end};
use super::wire::Wire;
use crate::body::{Frame, PollFrame};
use crate::failure::{Failure, FailureKind};
use crate::net::Io;

/// Bytes of responses that wait for the socket before the body is polled again.
pub const OUTPUT_HIGH_WATER: usize = 64 * 1024;
/// Bytes that a client may send ahead of the response to its last request.
const READ_AHEAD_LIMIT: usize = 64 * 1024;

/// Why no request was read.
#[derive(Debug)]
pub enum ReadError {
    /// What came is no request that we accept.
    Head(HeadError),
    /// The connection failed, or ended inside a head.
    Gone,
}

/// One HTTP/1 connection with a client.
#[derive(Debug)]
pub struct ServerConnection {
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    wire: Wire,
    scan: HeadScan,
    decoder: BodyDecoder,
    /// Trailers of requests are passed on.
    passes_trailers: bool,
    /// The client waits for this before it sends its body.
    owes_continue: bool,
    is_read_closed: bool,
    /// The body failed: the connection cannot carry another request.
    body_error: Option<HeadError>,
}

impl ServerConnection {
    /// A connection of which `seen` was read already.
    #[must_use]
    pub fn new(io: Io, seen: Vec<u8>) -> Self {
        Self {
            inner: RefCell::new(Inner {
                wire: Wire::new(io, seen),
                scan: HeadScan::default(),
                decoder: BodyDecoder::default(),
                passes_trailers: false,
                owes_continue: false,
                is_read_closed: false,
                body_error: None,
            }),
        }
    }

    /// Bytes read from and written to the socket so far.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        let inner = self.inner.borrow();
        (inner.wire.received, inner.wire.sent)
    }

    /// Bytes of requests taken, and of responses given, so far; others may have been read, or wait to be sent.
    #[must_use]
    pub fn consumed(&self) -> (u64, u64) {
        let wire = &self.inner.borrow().wire;
        let taken = wire.received.saturating_sub(wire.input.len() as u64);
        (taken, wire.sent + wire.waiting() as u64)
    }

    /// True if bytes of a request have been read: the client is not idle.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.inner.borrow().wire.input.is_empty()
    }

    /// Reads the next request; `None` if the client closed between requests.
    pub fn poll_request(
        &self,
        cx: &mut Context<'_>,
        limits: RequestLimits,
        head_limit: usize,
        spare: &mut Headers,
    ) -> Poll<Result<Option<ParsedRequest>, ReadError>> {
        let inner = &mut *self.inner.borrow_mut();
        loop {
            inner.skip_empty_lines();
            let length = head_end(&inner.wire.input, &mut inner.scan, head_limit)
                .map_err(ReadError::Head)?;
            if let Some(length) = length {
                inner.scan = HeadScan::default();
                let head = inner.wire.input.get(..length).unwrap_or_default();
                let request =
                    parse_request(head, limits, std::mem::take(spare)).map_err(ReadError::Head)?;
                inner.wire.consume(length);
                inner.decoder = BodyDecoder::new(request.body);
                inner.owes_continue = false;
                return Poll::Ready(Ok(Some(request)));
            }
            if !may_be_request(&inner.wire.input) {
                return Poll::Ready(Err(ReadError::Head(HeadError::Malformed)));
            }
            match ready!(inner.poll_fill(cx)) {
                Ok(0) if inner.wire.input.is_empty() => return Poll::Ready(Ok(None)),
                Ok(0) | Err(_) => return Poll::Ready(Err(ReadError::Gone)),
                Ok(_) => {}
            }
        }
    }

    /// The next piece of the current request's body.
    pub fn poll_body(&self, cx: &mut Context<'_>) -> PollFrame {
        let inner = &mut *self.inner.borrow_mut();
        if inner.owes_continue {
            inner.owes_continue = false;
            inner.wire.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            // A failed write shows again when the response is written.
            let _ = inner.wire.poll_flush(cx);
        }
        loop {
            match inner.decoder.decode(&inner.wire.input) {
                Err(error) => return Poll::Ready(Some(Err(inner.fail_body(error)))),
                Ok(Decoded::End { skip, trailers }) => {
                    inner.wire.consume(skip);
                    let trailers = trailers.filter(|_| inner.passes_trailers);
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))));
                }
                Ok(Decoded::Data { skip, len }) => {
                    let data = inner.wire.input.get(skip..skip + len).unwrap_or_default();
                    let data = Bytes::copy_from_slice(data);
                    inner.wire.consume(skip + len);
                    return Poll::Ready(Some(Ok(Frame::Data(data))));
                }
                Ok(Decoded::NeedMore) => inner.wire.input.clear(),
            }
            match ready!(inner.poll_fill(cx)) {
                Ok(0) if inner.decoder.end_of_input().is_ok() => return Poll::Ready(None),
                Ok(0) | Err(_) => {
                    let failure = Failure::of(FailureKind::Downstream, CauseCode::ClientGone);
                    return Poll::Ready(Some(Err(Box::new(failure))));
                }
                Ok(_) => {}
            }
        }
    }

    /// Lets the body of the current request be all bytes until the client closes: an upgrade.
    pub fn start_raw(&self) {
        self.inner.borrow_mut().decoder = BodyDecoder::new(BodyLength::UntilClose);
    }

    /// Whether trailers of the current request are passed on. (envoy: Http1ProtocolOptions.enable_trailers)
    pub fn pass_trailers(&self, passes: bool) {
        self.inner.borrow_mut().passes_trailers = passes;
    }

    /// True if the client sends no more.
    #[must_use]
    pub fn is_read_closed(&self) -> bool {
        self.inner.borrow().is_read_closed
    }

    /// True if the client left before its request was complete.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        let inner = self.inner.borrow();
        inner.is_read_closed && !inner.decoder.is_done() && inner.body_error.is_none()
    }

    /// True once the body of the current request was read to its end.
    #[must_use]
    pub fn is_body_done(&self) -> bool {
        self.inner.borrow().decoder.is_done()
    }

    /// The error that ended the current request's body, if any.
    #[must_use]
    pub fn body_error(&self) -> Option<HeadError> {
        self.inner.borrow().body_error
    }

    /// Sends `100 Continue` as soon as somebody wants the body.
    pub fn owe_continue(&self) {
        self.inner.borrow_mut().owes_continue = true;
    }

    /// Ready when the client has gone away. Reads a little ahead, so that a pipelined request is no hindrance.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        if !inner.decoder.is_done() {
            // Whoever reads the body finds out.
            return Poll::Pending;
        }
        while inner.wire.input.len() < READ_AHEAD_LIMIT {
            match ready!(inner.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Appends the head of a response to what is to be written.
    pub fn write_head(&self, version: Protocol, head: &ResponseHead, extra: &[(&str, &[u8])]) {
        encode::response_head(self.inner.borrow_mut().wire.output(), version, head, extra);
    }

    /// Appends a piece of the response's body.
    pub fn write_data(&self, length: BodyLength, bytes: &[u8]) {
        encode::data(self.inner.borrow_mut().wire.output(), length, bytes);
    }

    /// Appends the end of the response's body.
    pub fn write_end(&self, length: BodyLength, trailers: Option<&Headers>) {
        encode::end(self.inner.borrow_mut().wire.output(), length, trailers);
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.inner.borrow().wire.waiting()
    }

    /// Writes what is to be written.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().wire.poll_flush(cx)
    }

    /// Ends the sending direction.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner.borrow_mut().wire.io).poll_shutdown(cx)
    }

    /// Reads and drops what still comes, after the sending direction ended; ready when the client closed too.
    pub fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        loop {
            inner.wire.input.clear();
            match ready!(inner.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Takes the stream and what was read of it but not consumed: for a protocol that takes over.
    #[must_use]
    pub fn into_stream(self) -> (Io, Vec<u8>) {
        let inner = self.inner.into_inner();
        (inner.wire.io, inner.wire.input)
    }
}

impl Inner {
    /// RFC 9112 §2.2: empty lines before a request are ignored.
    fn skip_empty_lines(&mut self) {
        let length = 2 * self.wire.input.chunks(2).take_while(|line| line == b"\r\n").count();
        if length > 0 {
            self.wire.consume(length);
            self.scan = HeadScan::default();
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_read_closed {
            return Poll::Ready(Ok(0));
        }
        let length = ready!(self.wire.poll_fill(cx))?;
        self.is_read_closed = length == 0;
        Poll::Ready(Ok(length))
    }

    fn fail_body(&mut self, error: HeadError) -> Box<Failure> {
        self.body_error = Some(error);
        self.wire.input = Vec::new();
        Box::new(Failure::of(FailureKind::Downstream, CauseCode::BadRequest))
    }
}
