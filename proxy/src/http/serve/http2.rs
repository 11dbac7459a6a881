//! Serves an HTTP/2 connection: a task for the connection, and one for each stream.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use outrigger_policy::head::{Id, Protocol, RequestHead, ResponseHead};
use outrigger_policy::verdict::{CauseCode, ResponseFlag};
use tokio::time::Instant;

use super::finalize::finalize;
use super::run::{Client, Gone, client_gone, poll_overdue, run};
use crate::body::{Body, Frame, RequestBody};
use crate::exchange::Exchange;
use crate::http::HttpConnectionManager;
use crate::http::codec::http2::{FrameGuard, Refusal, RequestStream, convert, request_head};
use crate::http::local_reply::reset_details;
use crate::http::progress::Progress;
use crate::http::timer::Slot;
use crate::listener::{Connection, HttpChain};
use crate::net::{Counted, Io, Traffic};
use crate::stack::stack;
use crate::telemetry::metrics::HttpStat;
use crate::worker;

/// Bytes of a response's body that wait in a stream for the client's window.
const SEND_BUFFER: usize = 128 * 1024;
/// Turns of the worker's other tasks, the connection's among them, before a response is cut off.
const FLUSH_TURNS: usize = 3;
/// A client that does not finish its preface and settings is not a client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

type Http2 = h2::server::Connection<FrameGuard<Counted<Io>>, Bytes>;

