//! Stage: the route's timeout, over all attempts and the pauses between them. It runs from the end of the request to the end of the
//! response; after the head of the response the downstream edge watches it. (envoy: RouteAction.timeout)

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use outrigger_policy::head::Id;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::exchange::Exchange;
use crate::http::local_reply;
use crate::http::progress::Progress;
use crate::http::timer::Slot;
use crate::stage::{Stage, StageFuture};
use crate::telemetry::metrics::ClusterStat;
use crate::telemetry::upstream_codes;

/// Makes a [`Deadline`].
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer;

/// The stage.
#[derive(Clone, Copy, Debug)]
pub struct Deadline<S> {
    next: S,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, next: S) -> Deadline<S> {
        Deadline { next }
    }
}

impl<S: Stage> Service<Box<Exchange>> for Deadline<S> {
    type Response = Box<Exchange>;
    type Error = Infallible;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, exchange: Box<Exchange>) -> Self::Future {
        let progress = exchange.progress.clone();
        DeadlineFuture { next: self.next.call(exchange), progress }
    }
}

pin_project! {
    /// The future of [`Deadline`].
    pub struct DeadlineFuture<F> {
        #[pin]
        next: F,
        progress: Rc<Progress>,
    }
}

impl<F: StageFuture> Future for DeadlineFuture<F> {
    type Output = Result<Box<Exchange>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(exchange) = this.next.as_mut().poll(cx) {
            return Poll::Ready(exchange);
        }
        if this.progress.poll(cx, Slot::Route).is_pending() {
            return Poll::Pending;
        }
        let Some(mut exchange) = this.next.abandon() else { return Poll::Pending };
        time_out(&mut exchange);
        Poll::Ready(Ok(exchange))
    }
}

impl<F: StageFuture> StageFuture for DeadlineFuture<F> {
    fn abandon(self: Pin<&mut Self>) -> Option<Box<Exchange>> {
        self.project().next.abandon()
    }
}

fn time_out(exchange: &mut Exchange) {
    if let Some(plan) = &exchange.plan {
        plan.cluster.counters.stats.inc(ClusterStat::upstream_rq_timeout);
        let host = exchange.info.upstream.borrow().host.clone();
        if let Some(host) = host {
            host.counters.rq_timeout.fetch_add(1, Relaxed);
            super::outlier::report_timeout(&plan.cluster, &host);
        }
    }
    let mut reply = local_reply::route_timeout();
    if let Some(plan) = exchange.plan.take() {
        if plan.times_out_quietly {
            reply.status = 204;
            reply.body = "".into();
        }
        if plan.policy().attempt_count_in_response {
            let attempts = exchange.info.upstream.borrow().attempts;
            let text = itoa::Buffer::new().format(attempts).as_bytes().to_vec();
            reply = reply.with_header(Id::X_ENVOY_ATTEMPT_COUNT, text);
        }
        upstream_codes::count(exchange, &plan, reply.status, false);
        exchange.plan = Some(plan);
    }
    reply.answer(exchange);
}
