//! The body of a response on its way from the upstream. When it ends, the connection goes back to its pool.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::attempt::HostGuard;
use super::pool::{ActiveRequest, Ended, Http1Connection, Http2Lease, Meta};
use crate::body::PollFrame;
use crate::clock;
use crate::failure::Failure;
use crate::http::codec::{http1, http2};
use crate::telemetry::UpstreamInfo;

/// A response's body, and all that is held for it.
#[derive(Debug)]
pub struct UpstreamBody {
    stream: Option<UpstreamStream>,
    active: ActiveRequest,
    _host: Option<HostGuard>,
    info: Rc<RefCell<UpstreamInfo>>,
}

/// A request and its response on a connection.
#[derive(Debug)]
pub enum UpstreamStream {
    /// On a connection of its own.
    Http1(Box<http1::ClientStream>, Meta),
    /// On a shared one.
    Http2(Box<http2::ClientStream>, Http2Lease),
}

impl UpstreamStream {
    /// The next head of the response, interim ones first.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut outrigger_policy::head::Headers,
    ) -> Poll<Result<outrigger_policy::head::ResponseHead, Failure>> {
        match self {
            Self::Http1(stream, _) => stream.poll_response(cx, spare),
            Self::Http2(stream, _) => stream.poll_response(cx),
        }
    }

    /// True once all of the request was sent and all of the response received.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Http1(stream, _) => stream.is_end() && stream.is_request_sent(),
            Self::Http2(stream, _) => stream.is_end() && stream.is_request_sent(),
        }
    }

    /// True if no byte of the request was written.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Http1(stream, _) => stream.is_unsent(),
            Self::Http2(..) => false,
        }
    }

    /// True once the whole request is with the connection.
    #[must_use]
    pub fn is_request_sent(&self) -> bool {
        match self {
            Self::Http1(stream, _) => stream.is_request_sent(),
            Self::Http2(stream, _) => stream.is_request_sent(),
        }
    }

    /// Gives the connection back; one in the middle of a message is closed.
    pub fn finish(self, active: &ActiveRequest) {
        match self {
            Self::Http1(stream, meta) => {
                let with_request = !(stream.is_end() && stream.is_request_sent());
                meta.ended(Ended { by_host: stream.is_closed(), with_request });
                let (codec, is_clean) = stream.finish();
                if is_clean {
                    meta.ended(Ended::default());
                }
                let connection = Box::new(Http1Connection { codec, meta });
                active.pool().give_back(connection, is_clean);
            }
            // Dropping an unfinished stream resets it; the connection lives on.
            Self::Http2(stream, lease) => {
                drop(stream);
                drop(lease);
            }
        }
    }
}

impl UpstreamBody {
    /// The body after a response's head.
    #[must_use]
    pub fn new(
        stream: UpstreamStream,
        active: ActiveRequest,
        host: Option<HostGuard>,
        info: Rc<RefCell<UpstreamInfo>>,
    ) -> Self {
        Self { stream: Some(stream), active, _host: host, info }
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let polled = match &mut self.stream {
            None => return Poll::Ready(None),
            Some(UpstreamStream::Http1(stream, _)) => stream.poll_frame(cx),
            Some(UpstreamStream::Http2(stream, _)) => stream.poll_frame(cx),
        };
        if matches!(polled, Poll::Ready(None)) {
            self.info.borrow_mut().last_rx = Some(clock::now());
        }
        polled
    }

    /// True if no piece will come.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match &self.stream {
            None => true,
            Some(UpstreamStream::Http1(stream, _)) => stream.is_end(),
            Some(UpstreamStream::Http2(stream, _)) => stream.is_end(),
        }
    }

    /// Sends what can be sent of the request while the response waits for the client.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) {
        // A failure shows again when the response is polled.
        match &mut self.stream {
            None => {}
            Some(UpstreamStream::Http1(stream, _)) => drop(stream.poll_request(cx)),
            Some(UpstreamStream::Http2(stream, _)) => drop(stream.poll_request(cx)),
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.finish(&self.active);
        }
    }
}
