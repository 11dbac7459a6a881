//! Serves an HTTP/1 connection: one request after the other.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_policy::head::{Headers, Id, Protocol, RequestHead, ResponseHead, reason_phrase};
use outrigger_policy::verdict::{CauseCode, ResponseFlag};

use super::finalize::finalize;
use super::run::{Client, Gone, client_gone, poll_overdue, run};
use crate::body::{Body, Frame, RequestBody};
use crate::clock;
use crate::exchange::Exchange;
use crate::http::HttpConnectionManager;
use crate::http::codec::http1::{
    BodyLength, HeadError, OUTPUT_HIGH_WATER, ParsedRequest, ReadError, RequestLimits,
    ServerConnection,
};
use crate::http::local_reply::{LocalReply, reset_details};
use crate::http::manager::Underscores;
use crate::http::normalize::is_upgrade;
use crate::http::progress::Progress;
use crate::http::timer::Slot;
use crate::listener::{Connection, Ended, HttpChain};
use crate::net::Io;
use crate::stack::{Stack, stack};
use crate::telemetry::metrics::HttpStat;
use crate::worker;

/// What a response does to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The next request may come.
    Keep,
    /// It ends in order: what was written reaches the client.
    Close,
    /// It ends at once, so that the client sees a cut.
    Cut,
    /// The client has ended it in the middle of a request.
    Left,
    /// The client has ended it.
    Done,
}

/// The connection's side of the server.
struct Server<'a> {
    codec: Rc<ServerConnection>,
    connection: Rc<Connection>,
    chain: &'a HttpChain,
    progress: Rc<Progress>,
    stack: Stack,
    /// Bytes that were taken before the current request.
    received_before: Cell<u64>,
}

/// Serves until the connection ends.
pub(super) async fn serve(io: Io, seen: Vec<u8>, connection: Rc<Connection>, chain: &HttpChain) {
    let counted = chain.count_connection(Protocol::Http11);
    let codec = Rc::new(ServerConnection::new(io, seen));
    let mut server = Server {
        codec,
        connection,
        chain,
        progress: Rc::default(),
        stack: stack(),
        received_before: Cell::new(0),
    };
    let fate = server.serve().await;
    counted.ended(match fate {
        Fate::Left => Ended::ByClientWithRequest,
        Fate::Cut => Ended::ByUsWithRequest,
        Fate::Done => Ended::ByClient,
        Fate::Keep | Fate::Close => Ended::ByUs,
    });
    if fate == Fate::Close {
        server.linger().await;
    }
    server.count_traffic();
}

