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

/// What the codec lends to a running exchange.
pub(super) trait Client {
    /// Ready when the client has given up on this exchange.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()>;

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
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            let Ok(exchange) = result;
            return Poll::Ready(Some(exchange));
        }
        while let Some(head) = progress.take_interim() {
            client.send_interim(cx, &head);
        }
        if client.poll_gone(cx).is_ready() {
            if let Some(mut exchange) = future.as_mut().abandon() {
                client_gone(&mut exchange);
            }
            return Poll::Ready(None);
        }
        for (slot, reply) in TIMEOUTS {
            if progress.poll(cx, slot).is_ready() {
                let Some(mut exchange) = future.as_mut().abandon() else {
                    return Poll::Ready(None);
                };
                reply(&exchange).answer(&mut exchange);
                return Poll::Ready(Some(exchange));
            }
        }
        Poll::Pending
    })
    .await
}

/// Records that nobody waits for the response any more.
pub(super) fn client_gone(exchange: &mut Exchange) {
    exchange.info.details = "downstream_remote_disconnect".into();
    exchange.info.fail(Some(ResponseFlag::DownstreamConnectionTermination), CauseCode::ClientGone);
}

type Reply = fn(&Exchange) -> LocalReply;

/// The deadlines of a stream, and what the client is told when one has passed before a response.
const TIMEOUTS: [(Slot, Reply); 3] = [
    (Slot::Idle, |exchange| {
        // The client's fault if its request is not complete, the upstream's otherwise.
        let status = if exchange.progress.request_end().is_some() { 504 } else { 408 };
        LocalReply::new(status, "stream_idle_timeout")
            .with_body("stream timeout")
            .with_flag(ResponseFlag::StreamIdleTimeout)
            .because(CauseCode::StreamIdleTimeout)
    }),
    (Slot::MaxDuration, |_| {
        LocalReply::new(504, "max_duration_timeout")
            .with_body("downstream duration timeout")
            .because(CauseCode::MaxStreamDuration)
    }),
    (Slot::Request, |_| {
        LocalReply::new(408, "request_overall_timeout")
            .with_body("request timeout")
            .because(CauseCode::RequestTimeout)
    }),
];
