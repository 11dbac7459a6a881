//! One attempt: a host is picked, a connection taken, the request sent, the head of the response awaited.
//!
//! [`Balance`] and [`Exchanger`] are the last two services of the stack. They know nothing of retries: an attempt ends with a
//! response or a [`Failure`], and dropping its future cancels it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::head::{Id, RequestHead, ResponseHead};
use outrigger_policy::lb::NoHost;
use outrigger_policy::verdict::{Cause, CauseCode};
use tokio::time::Instant;
use tower::Service;

use super::body::{UpstreamBody, UpstreamStream};
use super::cluster::Cluster;
use super::host::Host;
use super::pool::{self, ActiveRequest, Checkout, Leased};
use super::tried::Tried;
use crate::body::Body;
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::http::codec::http1::{self, BodyLength, ResponseLimits};
use crate::http::codec::http2;
use crate::http::progress::Progress;
use crate::http::router::set_host;
use crate::telemetry::UpstreamInfo;
use crate::telemetry::metrics::ClusterStat;
use crate::tls::Alpn;
use crate::worker;

/// What one attempt needs.
#[derive(Debug)]
pub struct Attempt {
    /// Where it goes.
    pub cluster: Arc<Cluster>,
    /// The request's head, final but for the host of `auto_host_rewrite`.
    pub head: Rc<RequestHead>,
    /// The request's body.
    pub body: Body,
    /// What is spoken.
    pub protocol: pool::Protocol,
    /// Where the client's connection was going before it was redirected here.
    pub destination: Option<SocketAddr>,
    /// Which limits count.
    pub priority: RoutingPriority,
    /// What was tried before, if that is to be avoided.
    pub previous: Option<Rc<RefCell<Tried>>>,
    /// Picks until an avoided host is taken after all.
    pub selection_attempts: u32,
    /// The chosen host's name becomes the request's.
    pub auto_host_rewrite: bool,
    /// The request asks for another protocol on its connection.
    pub is_upgrade: bool,
    /// What is offered in TLS in place of what the cluster says.
    pub alpn: Option<Arc<Alpn>>,
    /// Until the head of the response; runs once the request is with a connection and complete.
    pub per_try_timeout: Option<Duration>,
    /// Interim responses reach the client.
    pub passes_interim: bool,
    /// What is told of the attempt.
    pub info: Rc<RefCell<UpstreamInfo>>,
    /// The stream that waits.
    pub progress: Rc<Progress>,
    /// Chosen by [`Balance`].
    pub host: Option<Arc<Host>>,
}

/// An attempt that was answered.
#[derive(Debug)]
pub struct Answered {
    /// The head of the response.
    pub head: ResponseHead,
    /// Its body.
    pub body: Body,
}

/// Picks the host.
#[derive(Clone, Copy, Debug)]
pub struct Balance<S> {
    next: S,
}

impl<S> Balance<S> {
    /// Picks for `next`.
    pub const fn new(next: S) -> Self {
        Self { next }
    }
}

impl<S> Service<Box<Attempt>> for Balance<S>
where
    S: Service<Box<Attempt>, Response = Answered, Error = Failure>,
{
    type Response = Answered;
    type Error = Failure;
    type Future = Balanced<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut attempt: Box<Attempt>) -> Self::Future {
        let pool = pool::of(&attempt.cluster);
        let previous = attempt.previous.as_deref();
        let destination = match attempt.cluster.destinations() {
            Some(of) => of.of_request(&attempt.cluster, &attempt.head, attempt.destination),
            None => None,
        };
        match pool.pick(destination, previous, attempt.selection_attempts) {
            Ok((host, reason)) => {
                if reason.in_panic {
                    attempt.cluster.counters.stats.inc(ClusterStat::lb_healthy_panic);
                }
                if let Some(previous) = &attempt.previous {
                    previous.borrow_mut().add(&host);
                }
                attempt.info.borrow_mut().host = Some(host.clone());
                attempt.host = Some(host);
                Balanced::Picked { next: self.next.call(attempt) }
            }
            Err(none) => {
                pool::count_no_host(&attempt.cluster);
                let code = match none {
                    NoHost::Empty => CauseCode::NoHost,
                    NoHost::NoneHealthy | NoHost::FailedOnPanic => CauseCode::NoHealthyHost,
                };
                let cause = Cause::about(code, &attempt.cluster.name);
                let failure = Failure::new(FailureKind::NoHealthyUpstream, cause).unsent();
                Balanced::None { failure: Some(failure) }
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`Balance`].
    #[project = BalancedProj]
    pub enum Balanced<F> {
        /// A host was picked.
        Picked { #[pin] next: F },
        /// There was none.
        None { failure: Option<Failure> },
    }
}

impl<F: Future<Output = Result<Answered, Failure>>> Future for Balanced<F> {
    type Output = Result<Answered, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            BalancedProj::Picked { next } => next.poll(cx),
            BalancedProj::None { failure } => match failure.take() {
                Some(failure) => Poll::Ready(Err(failure)),
                None => Poll::Pending,
            },
        }
    }
}

