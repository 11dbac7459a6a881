//! Stage: counts every request when it comes, and closes its telemetry when it is over.
//!
//! An exchange is over when it is dropped, whatever ended it: then its counters, histograms and log lines are written, once.

use std::convert::Infallible;
use std::task::{Context, Poll};

use outrigger_policy::head::Protocol;
use outrigger_policy::verdict::ResponseFlag;
use tower::{Layer, Service};

use super::access_log::Record;
use super::metrics::HttpStat;
use crate::clock;
use crate::exchange::Exchange;
use crate::listener::http_chain::millis;
use crate::stage::Stage;
use crate::worker;

/// Makes a [`Telemetry`].
#[derive(Clone, Copy, Debug)]
pub struct TelemetryLayer;

/// The stage.
#[derive(Clone, Copy, Debug)]
pub struct Telemetry<S> {
    next: S,
}

impl<S> Layer<S> for TelemetryLayer {
    type Service = Telemetry<S>;

    fn layer(&self, next: S) -> Telemetry<S> {
        Telemetry { next }
    }
}

impl<S: Stage> Service<Box<Exchange>> for Telemetry<S> {
    type Response = Box<Exchange>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, exchange: Box<Exchange>) -> Self::Future {
        self.next.call(exchange)
    }
}

/// Counts a request that begins. Called where exchanges are made, so that refused ones count too.
pub fn open(exchange: &Exchange) {
    let stats = &exchange.manager.stats;
    stats.inc(HttpStat::downstream_rq_total);
    stats.up(HttpStat::downstream_rq_active);
    stats.inc(match exchange.info.protocol {
        Some(Protocol::Http2) => HttpStat::downstream_rq_http2_total,
        _ => HttpStat::downstream_rq_http1_total,
    });
}

/// Counts and logs an exchange that is over.
pub fn close(exchange: &mut Exchange) {
    let now = clock::now();
    exchange.info.timing.end = Some(now);
    exchange.info.timing.request_end = exchange.progress.request_end();
    exchange.info.bytes_received = exchange.progress.received();
    count_wire(exchange);
    let manager = &exchange.manager;
    let stats = &manager.stats;
    stats.down(HttpStat::downstream_rq_active);
    if exchange.info.response_code != 0 {
        stats.completed(exchange.info.response_code);
        manager.listener_stats.completed(exchange.info.response_code);
    }
    stats.record(HttpStat::downstream_rq_time, millis(now.duration_since(exchange.info.start)));
    if exchange.info.flags.contains(ResponseFlag::DownstreamConnectionTermination) {
        stats.inc(HttpStat::downstream_rq_rx_reset);
    }
    super::upstream_codes::close(exchange);
    crate::http::filters::close(exchange);
    super::istio::report(exchange);
    exchange.info.cause.iter().for_each(super::causes::note);
    manager.access_log.write(&Record::of(exchange));
    let headers = std::mem::take(&mut exchange.response.headers);
    worker::keep_headers(headers);
    if let Some(head) = std::rc::Rc::get_mut(&mut exchange.request) {
        worker::keep_headers(std::mem::take(&mut head.headers));
    }
}

/// What an HTTP/2 stream takes on the wire, which its codec does not tell: a frame for each head and the body, header lines as they are
/// spelled.
fn count_wire(exchange: &mut Exchange) {
    const FRAME: u64 = 9;
    let info = &mut exchange.info;
    if info.protocol != Some(Protocol::Http2) || info.wire_received != 0 {
        return;
    }
    let size = |bytes: usize| bytes as u64 + FRAME;
    let body = |bytes: u64| if bytes == 0 { 0 } else { bytes + FRAME };
    info.wire_received = size(exchange.request.headers.byte_size()) + body(info.bytes_received);
    let trailers = info.response_trailers.as_ref().map_or(0, |lines| size(lines.byte_size()));
    if exchange.response.status != 0 {
        let head = size(exchange.response.headers.byte_size());
        info.wire_sent = head + body(info.bytes_sent) + trailers;
    }
}
