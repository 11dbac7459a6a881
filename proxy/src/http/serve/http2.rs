//! Serves an HTTP/2 connection: a task for the connection, and one for each stream.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use outrigger_policy::head::{Id, Protocol, RequestHead, ResponseHead};
use outrigger_policy::verdict::{CauseCode, ResponseFlag};

use super::finalize::finalize;
use super::run::{Client, Gone, client_gone, poll_overdue, run};
use crate::body::{Body, Frame, RequestBody};
use crate::clock;
use crate::exchange::Exchange;
use crate::http::HttpConnectionManager;
use crate::http::codec::http2::{
    BlockLimits, Config, Connection as Codec, Driver, Ending, Handle, Incoming, Over, Reason,
    Refusal, RequestStream, Role,
};
use crate::http::local_reply::reset_details;
use crate::http::progress::Progress;
use crate::http::timer::Slot;
use crate::listener::{Connection, HttpChain};
use crate::net::{Io, Traffic};
use crate::stack::stack;
use crate::telemetry::metrics::HttpStat;
use crate::worker;

/// A client that does not finish its preface and settings is not a client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection that has just been made may take to ask for something while we drain. A client that hears of a GOAWAY before its first
/// request has connected for nothing.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until the connection ends.
pub(super) async fn serve(io: Io, seen: Vec<u8>, connection: Rc<Connection>, chain: &HttpChain) {
    let guard = chain.count_connection(Protocol::Http2);
    let traffic = Rc::new(Traffic::default());
    traffic.add_received(seen.len());
    let codec = Codec::new(Role::Server, config(chain, connection.tls.is_some()));
    codec.receive(&seen);
    drop(seen);
    let mut driver = Driver::new(io, codec.clone(), traffic.clone());
    let mut server =
        Server { codec, deadlines: Deadlines::new(chain), connection, chain, is_leaving: false };
    let over = poll_fn(|cx| server.poll(cx, &mut driver, &traffic)).await;
    match over {
        Over::Error(_) => server.chain.count_protocol_error(),
        Over::PrematureResets => {
            server.chain.stats().inc(HttpStat::downstream_rq_too_many_premature_resets);
        }
        Over::Closed | Over::Done => {}
    }
    driver.close(over).await;
    server.count_traffic(&traffic);
    drop(guard);
}

/// Every limit is set: the defaults of a codec are no promise. (hardening: option table)
fn config(chain: &HttpChain, is_tls: bool) -> Config {
    let manager = chain.manager();
    let limits = manager.limits;
    Config {
        concurrent_streams: limits.concurrent_streams,
        stream_window: limits.stream_window,
        connection_window: limits.connection_window,
        block: BlockLimits { bytes: limits.head_bytes, lines: limits.headers },
        is_tls,
        stats: Some(manager.codec_stats.http2().clone()),
    }
}

struct Server<'a> {
    codec: Rc<Codec>,
    connection: Rc<Connection>,
    chain: &'a HttpChain,
    deadlines: Deadlines,
    is_leaving: bool,
}

impl Server<'_> {
    fn count_traffic(&self, traffic: &Traffic) {
        let (received, sent) = traffic.total();
        self.chain.count_traffic(received, sent);
    }

    fn poll(&mut self, cx: &mut Context<'_>, driver: &mut Driver, traffic: &Traffic) -> Poll<Over> {
        self.codec.drive(cx);
        loop {
            self.start_streams(traffic);
            if self.codec.over().is_some() || driver.poll_read(cx).is_pending() {
                break;
            }
        }
        if !self.is_leaving {
            let is_draining = self.chain.is_draining_now(cx);
            let is_used = self.connection.requests.get() > 0;
            let is_told = is_draining && is_used || self.chain.poll_ended(cx).is_ready();
            let is_hurried = is_draining && !is_used;
            if is_told || self.deadlines.poll_idle(cx, &self.codec, is_hurried).is_ready() {
                if !is_draining && !is_told {
                    self.chain.stats().inc(HttpStat::downstream_cx_idle_timeout);
                }
                self.leave();
            }
        }
        self.deadlines.poll_others(cx, &self.codec);
        // What has just been written may have made room to read again.
        let was_clogged = self.codec.is_clogged();
        let over = ready!(driver.poll_write(cx));
        if was_clogged {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(over)
    }

    fn start_streams(&mut self, traffic: &Traffic) {
        while let Some(incoming) = self.codec.next_incoming() {
            let manager = self.chain.refresh();
            self.connection.requests.set(self.connection.requests.get() + 1);
            match incoming {
                Incoming::Request(head, handle) => {
                    start_stream(*head, handle, &self.connection, manager);
                }
                Incoming::Refused(refusal) => refuse(refusal, manager, &self.connection),
            }
            self.count_traffic(traffic);
            let limit = self.chain.manager().limits.requests_per_connection;
            if !self.is_leaving && limit > 0 && self.connection.requests.get() >= limit {
                self.leave();
            }
        }
    }

    fn leave(&mut self) {
        self.is_leaving = true;
        self.codec.leave();
        self.deadlines.leave(self.chain.manager().timeouts.drain);
    }
}

