//! Stage: attempts, until one is final. (envoy: `Router::Filter`, `Router::RetryStateImpl`)
//!
//! The policy crate decides whether, when and where; this stage makes the attempts, pauses between them, and turns the final
//! outcome into the response of the exchange.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use outrigger_policy::head::Id;
use outrigger_policy::retry::{Decision, Outcome, Reset, ResetReason, Wait};
use outrigger_policy::verdict::{CauseCode, ResponseFlag};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::attempt::{Answered, Attempt};
use super::outlier;
use super::plan::Plan;
use super::replay::ReplayBuffer;
use super::tried::Tried;
use crate::body::Body;
use crate::clock;
use crate::exchange::Exchange;
use crate::failure::{Failure, FailureKind};
use crate::http::local_reply::{self, LocalReply};
use crate::http::route::apply_response_headers;
use crate::http::timer::Slot;
use crate::stage::StageFuture;
use crate::telemetry::metrics::ClusterStat;
use crate::telemetry::upstream_codes;
use crate::worker;

/// Makes a [`Retry`].
#[derive(Clone, Copy, Debug)]
pub struct RetryLayer;

/// The stage.
#[derive(Clone, Copy, Debug)]
pub struct Retry<S> {
    next: S,
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, next: S) -> Retry<S> {
        Retry { next }
    }
}

impl<S> Service<Box<Exchange>> for Retry<S>
where
    S: Service<Box<Attempt>, Response = Answered, Error = Failure> + Clone,
{
    type Response = Box<Exchange>;
    type Error = Infallible;
    type Future = RetryFuture<S, S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut exchange: Box<Exchange>) -> Self::Future {
        let mut next = self.next.clone();
        let mut previous = None;
        let state = match exchange.plan.take() {
            Some(mut plan) => {
                if plan.retry.is_some() {
                    previous = Tried::of(&plan.policy().retry).map(|t| Rc::new(RefCell::new(t)));
                }
                keep_body(&mut exchange, &mut plan);
                let attempt = prepare(&mut exchange, &plan, previous.as_ref());
                let state = State::Attempting { attempt: next.call(attempt) };
                exchange.plan = Some(plan);
                state
            }
            None => State::Unplanned,
        };
        RetryFuture { next, exchange: Some(exchange), previous, state }
    }
}

type Previous = Rc<RefCell<Tried>>;

pin_project! {
    /// The future of [`Retry`].
    pub struct RetryFuture<S, F> {
        next: S,
        exchange: Option<Box<Exchange>>,
        previous: Option<Previous>,
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Attempting { #[pin] attempt: F },
        Pausing,
        // No router ran before: a fault of ours.
        Unplanned,
        Done,
    }
}

impl<S> Future for RetryFuture<S, S::Future>
where
    S: Service<Box<Attempt>, Response = Answered, Error = Failure>,
{
    type Output = Result<Box<Exchange>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let Some(exchange) = this.exchange.as_mut() else { return Poll::Pending };
            match this.state.as_mut().project() {
                StateProj::Attempting { attempt } => {
                    let outcome = match attempt.poll(cx) {
                        Poll::Ready(outcome) => outcome,
                        Poll::Pending => Err(ready!(poll_per_try(cx, exchange))),
                    };
                    // Dropping the attempt cancels what is left of it before another begins.
                    this.state.set(State::Done);
                    exchange.progress.stop_per_try();
                    exchange.progress.set_per_try_idle(None);
                    match conclude(exchange, outcome) {
                        Next::Answered => {}
                        Next::Pause(wait) => {
                            exchange.progress.set_after(Slot::Pause, Some(wait.duration()));
                            this.state.set(State::Pausing);
                            continue;
                        }
                    }
                }
                StateProj::Pausing => {
                    ready!(exchange.progress.poll(cx, Slot::Pause));
                    exchange.progress.set(Slot::Pause, None);
                    if let Some(plan) = exchange.plan.take() {
                        let attempt = prepare(exchange, &plan, this.previous.as_ref());
                        exchange.plan = Some(plan);
                        this.state.set(State::Attempting { attempt: this.next.call(attempt) });
                        continue;
                    }
                    this.state.set(State::Unplanned);
                    continue;
                }
                StateProj::Unplanned => {
                    LocalReply::new(500, "internal").because(CauseCode::Internal).answer(exchange);
                }
                StateProj::Done => return Poll::Pending,
            }
            return match this.exchange.take() {
                Some(exchange) => Poll::Ready(Ok(exchange)),
                None => Poll::Pending,
            };
        }
    }
}

