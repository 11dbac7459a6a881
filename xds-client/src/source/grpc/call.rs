//! One call on one connection: requests out, messages in, until either side is done.
//!
//! A message is read when it is asked for and not before: a server that pushes faster than the owner applies is slowed by the window. What is waiting
//! to be sent is one request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Config;
use super::frames::{Frames, frame};
use super::keepalive::Pulse;
use super::status::Status;

/// What a server may send before it is read: enough for a push of many megabytes to flow.
const WINDOW: u32 = 1024 * 1024;

/// Headers of an answer are few.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

pub(super) struct Call<S> {
    connection: Connection<S, Bytes>,
    pulse: Option<Pulse>,
    requests: SendStream<Bytes>,
    /// The rest of the request that is being sent.
    unsent: Bytes,
    answer: Answer,
    frames: Frames,
    is_overasked: bool,
}

enum Answer {
    Expected(ResponseFuture),
    Begun(RecvStream),
}

/// What happens in a call.
#[derive(Debug)]
pub(super) enum Step {
    /// The request is sent, and the next one may be.
    Sent,
    Message(Bytes),
    Closed(Status),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Call<S> {
    /// Begins a call on a new connection.
    ///
    /// # Errors
    /// If the server hangs up at once, or the request cannot be made of the configuration.
    pub(super) async fn open(io: S, config: &Config) -> Result<Self, Status> {
        let request = request(config).map_err(Status::internal)?;
        let (mut sender, mut connection) = Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(HEADER_BYTES_MAX)
            .enable_push(false)
            .handshake(io)
            .await
            .map_err(Status::before_headers)?;
        let (answer, requests) =
            sender.send_request(request, false).map_err(Status::before_headers)?;
        let pings = connection.ping_pong();
        let pulse =
            config.keepalive.zip(pings).map(|(keepalive, pings)| Pulse::new(keepalive, pings));
        Ok(Self {
            connection,
            pulse,
            requests,
            unsent: Bytes::new(),
            answer: Answer::Expected(answer),
            frames: Frames::new(config.message_bytes_max),
            is_overasked: false,
        })
    }

    /// True if the request before is sent.
    pub(super) fn can_send(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: &[u8]) {
        self.unsent = frame(message);
        self.requests.reserve_capacity(self.unsent.len());
    }

    /// True if the server has hung up because it was asked for signs of life too often. (gRPC A8: `too_many_pings`)
    pub(super) const fn is_overasked(&self) -> bool {
        self.is_overasked
    }

    /// The next thing that happens; messages only if `reads`. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self, reads: bool) -> Step {
        std::future::poll_fn(|cx| self.poll_next(cx, reads)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, reads: bool) -> Poll<Step> {
        // All else moves only when the connection does.
        let connection = Pin::new(&mut self.connection).poll(cx);
        if self.poll_send(cx).is_ready() {
            return Poll::Ready(Step::Sent);
        }
        if reads {
            match self.poll_message(cx) {
                Poll::Ready(Ok(message)) => return Poll::Ready(Step::Message(message)),
                Poll::Ready(Err(status)) => return Poll::Ready(Step::Closed(status)),
                Poll::Pending => {}
            }
        }
        if let Poll::Ready(ended) = connection {
            return Poll::Ready(Step::Closed(match ended {
                Ok(()) => Status::unavailable("connection termination"),
                Err(error) => self.explain(&error),
            }));
        }
        if let Some(pulse) = &mut self.pulse
            && pulse.poll_lost(cx).is_ready()
        {
            let message = "keepalive failed: no answer in time";
            return Poll::Ready(Step::Closed(Status::unavailable(message)));
        }
        Poll::Pending
    }

    /// Ready when a request was sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.unsent.is_empty() {
            match ready!(self.requests.poll_capacity(cx)) {
                Some(Ok(capacity)) => {
                    let part = self.unsent.split_to(capacity.min(self.unsent.len()));
                    let is_open = self.requests.send_data(part, false).is_ok();
                    if is_open && self.unsent.is_empty() {
                        return Poll::Ready(());
                    }
                }
                // The answer says why.
                Some(Err(_)) | None => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        if let Answer::Expected(answer) = &mut self.answer {
            match ready!(Pin::new(answer).poll(cx)) {
                Ok(answer) => self.answer = Answer::Begun(begin(answer)?),
                Err(error) => return Poll::Ready(Err(self.explain(&error))),
            }
        }
        loop {
            if let Some(message) = self.frames.next()? {
                return Poll::Ready(Ok(message));
            }
            let Answer::Begun(body) = &mut self.answer else { return Poll::Pending };
            match ready!(body.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.frames.push(&data);
                    if let Err(error) = body.flow_control().release_capacity(data.len()) {
                        return Poll::Ready(Err(self.explain(&error)));
                    }
                    self.pulse.iter_mut().for_each(Pulse::hear);
                }
                Some(Err(error)) => return Poll::Ready(Err(self.explain(&error))),
                None => return self.poll_trailers(cx).map(Err),
            }
        }
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let Answer::Begun(body) = &mut self.answer else { return Poll::Pending };
        let status = match ready!(body.poll_trailers(cx)) {
            Ok(trailers) => trailers.as_ref().and_then(Status::in_headers),
            Err(error) => return Poll::Ready(self.explain(&error)),
        };
        Poll::Ready(match status {
            Some(Status { code: 0, .. }) if self.frames.is_partial() => {
                Status::internal("the stream ends within a message")
            }
            Some(status) => status,
            None => Status { code: 2, message: "the stream ends without a status".into() },
        })
    }

    /// What an error of HTTP/2 means to the call.
    fn explain(&mut self, error: &h2::Error) -> Status {
        self.is_overasked |= error.is_go_away()
            && error.is_remote()
            && error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
        match &self.answer {
            Answer::Expected(_) => Status::before_headers(error),
            Answer::Begun(_) if error.is_reset() => Status::internal(error),
            Answer::Begun(_) => Status::unavailable(error),
        }
    }
}

fn request(config: &Config) -> Result<Request<()>, http::Error> {
    let uri = Uri::builder()
        .scheme(if config.is_secure { "https" } else { "http" })
        .authority(config.authority.as_str())
        .path_and_query(config.service.path())
        .build()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for (name, value) in &config.metadata {
        headers.append(name, value.clone());
    }
    Ok(request)
}

/// The body of an answer, if it is one of gRPC.
fn begin(answer: Response<RecvStream>) -> Result<RecvStream, Status> {
    let is_grpc = |headers: &HeaderMap| {
        let value = headers.get(CONTENT_TYPE);
        value.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
    };
    let (head, body) = answer.into_parts();
    match Status::in_headers(&head.headers) {
        Some(status) => Err(status),
        None if head.status == StatusCode::OK && is_grpc(&head.headers) => Ok(body),
        None => Err(Status::of_http(head.status)),
    }
}