/// What ends a connection by time.
struct Deadlines {
    progress: Progress,
    idle: Option<Duration>,
    /// The idle timeout that runs, if the connection has no streams.
    armed: Option<Option<Duration>>,
}

impl Deadlines {
    fn new(chain: &HttpChain) -> Self {
        let progress = Progress::default();
        progress.set_after(Slot::Request, Some(HANDSHAKE_TIMEOUT));
        let idle = chain.manager().timeouts.connection_idle;
        Self { progress, idle, armed: None }
    }

    /// Ready when the connection has been without streams for too long; if it `is_hurried`, that is sooner.
    fn poll_idle(&mut self, cx: &mut Context<'_>, codec: &Codec, is_hurried: bool) -> Poll<()> {
        let limit = if is_hurried { Some(FIRST_REQUEST_TIMEOUT) } else { self.idle };
        if codec.has_streams() {
            self.armed = None;
            self.progress.set(Slot::Idle, None);
        } else if self.armed != Some(limit) {
            self.armed = Some(limit);
            self.progress.set_after(Slot::Idle, limit);
        }
        self.progress.poll(cx, Slot::Idle)
    }

    /// The client was told to leave; one that does not answer is given this long.
    fn leave(&self, drain: Duration) {
        self.progress.set(Slot::Idle, None);
        self.progress.set_after(Slot::MaxDuration, Some(drain));
    }

    fn poll_others(&self, cx: &mut Context<'_>, codec: &Codec) {
        if codec.is_established() {
            self.progress.set(Slot::Request, None);
        } else if self.progress.poll(cx, Slot::Request).is_ready() {
            codec.abort(Reason::SETTINGS_TIMEOUT);
        }
        if self.progress.poll(cx, Slot::MaxDuration).is_ready() {
            self.progress.set(Slot::MaxDuration, None);
            codec.leave_now();
        }
    }
}

fn start_stream(
    mut head: RequestHead,
    handle: Handle,
    connection: &Rc<Connection>,
    manager: Arc<HttpConnectionManager>,
) {
    let progress = Rc::new(Progress::default());
    progress.restart(manager.timeouts.stream_idle);
    progress.set_after(Slot::MaxDuration, manager.timeouts.max_stream_duration);
    let stream = RequestStream::new(handle.clone());
    let body = if stream.is_end() {
        Body::Empty
    } else {
        progress.set_after(Slot::Request, manager.timeouts.request);
        if !manager.proxy_100_continue && head.headers.remove(Id::EXPECT) {
            let _ = handle.send_response(&ResponseHead::new(100), false);
        }
        Body::Request(RequestBody::http2(stream, progress.clone()))
    };
    let exchange = super::begin(manager, connection.clone(), head, body, progress);
    worker::spawn("http2 stream", async move {
        let client = StreamClient { handle };
        let Some(mut exchange) = run(&mut stack(), exchange, &client).await else { return };
        // The body may have noticed before the response did.
        let gone = poll_fn(|cx| Poll::Ready(client.poll_gone(cx))).await;
        if let Poll::Ready(gone) = gone {
            return client_gone(&mut exchange, gone);
        }
        Response::send(exchange, client.handle).await;
    });
}