impl Server<'_> {
    fn count_traffic(&self) {
        let (received, sent) = self.codec.traffic();
        self.chain.count_traffic(received, sent);
    }

    async fn serve(&mut self) -> Fate {
        let mut fate = Fate::Keep;
        while fate == Fate::Keep {
            self.received_before.set(self.codec.consumed().0);
            fate = match self.read_request().await {
                Arrival::Request(request) => self.exchange(request).await,
                Arrival::Refused(reply) => self.refuse(reply).await,
                Arrival::Cut => self.note_cut(),
                Arrival::Left => Fate::Done,
                Arrival::Ended => Fate::Close,
            };
            self.count_traffic();
        }
        fate
    }

    /// The next request, or why there is none.
    async fn read_request(&self) -> Arrival {
        let manager = self.chain.manager();
        let limits = RequestLimits {
            max_headers: manager.limits.headers,
            accept_http_10: manager.http1.accept_http_10,
            is_tls: self.connection.tls.is_some(),
        };
        self.progress.restart(None);
        self.progress.set_after(Slot::Idle, manager.timeouts.connection_idle);
        let mut spare = worker::spare_headers();
        let mut is_started = false;
        poll_fn(|cx| {
            if let Poll::Ready(read) =
                self.codec.poll_request(cx, limits, manager.limits.head_bytes, &mut spare)
            {
                return Poll::Ready(match read {
                    Ok(Some(request)) if has_refused_underscore(&manager, &request.head) => {
                        Arrival::Refused(underscore_reply())
                    }
                    Ok(Some(request)) => Arrival::Request(request),
                    Ok(None) => Arrival::Left,
                    Err(ReadError::Head(error)) => {
                        self.chain.count_protocol_error();
                        let stats = self.chain.stats();
                        stats.inc(HttpStat::downstream_rq_rx_reset);
                        stats.inc(HttpStat::downstream_rq_response_before_rq_complete);
                        Arrival::Refused(head_error_reply(error))
                    }
                    Err(ReadError::Gone) if self.codec.has_input() => Arrival::Cut,
                    Err(ReadError::Gone) => Arrival::Left,
                });
            }
            if self.codec.has_input() && !is_started {
                is_started = true;
                let timeout = manager.timeouts.request_headers;
                self.progress.set_after(Slot::Request, timeout);
            }
            if self.progress.poll(cx, Slot::Request).is_ready() {
                self.chain.stats().inc(HttpStat::downstream_rq_header_timeout);
                return Poll::Ready(Arrival::Refused(head_timeout_reply()));
            }
            if !is_started && self.poll_ends_idle(cx).is_ready() {
                return Poll::Ready(Arrival::Ended);
            }
            Poll::Pending
        })
        .await
    }

    /// Ready when a connection without a request has no more reason to live.
    fn poll_ends_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.progress.poll(cx, Slot::Idle).is_ready() {
            self.chain.stats().inc(HttpStat::downstream_cx_idle_timeout);
            return Poll::Ready(());
        }
        self.chain.poll_ended(cx)
    }

    async fn exchange(&mut self, request: ParsedRequest) -> Fate {
        let manager = self.chain.refresh();
        self.connection.requests.set(self.connection.requests.get() + 1);
        let is_upgrade = is_upgrade(&request.head);
        let is_old = request.head.protocol == Protocol::Http10;
        let is_bodyless = request.body == BodyLength::Exact(0) && !is_upgrade;
        let body = if is_bodyless {
            Body::Empty
        } else {
            if is_upgrade {
                self.codec.start_raw();
            }
            Body::Request(RequestBody::http1(self.codec.clone(), self.progress.clone()))
        };
        self.progress.restart(manager.timeouts.stream_idle);
        if !is_bodyless {
            self.progress.set_after(Slot::Request, manager.timeouts.request);
        }
        self.progress.set_after(Slot::MaxDuration, manager.timeouts.max_stream_duration);
        self.codec.pass_trailers(manager.http1.enable_trailers);
        let mut head = request.head;
        if request.expects_continue && !manager.proxy_100_continue {
            head.headers.remove(Id::EXPECT);
            self.codec.owe_continue();
        }
        let mut exchange =
            super::begin(manager, self.connection.clone(), head, body, self.progress.clone());
        let is_connect = exchange.request.method() == b"CONNECT";
        exchange.closes_connection =
            !request.keep_alive || is_connect || self.has_served_enough(&exchange);
        let Some(mut exchange) = run(&mut self.stack, exchange, &*self.codec).await else {
            return Fate::Left;
        };
        if self.codec.is_cut_short() {
            client_gone(&mut exchange, Gone::Connection);
            return Fate::Left;
        }
        self.answer_body_error(&mut exchange);
        self.respond(exchange, is_old).await
    }

    fn has_served_enough(&self, exchange: &Exchange) -> bool {
        let limit = exchange.manager.limits.requests_per_connection;
        limit > 0 && self.connection.requests.get() >= limit
    }

    /// A body that did not parse is the client's fault, whatever became of the attempt that was sending it.
    fn answer_body_error(&self, exchange: &mut Exchange) {
        if let Some(error) = self.codec.body_error() {
            exchange.info.flags.remove(ResponseFlag::DownstreamConnectionTermination);
            head_error_reply(error).answer(exchange);
            exchange.closes_connection = true;
        }
    }

    /// Answers what is no request.
    async fn refuse(&self, reply: LocalReply) -> Fate {
        let mut exchange = self.without_request();
        exchange.closes_connection = true;
        reply.answer(&mut exchange);
        self.respond(exchange, false).await
    }

    /// The client has left in the middle of a head: that is logged, too.
    fn note_cut(&self) -> Fate {
        client_gone(&mut self.without_request(), Gone::Connection);
        Fate::Left
    }

    fn without_request(&self) -> Box<Exchange> {
        let manager = self.chain.refresh();
        self.progress.restart(manager.timeouts.stream_idle);
        let head = RequestHead::default();
        super::begin(manager, self.connection.clone(), head, Body::Empty, self.progress.clone())
    }

    /// Writes the response and tells what comes of the connection.
    async fn respond(&self, mut exchange: Box<Exchange>, is_old: bool) -> Fate {
        let sent_before = self.codec.consumed().1;
        let is_switch = exchange.response.status == 101;
        finalize(&mut exchange, is_switch);
        if !is_switch && !self.codec.is_body_done() {
            // The rest of the request stands between us and the next one.
            exchange.closes_connection = true;
            exchange.manager.stats.inc(HttpStat::downstream_rq_response_before_rq_complete);
        }
        if self.chain.is_draining() && !exchange.closes_connection {
            exchange.closes_connection = true;
            exchange.manager.stats.inc(HttpStat::downstream_cx_drain_close);
        }
        if !is_switch && !exchange.response.may_have_body() {
            drop_body(&mut exchange);
        }
        let length = response_length(&exchange, is_old);
        if length == BodyLength::UntilClose {
            exchange.closes_connection = true;
        }
        self.write_head(&mut exchange, length, is_old, is_switch);
        let closes = exchange.closes_connection;
        let fate = poll_fn(|cx| self.poll_response(cx, &mut exchange, length)).await;
        let (received, sent) = self.codec.consumed();
        exchange.info.wire_received = received.saturating_sub(self.received_before.get());
        exchange.info.wire_sent = sent.saturating_sub(sent_before);
        if is_switch && fate == Fate::Keep && self.codec.is_read_closed() {
            return gone(&mut exchange);
        }
        if fate == Fate::Keep && closes { Fate::Close } else { fate }
    }

    fn write_head(
        &self,
        exchange: &mut Exchange,
        length: BodyLength,
        is_old: bool,
        is_switch: bool,
    ) {
        let mut extra: [(&str, &[u8]); 2] = [("", b""); 2];
        let mut count = 0;
        let mut add = |name, value| {
            if let Some(slot) = extra.get_mut(count) {
                *slot = (name, value);
                count += 1;
            }
        };
        if is_switch {
        } else if exchange.closes_connection {
            add("connection", b"close".as_slice());
        } else if is_old {
            add("connection", b"keep-alive");
        }
        let status = exchange.response.status;
        if exchange.response.may_have_body()
            && !exchange.response.headers.contains(Id::CONTENT_LENGTH)
        {
            match length {
                BodyLength::Chunked => add("transfer-encoding", b"chunked"),
                // What a GET would be answered with, if nobody knows how long that is.
                BodyLength::Exact(0) if exchange.request.is_head() && !is_old => {
                    add("transfer-encoding", b"chunked");
                }
                BodyLength::Exact(0) if !exchange.request.is_head() => add("content-length", b"0"),
                _ => {}
            }
        }
        let version = if is_old { Protocol::Http10 } else { Protocol::Http11 };
        self.codec.write_head(version, &exchange.response, extra.get(..count).unwrap_or_default());
        exchange.info.response_code = status;
        exchange.info.timing.response_start = Some(clock::now());
    }

    /// Moves the response's body to the client.
    fn poll_response(
        &self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
        length: BodyLength,
    ) -> Poll<Fate> {
        let mut is_end = false;
        loop {
            if is_end || self.codec.output_len() >= OUTPUT_HIGH_WATER {
                match self.codec.poll_flush(cx) {
                    Poll::Ready(Ok(())) if is_end => return Poll::Ready(Fate::Keep),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(gone(exchange)),
                    Poll::Pending => {
                        exchange.response_body.poll_request(cx);
                        return self.poll_stalled(cx, exchange);
                    }
                }
            }
            match exchange.response_body.poll_frame(cx) {
                Poll::Ready(Some(Ok(Frame::Data(bytes)))) => {
                    exchange.info.bytes_sent += bytes.len() as u64;
                    exchange.progress.touch();
                    if exceeds(length, exchange.info.bytes_sent) {
                        return Poll::Ready(cut(exchange));
                    }
                    self.codec.write_data(length, &bytes);
                }
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                    let passes = exchange.manager.http1.enable_trailers;
                    self.codec.write_end(length, Some(&trailers).filter(|_| passes));
                    exchange.info.response_trailers = Some(trailers);
                    exchange.response_body = Body::Empty;
                    is_end = true;
                }
                Poll::Ready(None) => {
                    if is_short(length, exchange) {
                        return Poll::Ready(cut(exchange));
                    }
                    self.codec.write_end(length, None);
                    is_end = true;
                }
                Poll::Ready(Some(Err(failure))) => {
                    exchange.info.details = reset_details(&failure, "after").into();
                    exchange.info.fail(Some(failure.kind.flag()), failure.cause);
                    // What came before the cut still goes out, if the socket takes it.
                    let _ = self.codec.poll_flush(cx);
                    return Poll::Ready(Fate::Cut);
                }
                Poll::Pending => {
                    return match self.codec.poll_flush(cx) {
                        Poll::Ready(Err(_)) => Poll::Ready(gone(exchange)),
                        _ => self.poll_stalled(cx, exchange),
                    };
                }
            }
        }
    }

    /// Nothing moves: has a deadline passed, or the client gone?
    fn poll_stalled(&self, cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<Fate> {
        if exchange.response.status != 101 && self.codec.poll_closed(cx).is_ready() {
            return Poll::Ready(gone(exchange));
        }
        poll_overdue(cx, exchange).map(|()| Fate::Cut)
    }

    /// Ends our direction and waits for the client to end its own, for a while: closing a socket with unread bytes would
    /// reset it, and the client might lose the response. (envoy: delayed_close_timeout)
    async fn linger(&self) {
        let timeout = self.chain.manager().timeouts.delayed_close.max(Duration::from_millis(1));
        let _ = tokio::time::timeout(timeout, async {
            let _ = poll_fn(|cx| self.codec.poll_shutdown(cx)).await;
            poll_fn(|cx| self.codec.poll_discard(cx)).await;
        })
        .await;
    }
}