/// Takes a connection to the host and performs the exchange on it.
#[derive(Clone, Copy, Debug)]
pub struct Exchanger;

impl Service<Box<Attempt>> for Exchanger {
    type Response = Answered;
    type Error = Failure;
    type Future = Exchanging;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Box<Attempt>) -> Exchanging {
        let Some(host) = attempt.host.clone() else {
            return Exchanging { attempt, waiting: None, state: State::Done };
        };
        host.counters.rq_active.fetch_add(1, Relaxed);
        let requested = attempt.cluster.settings.http.requested_name.as_ref();
        let requested = requested.map(|name| name.of(&attempt.head));
        let pool = pool::of(&attempt.cluster).host(
            &host,
            attempt.protocol,
            requested,
            attempt.alpn.clone(),
        );
        let checkout = Checkout::new(pool, attempt.priority);
        Exchanging { attempt, waiting: Some(HostGuard(host)), state: State::Checkout(checkout) }
    }
}

/// The future of [`Exchanger`].
#[derive(Debug)]
pub struct Exchanging {
    attempt: Box<Attempt>,
    /// The host counts the attempt as active from the pick on: load balancing sees it.
    waiting: Option<HostGuard>,
    state: State,
}

#[derive(Debug)]
enum State {
    Checkout(Checkout),
    Running(Option<(UpstreamStream, ActiveRequest)>),
    Done,
}

/// Counts an attempt as active at its host.
#[derive(Debug)]
pub struct HostGuard(Arc<Host>);

impl Drop for HostGuard {
    fn drop(&mut self) {
        self.0.counters.rq_active.fetch_sub(1, Relaxed);
    }
}

impl Future for Exchanging {
    type Output = Result<Answered, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Checkout(checkout) => {
                    let (leased, active) = ready!(checkout.poll(cx))?;
                    this.state = State::Running(Some((this.attempt.start(leased)?, active)));
                }
                State::Running(running) => {
                    let Some((stream, _)) = running else { return Poll::Pending };
                    let mut spare = worker::spare_headers();
                    let polled = stream.poll_response(cx, &mut spare);
                    if polled.is_pending() {
                        this.attempt.note_sent(stream);
                        worker::keep_headers(spare);
                        return Poll::Pending;
                    }
                    let head = match ready!(polled) {
                        Ok(head) => head,
                        Err(failure) => {
                            let is_unsent = stream.is_unsent();
                            if failure.kind == FailureKind::ProtocolError {
                                let stats = &this.attempt.cluster.counters.stats;
                                stats.inc(ClusterStat::upstream_cx_protocol_error);
                            }
                            if let Some((stream, active)) = running.take() {
                                stream.finish(&active);
                            }
                            this.state = State::Done;
                            return Poll::Ready(Err(if is_unsent {
                                failure.unsent()
                            } else {
                                failure
                            }));
                        }
                    };
                    if matches!(head.status, 100..=199) && head.status != 101 {
                        if this.attempt.passes_interim {
                            this.attempt.progress.push_interim(head);
                        }
                        continue;
                    }
                    let Some((stream, active)) = running.take() else { return Poll::Pending };
                    this.state = State::Done;
                    return Poll::Ready(Ok(this.attempt.answered(
                        head,
                        stream,
                        active,
                        this.waiting.take(),
                    )));
                }
                State::Done => {
                    let failure = Failure::of(FailureKind::NoHealthyUpstream, CauseCode::Internal);
                    return Poll::Ready(Err(failure));
                }
            }
        }
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        // An attempt that is given up closes its connection, or resets its stream.
        if let State::Running(Some((stream, active))) =
            std::mem::replace(&mut self.state, State::Done)
        {
            stream.finish(&active);
        }
    }
}

