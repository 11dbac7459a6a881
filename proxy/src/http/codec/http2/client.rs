//! One request to an HTTP/2 upstream and its response.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use outrigger_policy::head::{RequestHead, ResponseHead};
use outrigger_policy::verdict::CauseCode;

use super::Reason;
use super::connection::{Connection, Gone, Handle};
use super::stream::Ending;
use crate::body::{Body, Frame, PollFrame};
use crate::failure::{Failure, FailureKind};

/// Opens streams of a connection. Dropping it lets the connection end, once its streams have.
#[derive(Debug)]
pub struct Sender {
    connection: Rc<Connection>,
}

impl Sender {
    /// Of a connection that somebody drives.
    #[must_use]
    pub const fn new(connection: Rc<Connection>) -> Self {
        Self { connection }
    }

    /// Streams at once that the upstream lets us have; 0 once it takes none any more.
    #[must_use]
    pub fn max_streams(&self) -> u32 {
        self.connection.peer_streams()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.connection.leave_now();
    }
}

/// A stream of an upstream connection. Dropping it before its end resets the stream.
#[derive(Debug)]
pub struct ClientStream {
    handle: Handle,
    body: Body,
    /// Read from the client, waiting for the upstream's window.
    pending: Bytes,
    is_request_sent: bool,
    has_response: bool,
    body_sent: u64,
    body_received: u64,
}

impl ClientStream {
    /// Opens a stream.
    ///
    /// # Errors
    /// If the head has no form in HTTP/2, or the connection is gone.
    pub fn open(sender: &Sender, head: &RequestHead, body: Body) -> Result<Self, Failure> {
        if head.authority().is_none() {
            let unfit = Failure::of(FailureKind::ProtocolError, CauseCode::BadRequest);
            return Err(unfit.unsent());
        }
        let is_end = body.is_end();
        let handle = sender.connection.open(head, is_end).ok_or_else(|| {
            Failure::of(FailureKind::ConnectionTermination, CauseCode::UpstreamClosed).unsent()
        })?;
        Ok(Self {
            handle,
            body,
            pending: Bytes::new(),
            is_request_sent: is_end,
            has_response: false,
            body_sent: 0,
            body_received: 0,
        })
    }

    /// The next head: interim ones (1xx) first, then the final one.
    pub fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        self.poll_request(cx)?;
        let head = ready!(self.handle.poll_head(cx)).map_err(failure_of)?;
        self.has_response = head.status >= 200;
        Poll::Ready(Ok(head))
    }

    /// The next piece of the response's body.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        if let Err(failure) = self.poll_request(cx) {
            return Poll::Ready(Some(Err(Box::new(failure))));
        }
        let polled = ready!(self.handle.poll_frame(cx));
        if let Some(Ok(Frame::Data(bytes))) = &polled {
            self.body_received += bytes.len() as u64;
        }
        Poll::Ready(polled.map(|frame| frame.map_err(|gone| Box::new(failure_of(gone)))))
    }

    /// Sends what the upstream's window allows of the request's body.
    ///
    /// # Errors
    /// If the client's body failed: the stream is reset.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        while !self.is_request_sent {
            if self.pending.is_empty() {
                match self.body.poll_frame(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Some(Ok(Frame::Data(bytes)))) => {
                        self.body_sent += bytes.len() as u64;
                        self.pending = bytes;
                    }
                    Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                        // Whatever failed shows in the response, here and below.
                        let _ = self.handle.send_trailers(&trailers);
                        self.is_request_sent = true;
                    }
                    Poll::Ready(None) => {
                        if self.handle.poll_send(cx, &mut Bytes::new(), true).is_pending() {
                            // The body stays at its end.
                            return Ok(());
                        }
                        self.is_request_sent = true;
                    }
                    Poll::Ready(Some(Err(failure))) => {
                        self.handle.reset(Reason::CANCEL);
                        return Err(*failure);
                    }
                }
                continue;
            }
            // The end of the body may already be known: one frame less.
            let is_last = self.body.is_end();
            match self.handle.poll_send(cx, &mut self.pending, is_last) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => self.is_request_sent = is_last,
                Poll::Ready(Err(_)) => self.is_request_sent = true,
            }
        }
        Ok(())
    }

    /// True once the response's body was read to its end.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.has_response && self.handle.is_exhausted()
    }

    /// True once the whole request was handed to the connection.
    #[must_use]
    pub const fn is_request_sent(&self) -> bool {
        self.is_request_sent
    }

    /// Bytes of the request's body sent and of the response's body received.
    #[must_use]
    pub const fn body_traffic(&self) -> (u64, u64) {
        (self.body_sent, self.body_received)
    }
}

/// The class of a stream's end.
fn failure_of(Gone(ending): Gone) -> Failure {
    let (kind, code) = match ending {
        Ending::Reset(Reason::REFUSED_STREAM) | Ending::Unprocessed => {
            (FailureKind::RemoteRefused, CauseCode::UpstreamRefusedStream)
        }
        Ending::Reset(_) => (FailureKind::RemoteReset, CauseCode::UpstreamReset),
        Ending::Fault => (FailureKind::ProtocolError, CauseCode::UpstreamProtocol),
        Ending::Disconnected => (FailureKind::ConnectionTermination, CauseCode::UpstreamClosed),
    };
    let failure = Failure::of(kind, code);
    if kind == FailureKind::RemoteRefused { failure.unsent() } else { failure }
}