impl Client for ServerConnection {
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.poll_closed(cx).map(|()| Gone::Connection)
    }

    fn send_interim(&self, cx: &mut Context<'_>, head: &ResponseHead) {
        self.write_head(Protocol::Http11, head, &[]);
        // A failed write shows again when the response is written.
        let _ = self.poll_flush(cx);
    }
}

/// What came of waiting for a request.
enum Arrival {
    /// One that can be served.
    Request(ParsedRequest),
    /// What is answered with this.
    Refused(LocalReply),
    /// The client left in the middle of a head.
    Cut,
    /// The client left.
    Left,
    /// The connection has no more reason to live.
    Ended,
}

/// A status that has no body has none, whatever was meant to be sent: the client would read it as the next response.
fn drop_body(exchange: &mut Exchange) {
    let is_bodyless = exchange.response_body.is_end();
    exchange.response_body = Body::Empty;
    if exchange.response.status != 304 && !is_bodyless {
        exchange.response.headers.remove(Id::CONTENT_LENGTH);
        exchange.response.headers.remove(Id::CONTENT_TYPE);
    }
}

/// (envoy: HttpProtocolOptions.HeadersWithUnderscoresAction.REJECT_REQUEST)
fn has_refused_underscore(manager: &HttpConnectionManager, head: &RequestHead) -> bool {
    manager.underscores == Underscores::RejectRequest
        && head.headers.iter().any(|(name, _)| name.contains(&b'_'))
}