/// Logs a request that was reset because its head cannot be served.
fn refuse(refusal: Refusal, manager: Arc<HttpConnectionManager>, connection: &Rc<Connection>) {
    let (details, flag) = match refusal {
        Refusal::Malformed | Refusal::Unfit => {
            ("http2.invalid.header.field", ResponseFlag::DownstreamProtocolError)
        }
        Refusal::TooLarge => ("http2.too_many_headers", ResponseFlag::DownstreamRemoteReset),
    };
    manager.stats.inc(HttpStat::downstream_rq_rx_reset);
    let mut head = RequestHead::default();
    head.protocol = Protocol::Http2;
    let mut exchange = super::begin(manager, connection.clone(), head, Body::Empty, Rc::default());
    exchange.info.details = details.into();
    exchange.info.fail(Some(flag), CauseCode::BadRequest);
}

struct StreamClient {
    handle: Handle,
}

impl Client for StreamClient {
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.handle.poll_ending(cx).map(how_gone)
    }

    fn send_interim(&self, _: &mut Context<'_>, head: &ResponseHead) {
        let _ = self.handle.send_response(head, false);
    }
}

fn how_gone(ending: Ending) -> Gone {
    if ending == Ending::Disconnected { Gone::Connection } else { Gone::Reset }
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
    handle: Handle,
    /// Read from the upstream, waiting for the client's window.
    pending: Bytes,
}

impl Response {
    async fn send(mut exchange: Box<Exchange>, handle: Handle) {
        finalize(&mut exchange, false);
        if exchange.progress.request_end().is_none() {
            exchange.manager.stats.inc(HttpStat::downstream_rq_response_before_rq_complete);
        }
        let is_bodyless = exchange.response_body.is_end() || exchange.request.is_head();
        exchange.info.response_code = exchange.response.status;
        exchange.info.timing.response_start = Some(clock::now());
        if let Err(gone) = handle.send_response(&exchange.response, is_bodyless) {
            client_gone(&mut exchange, how_gone(gone.0));
            return;
        }
        // RFC 9113 §8.1: when the exchange goes and takes the request's body with it, the codec resets what is still open with `NO_ERROR`, behind
        // the response.
        if is_bodyless {
            return;
        }
        let mut response = Self { exchange, handle, pending: Bytes::new() };
        if poll_fn(|cx| response.poll(cx)).await == Sent::Cut {
            response.handle.reset(Reason::INTERNAL_ERROR);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        if let Poll::Ready(ending) = self.handle.poll_ending(cx) {
            return self.gone(ending);
        }
        loop {
            if !self.pending.is_empty() {
                // The end of the body may already be known: one frame less.
                let is_last = self.exchange.response_body.is_end();
                let before = self.pending.len();
                let polled = self.handle.poll_send(cx, &mut self.pending, is_last);
                let sent = before - self.pending.len();
                if sent > 0 {
                    self.exchange.info.bytes_sent += sent as u64;
                    self.exchange.progress.touch();
                }
                match polled {
                    Poll::Pending => {
                        self.exchange.response_body.poll_request(cx);
                        return self.poll_stalled(cx);
                    }
                    Poll::Ready(Err(gone)) => return self.gone(gone.0),
                    Poll::Ready(Ok(())) if is_last => return Poll::Ready(Sent::Whole),
                    Poll::Ready(Ok(())) => {}
                }
            }
            match self.exchange.response_body.poll_frame(cx) {
                Poll::Ready(Some(Ok(Frame::Data(bytes)))) => self.pending = bytes,
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                    let _ = self.handle.send_trailers(&trailers);
                    self.exchange.info.response_trailers = Some(trailers);
                    self.exchange.response_body = Body::Empty;
                    return Poll::Ready(Sent::Whole);
                }
                Poll::Ready(None) => {
                    // The body stays at its end while the connection has no room.
                    if self.handle.poll_send(cx, &mut self.pending, true).is_pending() {
                        return self.poll_stalled(cx);
                    }
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

    fn gone(&mut self, ending: Ending) -> Poll<Sent> {
        client_gone(&mut self.exchange, how_gone(ending));
        Poll::Ready(Sent::Whole)
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        poll_overdue(cx, &mut self.exchange).map(|()| Sent::Cut)
    }
}
