//! Bodies: pulled, never pushed. Who wants the next piece polls for it, so nothing is buffered that nobody has asked
//! for, and a slow reader holds back the writer by itself.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use outrigger_policy::head::Headers;

use crate::failure::Failure;
use crate::http::codec::{http1, http2};
use crate::http::filters::CountedMessages;
use crate::http::gzip::Gzip;
use crate::http::progress::Progress;
use crate::upstream::{Replay, UpstreamBody};

/// A piece of a body.
#[derive(Debug)]
pub enum Frame {
    /// Bytes, never empty.
    Data(Bytes),
    /// Trailers; always the last piece.
    Trailers(Headers),
}

/// The result of one poll: a piece, the end, or why there will be no end.
pub type PollFrame = Poll<Option<Result<Frame, Box<Failure>>>>;

/// The body of a request or a response.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes that are all here.
    Full(Bytes),
    /// The request of a client.
    Request(RequestBody),
    /// A request that can be read again for the next attempt.
    Replay(Replay),
    /// The response of an upstream.
    Upstream(Box<UpstreamBody>),
    /// A body whose gRPC messages are counted.
    Counted(Box<CountedMessages>),
    /// A body that is compressed.
    Compressed(Box<Gzip>),
}

impl Body {
    /// The next piece. After `None` or an error the body is [`Body::Empty`].
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let polled = match self {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                let frame = (!bytes.is_empty()).then(|| Ok(Frame::Data(bytes)));
                return Poll::Ready(frame);
            }
            Self::Request(body) => body.poll_frame(cx),
            Self::Replay(replay) => replay.poll_frame(cx),
            Self::Upstream(body) => body.poll_frame(cx),
            Self::Counted(body) => body.poll_frame(cx),
            Self::Compressed(body) => body.poll_frame(cx),
        };
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            *self = Self::Empty;
        }
        polled
    }

    /// True if no piece will come. A body of unknown length may only find out when polled.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Request(body) => body.is_end(),
            Self::Replay(replay) => replay.is_end(),
            Self::Upstream(body) => body.is_end(),
            Self::Counted(body) => body.inner().is_end(),
            Self::Compressed(body) => body.is_end(),
        }
    }

    /// Keeps the request moving while the response waits for the client.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Upstream(body) => body.poll_request(cx),
            Self::Counted(body) => body.inner_mut().poll_request(cx),
            Self::Compressed(body) => body.inner_mut().poll_request(cx),
            _ => {}
        }
    }
}

/// The body that a client sends, and the stream's progress that it drives.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    progress: Rc<Progress>,
}

#[derive(Debug)]
enum Source {
    Http1(Rc<http1::ServerConnection>),
    Http2(http2::RequestStream),
}

impl RequestBody {
    /// The current request of an HTTP/1 connection.
    #[must_use]
    pub const fn http1(connection: Rc<http1::ServerConnection>, progress: Rc<Progress>) -> Self {
        Self { source: Source::Http1(connection), progress }
    }

    /// A stream of an HTTP/2 connection.
    #[must_use]
    pub const fn http2(stream: http2::RequestStream, progress: Rc<Progress>) -> Self {
        Self { source: Source::Http2(stream), progress }
    }

    fn is_end(&self) -> bool {
        match &self.source {
            Source::Http1(connection) => connection.is_body_done(),
            Source::Http2(stream) => stream.is_end(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let polled = match &mut self.source {
            Source::Http1(connection) => connection.poll_body(cx),
            Source::Http2(stream) => stream.poll_frame(cx),
        };
        match &polled {
            Poll::Ready(Some(Ok(Frame::Data(bytes)))) => {
                self.progress.on_request_data(bytes.len());
                if self.is_end() {
                    self.progress.on_request_end();
                }
            }
            Poll::Ready(Some(Ok(Frame::Trailers(_))) | None) => self.progress.on_request_end(),
            _ => {}
        }
        polled
    }
}