impl Attempt {
    /// Starts the request on a connection.
    fn start(&mut self, leased: Leased) -> Result<UpstreamStream, Failure> {
        if self.auto_host_rewrite {
            self.rewrite_host();
        }
        let body = std::mem::take(&mut self.body);
        let http = &self.cluster.settings.http;
        {
            let mut info = self.info.borrow_mut();
            info.first_tx.get_or_insert_with(Instant::now);
            let meta = leased.meta();
            info.local_address = Some(meta.local.clone());
            info.tls.clone_from(&meta.tls);
            info.protocol = Some(match &leased {
                Leased::Http1(_) => outrigger_policy::head::Protocol::Http11,
                Leased::Http2(_) => outrigger_policy::head::Protocol::Http2,
            });
        }
        self.progress.start_per_try(self.per_try_timeout);
        match leased {
            Leased::Http1(connection) => {
                let (length, extra) = self.framing(&body);
                let limits = ResponseLimits {
                    head_bytes: http.max_response_head_bytes,
                    headers: http.max_response_headers,
                    trailers: http.enable_trailers,
                };
                let pool::Http1Connection { codec, meta } = *connection;
                let stream =
                    http1::ClientStream::new(codec, &self.head, extra, body, length, limits);
                Ok(UpstreamStream::Http1(Box::new(stream), meta))
            }
            Leased::Http2(lease) => {
                match http2::ClientStream::open(&lease.connection.sender, &self.head, body) {
                    Ok(stream) => Ok(UpstreamStream::Http2(Box::new(stream), lease)),
                    Err(failure) => {
                        // The connection takes no stream any more: the next attempt gets another.
                        lease.connection.close();
                        Err(failure)
                    }
                }
            }
        }
    }

    /// How the body is framed in HTTP/1, and the line that says so if the head does not.
    fn framing(&self, body: &Body) -> (BodyLength, &'static [(&'static str, &'static [u8])]) {
        if self.is_upgrade {
            return (BodyLength::UntilClose, &[]);
        }
        let declared = self.head.headers.get(Id::CONTENT_LENGTH);
        match declared.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()) {
            Some(length) => (BodyLength::Exact(length), &[]),
            None if body.is_end() => {
                let has_no_body = matches!(
                    self.head.method(),
                    b"GET" | b"HEAD" | b"DELETE" | b"TRACE" | b"CONNECT"
                );
                let line: &[(&str, &[u8])] =
                    if has_no_body { &[] } else { &[("content-length", b"0")] };
                (BodyLength::Exact(0), line)
            }
            None => (BodyLength::Chunked, &[("transfer-encoding", b"chunked")]),
        }
    }

    fn rewrite_host(&mut self) {
        let Some(name) = self.host.as_ref().map(|host| host.hostname.clone()) else { return };
        if !name.is_empty() {
            set_host(Rc::make_mut(&mut self.head), name.as_bytes(), false);
        }
    }

    fn note_sent(&self, stream: &UpstreamStream) {
        let mut info = self.info.borrow_mut();
        if info.last_tx.is_none() && stream.is_request_sent() {
            info.last_tx = Some(clock::now());
        }
    }

    fn answered(
        &self,
        head: ResponseHead,
        stream: UpstreamStream,
        active: ActiveRequest,
        guard: Option<HostGuard>,
    ) -> Answered {
        let now = clock::now();
        {
            let mut info = self.info.borrow_mut();
            info.last_tx.get_or_insert(now);
            info.first_rx = Some(now);
        }
        self.progress.stop_per_try();
        if stream.is_done() {
            self.info.borrow_mut().last_rx = Some(now);
            stream.finish(&active);
            return Answered { head, body: Body::Empty };
        }
        let body = UpstreamBody::new(stream, active, guard, self.info.clone());
        Answered { head, body: Body::Upstream(Box::new(body)) }
    }
}