impl<S> StageFuture for RetryFuture<S, S::Future>
where
    S: Service<Box<Attempt>, Response = Answered, Error = Failure>,
{
    fn abandon(self: Pin<&mut Self>) -> Option<Box<Exchange>> {
        let mut this = self.project();
        this.state.set(State::Done);
        this.exchange.take()
    }
}

/// Keeps the body for another attempt, if there may be one.
fn keep_body(exchange: &mut Exchange, plan: &mut Plan) {
    if plan.replay.is_none()
        && plan.retry.is_some()
        && !exchange.request_body.is_end()
        && !plan.is_upgrade
    {
        let body = std::mem::take(&mut exchange.request_body);
        plan.replay = Some(ReplayBuffer::new(body, plan.buffer_limit()));
    }
}

/// The next attempt.
fn prepare(exchange: &mut Exchange, plan: &Plan, previous: Option<&Previous>) -> Box<Attempt> {
    let number = {
        let mut info = exchange.info.upstream.borrow_mut();
        info.attempts += 1;
        info.cluster = Some(plan.cluster.clone());
        info.attempts
    };
    let route = plan.route.clone();
    let policy = &route.payload.forward;
    // The first attempt is told the whole timeout, as by Envoy, whatever has passed since.
    let end = exchange.progress.request_end().filter(|_| number > 1);
    let elapsed = end.map(|end| end.elapsed()).unwrap_or_default();
    let head = exchange.request_mut();
    if policy.attempt_count_in_request {
        let mut buffer = itoa::Buffer::new();
        head.headers.set(Id::X_ENVOY_ATTEMPT_COUNT, buffer.format(number).as_bytes());
    }
    plan.timeouts.tell_upstream(head, elapsed, false);
    let body = match &plan.replay {
        Some(replay) => Body::Replay(replay.read()),
        None => std::mem::take(&mut exchange.request_body),
    };
    exchange.progress.set_per_try_idle(plan.timeouts.per_try_idle());
    let passes_interim = exchange.manager.proxy_100_continue;
    Box::new(Attempt {
        cluster: plan.cluster.clone(),
        head: exchange.request.clone(),
        body,
        protocol: plan.protocol(exchange.request.protocol),
        destination: exchange.info.connection.original_destination(),
        priority: policy.priority,
        previous: previous.cloned(),
        selection_attempts: policy.retry.host_selection_attempts,
        auto_host_rewrite: policy.auto_host_rewrite,
        is_upgrade: plan.is_upgrade,
        alpn: exchange.filters.alpn.clone(),
        per_try_timeout: plan.timeouts.per_try(),
        passes_interim,
        info: exchange.info.upstream.clone(),
        progress: exchange.progress.clone(),
        host: None,
    })
}

/// Ready with a failure once a deadline of the attempt has passed.
fn poll_per_try(cx: &mut Context<'_>, exchange: &Exchange) -> Poll<Failure> {
    let (kind, code, stat) = if exchange.progress.poll(cx, Slot::PerTry).is_ready() {
        let stat = ClusterStat::upstream_rq_per_try_timeout;
        (FailureKind::PerTryTimeout, CauseCode::PerTryTimeout, stat)
    } else if exchange.progress.poll(cx, Slot::PerTryIdle).is_ready() {
        let stat = ClusterStat::upstream_rq_per_try_idle_timeout;
        (FailureKind::PerTryIdleTimeout, CauseCode::PerTryIdleTimeout, stat)
    } else {
        return Poll::Pending;
    };
    if let Some(plan) = &exchange.plan {
        plan.cluster.counters.stats.inc(stat);
    }
    Poll::Ready(Failure::of(kind, code))
}