/// Serves until the connection ends.
pub(super) async fn serve(io: Io, seen: Vec<u8>, connection: Rc<Connection>, chain: HttpChain) {
    let guard = chain.count_connection(Protocol::Http2);
    let traffic = Rc::new(Traffic::default());
    traffic.add_received(seen.len());
    let io = FrameGuard::server(Counted::new(io, traffic.clone()), seen);
    let handshake = builder(&chain).handshake(io);
    let Ok(Ok(mut http2)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await else {
        chain.stats().inc(HttpStat::downstream_cx_protocol_error);
        return;
    };
    accept(&mut http2, &connection, &chain, &traffic).await;
    drop(http2);
    count_traffic(&chain, &traffic);
    drop(guard);
}

fn count_traffic(chain: &HttpChain, traffic: &Traffic) {
    let (received, sent) = traffic.total();
    chain.count_traffic(received, sent);
}

/// Every limit is set: the defaults of a codec are no promise. (hardening: option table)
fn builder(chain: &HttpChain) -> h2::server::Builder {
    let limits = chain.manager().limits;
    let mut builder = h2::server::Builder::new();
    let list = limits.head_bytes + 32 * limits.headers;
    builder
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_frame_size(16 * 1024)
        .header_table_size(4096)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(50)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(Some(1024));
    builder
}

async fn accept(
    http2: &mut Http2,
    connection: &Rc<Connection>,
    chain: &HttpChain,
    traffic: &Traffic,
) {
    let mut deadline = Idle::new(chain);
    let mut is_leaving = false;
    loop {
        let event = poll_fn(|cx| {
            if let Poll::Ready(accepted) = http2.poll_accept(cx) {
                return Poll::Ready(Event::Stream(accepted));
            }
            if !is_leaving && (chain.is_draining_now(cx) || chain.poll_ended(cx).is_ready()) {
                return Poll::Ready(Event::Leave);
            }
            deadline.poll(cx, http2)
        })
        .await;
        match event {
            Event::Stream(Some(Ok((request, respond)))) => {
                start_stream(request, respond, connection, chain);
                count_traffic(chain, traffic);
                let limit = chain.manager().limits.requests_per_connection;
                if !is_leaving && limit > 0 && connection.requests.get() >= limit {
                    is_leaving = true;
                    http2.graceful_shutdown();
                }
            }
            Event::Stream(Some(Err(error))) => {
                if !error.is_io() {
                    chain.stats().inc(HttpStat::downstream_cx_protocol_error);
                }
                return;
            }
            Event::Stream(None) => return,
            Event::Leave => {
                // GOAWAY with the last possible stream, a ping, and GOAWAY with the real one: no request is lost between.
                is_leaving = true;
                http2.graceful_shutdown();
            }
            Event::Idle => {
                chain.stats().inc(HttpStat::downstream_cx_idle_timeout);
                is_leaving = true;
                http2.graceful_shutdown();
            }
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "it lives on the stack for a moment")]
enum Event {
    Stream(Option<Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>>),
    Leave,
    Idle,
}

/// The time a connection has been without streams.
struct Idle {
    progress: Progress,
    timeout: Option<Duration>,
    is_armed: bool,
}

impl Idle {
    fn new(chain: &HttpChain) -> Self {
        let timeout = chain.manager().timeouts.connection_idle;
        Self { progress: Progress::default(), timeout, is_armed: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>, http2: &Http2) -> Poll<Event> {
        if http2.has_streams() {
            self.is_armed = false;
            self.progress.set(Slot::Idle, None);
        } else if !self.is_armed {
            self.is_armed = true;
            self.progress.set_after(Slot::Idle, self.timeout);
        }
        self.progress.poll(cx, Slot::Idle).map(|()| Event::Idle)
    }
}

fn start_stream(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: &Rc<Connection>,
    chain: &HttpChain,
) {
    let manager = chain.refresh();
    connection.requests.set(connection.requests.get() + 1);
    let limits = manager.limits;
    let head = request_head(
        &request,
        limits.headers,
        limits.head_bytes,
        connection.tls.is_some(),
        worker::spare_headers(),
    );
    let mut head = match head {
        Ok(head) => head,
        Err(refusal) => return refuse(refusal, &mut respond, manager, connection),
    };
    let progress = Rc::new(Progress::default());
    progress.restart(manager.timeouts.stream_idle);
    progress.set_after(Slot::MaxDuration, manager.timeouts.max_stream_duration);
    let stream = RequestStream::new(request.into_body());
    let body = if stream.is_end() {
        Body::Empty
    } else {
        progress.set_after(Slot::Request, manager.timeouts.request);
        if !manager.proxy_100_continue && head.headers.remove(Id::EXPECT) {
            let _ = respond.send_informational(interim(100));
        }
        Body::Request(RequestBody::http2(stream, progress.clone()))
    };
    let exchange = super::begin(manager, connection.clone(), head, body, progress);
    worker::spawn("http2 stream", async move {
        let client = StreamClient { respond: RefCell::new(respond) };
        let Some(mut exchange) = run(&mut stack(), exchange, &client).await else { return };
        // The body may have noticed before the response did.
        let gone = poll_fn(|cx| Poll::Ready(client.poll_gone(cx))).await;
        if let Poll::Ready(gone) = gone {
            return client_gone(&mut exchange, gone);
        }
        Response::send(exchange, client.respond.into_inner()).await;
    });
}

/// Resets a stream whose head cannot be served, and logs it.
fn refuse(
    refusal: Refusal,
    respond: &mut SendResponse<Bytes>,
    manager: Arc<HttpConnectionManager>,
    connection: &Rc<Connection>,
) {
    let (reason, details, flag) = match refusal {
        Refusal::Malformed => (
            Reason::PROTOCOL_ERROR,
            "http2.invalid.header.field",
            ResponseFlag::DownstreamProtocolError,
        ),
        Refusal::TooLarge => {
            (Reason::INTERNAL_ERROR, "http2.too_many_headers", ResponseFlag::DownstreamRemoteReset)
        }
    };
    manager.stats.inc(HttpStat::downstream_rq_rx_reset);
    respond.send_reset(reason);
    let mut head = RequestHead::default();
    head.protocol = Protocol::Http2;
    let mut exchange = super::begin(manager, connection.clone(), head, Body::Empty, Rc::default());
    exchange.info.details = details.into();
    exchange.info.fail(Some(flag), CauseCode::BadRequest);
}

struct StreamClient {
    respond: RefCell<SendResponse<Bytes>>,
}

impl Client for StreamClient {
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.respond.borrow_mut().poll_reset(cx).map(|reset| how_gone(&reset))
    }

    fn send_interim(&self, _: &mut Context<'_>, head: &ResponseHead) {
        let mut response = interim(head.status);
        *response.headers_mut() = convert::to_map(&head.headers, &[]);
        let _ = self.respond.borrow_mut().send_informational(response);
    }
}

fn how_gone(reset: &Result<Reason, h2::Error>) -> Gone {
    if reset.is_ok() { Gone::Reset } else { Gone::Connection }
}

fn interim(status: u16) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// How the sending of a response has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// With all of it, or without a client.
    Whole,
    /// In the middle: the client must see that.
    Cut,
}

/// A response on its way to the client.
struct Response {
    exchange: Box<Exchange>,
    stream: SendStream<Bytes>,
    /// Read from the upstream, waiting for the client's window.
    pending: Bytes,
    is_end: bool,
}

impl Response {
    async fn send(mut exchange: Box<Exchange>, mut respond: SendResponse<Bytes>) {
        finalize(&mut exchange, false);
        if exchange.progress.request_end().is_none() {
            exchange.manager.stats.inc(HttpStat::downstream_rq_response_before_rq_complete);
        }
        let is_bodyless = exchange.response_body.is_end() || exchange.request.is_head();
        let mut response = interim(exchange.response.status);
        *response.headers_mut() = convert::to_map(&exchange.response.headers, &[]);
        exchange.info.response_code = exchange.response.status;
        exchange.info.timing.response_start = Some(Instant::now());
        let Ok(stream) = respond.send_response(response, is_bodyless) else {
            client_gone(&mut exchange, Gone::Connection);
            return;
        };
        // RFC 9113 §8.1: when the exchange goes and takes the request's body with it, the codec resets what is still open with `NO_ERROR`, behind
        // the response.
        if is_bodyless {
            return;
        }
        let mut response = Self { exchange, stream, pending: Bytes::new(), is_end: false };
        if poll_fn(|cx| response.poll(cx)).await == Sent::Cut {
            // A reset overtakes what the connection has not sent yet: it gets a chance to.
            for _ in 0..FLUSH_TURNS {
                tokio::task::yield_now().await;
            }
            response.stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        if let Poll::Ready(reset) = self.stream.poll_reset(cx) {
            client_gone(&mut self.exchange, how_gone(&reset));
            return Poll::Ready(Sent::Whole);
        }
        loop {
            if !self.pending.is_empty() {
                self.stream.reserve_capacity(self.pending.len());
                match self.stream.poll_capacity(cx) {
                    Poll::Pending => {
                        self.exchange.response_body.poll_request(cx);
                        return self.poll_stalled(cx);
                    }
                    Poll::Ready(None | Some(Err(_))) => {
                        client_gone(&mut self.exchange, Gone::Connection);
                        return Poll::Ready(Sent::Whole);
                    }
                    Poll::Ready(Some(Ok(window))) => {
                        let piece = self.pending.split_to(window.min(self.pending.len()));
                        self.exchange.info.bytes_sent += piece.len() as u64;
                        self.exchange.progress.touch();
                        // The end of the body may already be known: one frame less.
                        self.is_end =
                            self.pending.is_empty() && self.exchange.response_body.is_end();
                        if self.stream.send_data(piece, self.is_end).is_err() {
                            client_gone(&mut self.exchange, Gone::Connection);
                            return Poll::Ready(Sent::Whole);
                        }
                    }
                }
                if self.is_end {
                    return Poll::Ready(Sent::Whole);
                }
                continue;
            }
            match self.exchange.response_body.poll_frame(cx) {
                Poll::Ready(Some(Ok(Frame::Data(bytes)))) => self.pending = bytes,
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                    let _ = self.stream.send_trailers(convert::to_map(&trailers, &[]));
                    self.exchange.info.response_trailers = Some(trailers);
                    self.exchange.response_body = Body::Empty;
                    return Poll::Ready(Sent::Whole);
                }
                Poll::Ready(None) => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Sent::Whole);
                }
                Poll::Ready(Some(Err(failure))) => {
                    let info = &mut self.exchange.info;
                    info.details = reset_details(&failure, "after").into();
                    info.fail(Some(failure.kind.flag()), failure.cause);
                    return Poll::Ready(Sent::Cut);
                }
                Poll::Pending => return self.poll_stalled(cx),
            }
        }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        poll_overdue(cx, &mut self.exchange).map(|()| Sent::Cut)
    }
}
