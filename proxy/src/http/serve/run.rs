//! Runs the stack for one exchange, under the deadlines of its stream and the presence of its client.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use outrigger_policy::head::ResponseHead;
use outrigger_policy::verdict::{CauseCode, ResponseFlag};
use tower::Service;

use crate::exchange::Exchange;
use crate::http::local_reply::LocalReply;
use crate::http::timer::Slot;
use crate::stack::Stack;
use crate::stage::StageFuture;
use crate::telemetry::metrics::{Counter, HttpStat};

/// `DEADLINE_EXCEEDED` of gRPC.
const DEADLINE_EXCEEDED: u32 = 4;

/// How a client gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Its connection has ended.
    Connection,
    /// It has reset the stream.
    Reset,
}

/// What the codec lends to a running exchange.
pub(super) trait Client {
    /// Ready when the client has given up on this exchange.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone>;

    /// Sends an interim response (1xx) at once.
    fn send_interim(&self, cx: &mut Context<'_>, head: &ResponseHead);
}

/// The answered exchange; `None` if the client went away.
pub(super) async fn run(
    stack: &mut Stack,
    exchange: Box<Exchange>,
    client: &impl Client,
) -> Option<Box<Exchange>> {
    let progress = exchange.progress.clone();
    let mut future = pin!(stack.call(exchange));
    poll_fn(move |cx| {
        let polled = future.as_mut().poll(cx);
        while let Some(head) = progress.take_interim() {
            client.send_interim(cx, &head);
        }
        if let Poll::Ready(result) = polled {
            let Ok(exchange) = result;
            return Poll::Ready(Some(exchange));
        }
        if let Poll::Ready(gone) = client.poll_gone(cx) {
            if let Some(mut exchange) = future.as_mut().abandon() {
                client_gone(&mut exchange, gone);
            }
            return Poll::Ready(None);
        }
        for (slot, stat, reply) in TIMEOUTS {
            if progress.poll(cx, slot).is_ready() {
                let Some(mut exchange) = future.as_mut().abandon() else {
                    return Poll::Ready(None);
                };
                exchange.manager.stats.inc(stat);
                reply(&exchange).answer(&mut exchange);
                return Poll::Ready(Some(exchange));
            }
        }
        Poll::Pending
    })
    .await
}

/// Records that nobody waits for the response any more.
pub(super) fn client_gone(exchange: &mut Exchange, gone: Gone) {
    let (details, flag) = match gone {
        Gone::Connection => {
            ("downstream_remote_disconnect", ResponseFlag::DownstreamConnectionTermination)
        }
        Gone::Reset => ("http2.remote_reset", ResponseFlag::DownstreamRemoteReset),
    };
    exchange.info.details = details.into();
    if exchange.info.timing.response_start.is_none() {
        exchange.info.response_code = 0;
    }
    for flag in
        [ResponseFlag::DownstreamProtocolError, ResponseFlag::DownstreamConnectionTermination]
    {
        exchange.info.flags.remove(flag);
    }
    exchange.info.fail(Some(flag), CauseCode::ClientGone);
}

/// Ready when a deadline has passed while the response is on its way: it can only be cut off.
pub(super) fn poll_overdue(cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<()> {
    let progress = exchange.progress.clone();
    let stats = &exchange.manager.stats;
    let (details, flag, code) = if progress.poll(cx, Slot::Route).is_ready() {
        let flag = ResponseFlag::UpstreamRequestTimeout;
        ("response_timeout", Some(flag), CauseCode::RouteTimeout)
    } else if progress.poll(cx, Slot::Idle).is_ready() {
        stats.inc(HttpStat::downstream_rq_idle_timeout);
        let flag = ResponseFlag::StreamIdleTimeout;
        ("stream_idle_timeout", Some(flag), CauseCode::StreamIdleTimeout)
    } else if progress.poll(cx, Slot::MaxDuration).is_ready() {
        stats.inc(HttpStat::downstream_rq_max_duration_reached);
        ("max_duration_timeout", None, CauseCode::MaxStreamDuration)
    } else {
        return Poll::Pending;
    };
    exchange.info.details = details.into();
    exchange.info.fail(flag, code);
    Poll::Ready(())
}

type Reply = fn(&Exchange) -> LocalReply;

/// The deadlines of a stream, what counts them, and what the client is told when one has passed before a response.
const TIMEOUTS: [(Slot, Counter<HttpStat>, Reply); 3] = [
    (Slot::Idle, HttpStat::downstream_rq_idle_timeout, |exchange| {
        // The client's fault if its request is not complete, the upstream's otherwise.
        let status = if exchange.progress.request_end().is_some() { 504 } else { 408 };
        LocalReply::new(status, "stream_idle_timeout")
            .with_body("stream timeout")
            .with_flag(ResponseFlag::StreamIdleTimeout)
            .because(CauseCode::StreamIdleTimeout)
    }),
    (Slot::MaxDuration, HttpStat::downstream_rq_max_duration_reached, |_| {
        LocalReply::new(504, "max_duration_timeout")
            .with_body("downstream duration timeout")
            .with_grpc_status(DEADLINE_EXCEEDED)
            .because(CauseCode::MaxStreamDuration)
    }),
    (Slot::Request, HttpStat::downstream_rq_timeout, |_| {
        LocalReply::new(408, "request_overall_timeout")
            .with_body("request timeout")
            .because(CauseCode::RequestTimeout)
    }),
];