enum Next {
    /// The exchange has its response.
    Answered,
    /// Another attempt follows.
    Pause(Wait),
}

/// Decides what becomes of an attempt's outcome.
fn conclude(exchange: &mut Exchange, outcome: Result<Answered, Failure>) -> Next {
    let Some(mut plan) = exchange.plan.take() else { return Next::Answered };
    let is_retry = exchange.info.upstream.borrow().attempts > 1;
    report(exchange, &plan, &outcome);
    let decision = decide(&mut plan, &outcome);
    count(&plan, decision, is_retry);
    let next = match decision {
        Decision::Retry(wait) => {
            if let Ok(answered) = outcome {
                upstream_codes::count_retried(&plan.cluster, answered.head.status);
            }
            Next::Pause(wait)
        }
        Decision::No | Decision::Exhausted | Decision::Overflow => {
            match decision {
                Decision::Exhausted => {
                    exchange.info.flags.insert(ResponseFlag::UpstreamRetryLimitExceeded);
                }
                Decision::Overflow => exchange.info.flags.insert(ResponseFlag::UpstreamOverflow),
                _ => {}
            }
            if let Some(replay) = &plan.replay {
                replay.commit();
            }
            plan.retry = None;
            match outcome {
                Ok(answered) => respond(exchange, &plan, answered),
                Err(failure) => fail(exchange, &plan, failure),
            }
            Next::Answered
        }
    };
    exchange.plan = Some(plan);
    next
}

fn decide(plan: &mut Plan, outcome: &Result<Answered, Failure>) -> Decision {
    let Some(retry) = &mut plan.retry else { return Decision::No };
    let can_replay = plan.replay.as_ref().is_none_or(ReplayBuffer::can_replay);
    if !can_replay {
        plan.cluster.counters.stats.inc(ClusterStat::retry_or_shadow_abandoned);
        return Decision::No;
    }
    let outcome = match outcome {
        Ok(answered) => Outcome::Response(&answered.head),
        Err(failure) => match reset_of(failure) {
            Some(reset) => Outcome::Reset(reset),
            None => return Decision::No,
        },
    };
    let policy = &plan.route.payload.forward;
    let breaker = plan.cluster.breakers.of(policy.priority);
    worker::with_rng(|rng| retry.decide(&policy.retry, outcome, breaker, clock::wall(), rng))
}

/// A failure as the retry policy sees it; `None` for those that no retry can mend.
fn reset_of(failure: &Failure) -> Option<Reset> {
    let reason = match failure.kind {
        FailureKind::ConnectFailure | FailureKind::ConnectTimeout => ResetReason::ConnectFailure,
        FailureKind::RemoteRefused => ResetReason::RefusedStream,
        FailureKind::Overflow => ResetReason::Overflow,
        FailureKind::ConnectionTermination
        | FailureKind::RemoteReset
        | FailureKind::ProtocolError
        | FailureKind::PerTryTimeout
        | FailureKind::PerTryIdleTimeout => ResetReason::Other,
        FailureKind::NoHealthyUpstream
        | FailureKind::MaxStreamDuration
        | FailureKind::Downstream => return None,
    };
    Some(Reset { reason, request_started: !failure.is_unsent })
}

/// Tells outlier detection and the host's counters how the attempt went.
fn report(exchange: &Exchange, plan: &Plan, outcome: &Result<Answered, Failure>) {
    let mut info = exchange.info.upstream.borrow_mut();
    if let Err(failure) = outcome {
        info.transport_failure = failure.transport.clone();
        // One that is turned away with a connection at hand has come to the host, any other has not.
        let is_at_host = failure.cause.code == CauseCode::MaxRequests;
        if failure.kind == FailureKind::Overflow && !is_at_host {
            info.host = None;
        }
    }
    let Some(host) = info.host.clone() else { return };
    drop(info);
    let is_grpc = exchange.request.is_grpc();
    match outcome {
        Ok(answered) => outlier::report_response(&plan.cluster, &host, &answered.head, is_grpc),
        Err(failure) => outlier::report_failure(&plan.cluster, &host, failure.kind),
    }
}