fn underscore_reply() -> LocalReply {
    LocalReply::new(400, "http1.unexpected_underscore")
        .with_body(reason_phrase(400))
        .with_flag(ResponseFlag::DownstreamProtocolError)
        .because(CauseCode::BadRequest)
}

fn head_timeout_reply() -> LocalReply {
    LocalReply::new(408, "request_header_timeout")
        .with_body("request header timeout")
        .because(CauseCode::RequestTimeout)
}

fn head_error_reply(error: HeadError) -> LocalReply {
    let code = match error {
        HeadError::TooLarge | HeadError::TooManyHeaders => CauseCode::HeadersTooLarge,
        _ => CauseCode::BadRequest,
    };
    LocalReply::new(error.status(), error.details())
        .with_body(reason_phrase(error.status()))
        .with_flag(ResponseFlag::DownstreamProtocolError)
        .because(code)
}

/// How the response's body is framed towards the client.
fn response_length(exchange: &Exchange, is_old: bool) -> BodyLength {
    let head = &exchange.response;
    if head.status == 101 {
        return BodyLength::UntilClose;
    }
    if exchange.request.is_head() || !head.may_have_body() {
        return BodyLength::Exact(0);
    }
    match content_length(&head.headers) {
        Some(length) => BodyLength::Exact(length),
        None if exchange.response_body.is_end() => BodyLength::Exact(0),
        None if is_old => BodyLength::UntilClose,
        None => BodyLength::Chunked,
    }
}

fn content_length(headers: &Headers) -> Option<u64> {
    std::str::from_utf8(headers.get(Id::CONTENT_LENGTH)?).ok()?.parse().ok()
}

/// More than the response promised: the rest would be read as the next response.
const fn exceeds(length: BodyLength, sent: u64) -> bool {
    matches!(length, BodyLength::Exact(promised) if sent > promised)
}

const fn is_short(length: BodyLength, exchange: &Exchange) -> bool {
    matches!(length, BodyLength::Exact(promised) if exchange.info.bytes_sent < promised)
}

fn cut(exchange: &mut Exchange) -> Fate {
    exchange.info.fail(Some(ResponseFlag::UpstreamProtocolError), CauseCode::UpstreamProtocol);
    Fate::Cut
}

fn gone(exchange: &mut Exchange) -> Fate {
    client_gone(exchange, Gone::Connection);
    Fate::Left
}