fn count(plan: &Plan, decision: Decision, is_retry: bool) {
    let stats = &plan.cluster.counters.stats;
    match decision {
        Decision::Retry(wait) => {
            stats.inc(ClusterStat::upstream_rq_retry);
            match wait {
                Wait::None => {}
                Wait::Exponential(_) => {
                    stats.inc(ClusterStat::upstream_rq_retry_backoff_exponential)
                }
                Wait::RateLimited(_) => {
                    stats.inc(ClusterStat::upstream_rq_retry_backoff_ratelimited)
                }
            }
        }
        Decision::Exhausted => stats.inc(ClusterStat::upstream_rq_retry_limit_exceeded),
        Decision::Overflow => stats.inc(ClusterStat::upstream_rq_retry_overflow),
        Decision::No if is_retry => stats.inc(ClusterStat::upstream_rq_retry_success),
        Decision::No => {}
    }
}

/// The upstream's response becomes the exchange's.
fn respond(exchange: &mut Exchange, plan: &Plan, answered: Answered) {
    let Answered { mut head, body } = answered;
    let is_canary = head.headers.get(Id::X_ENVOY_UPSTREAM_CANARY) == Some(b"true".as_slice());
    upstream_codes::count(exchange, plan, head.status, is_canary);
    let mut number = itoa::Buffer::new();
    // An answer that came before the request was complete took no time that could be told.
    let since = exchange.progress.request_end();
    if let (Some(since), false) = (since, exchange.manager.router.suppress_envoy_headers) {
        let millis = since.elapsed().as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        head.headers.set(Id::X_ENVOY_UPSTREAM_SERVICE_TIME, number.format(millis).as_bytes());
    }
    if plan.policy().attempt_count_in_response {
        let attempts = exchange.info.upstream.borrow().attempts;
        head.headers.set(Id::X_ENVOY_ATTEMPT_COUNT, number.format(attempts).as_bytes());
    }
    exchange.info.details = "via_upstream".into();
    exchange.response = head;
    exchange.response_body = body;
    if plan.is_upgrade && exchange.response.status == 200 {
        // Not what was asked for: what follows is no other protocol, and nobody reads it as an answer.
        exchange.info.details = "websocket_handshake_unsuccessful".into();
        exchange.response.headers.set(Id::CONTENT_LENGTH, b"0");
        exchange.response_body = Body::Empty;
        exchange.closes_connection = true;
    }
    apply_response_headers(exchange);
}

/// The last attempt's failure becomes a local reply.
fn fail(exchange: &mut Exchange, plan: &Plan, failure: Failure) {
    count_failure(plan, &failure);
    let is_retried = exchange.info.upstream.borrow().attempts > 1;
    let mut reply = local_reply::of_failure(failure, is_retried);
    if plan.policy().attempt_count_in_response {
        let attempts = exchange.info.upstream.borrow().attempts;
        let text = itoa::Buffer::new().format(attempts).as_bytes().to_vec();
        reply = reply.with_header(Id::X_ENVOY_ATTEMPT_COUNT, text);
    }
    upstream_codes::count(exchange, plan, reply.status, false);
    reply.answer(exchange);
}

fn count_failure(plan: &Plan, failure: &Failure) {
    let stats = &plan.cluster.counters.stats;
    match failure.kind {
        FailureKind::RemoteReset | FailureKind::RemoteRefused => {
            stats.inc(ClusterStat::upstream_rq_rx_reset);
        }
        FailureKind::PerTryTimeout | FailureKind::PerTryIdleTimeout => {
            stats.inc(ClusterStat::upstream_rq_tx_reset);
        }
        _ => {}
    }
}
