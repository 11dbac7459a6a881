//! A request's way to a connection: at once, or through the queue of its host.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::bulkhead::Permit;
use outrigger_policy::verdict::CauseCode;

use super::HostPool;
use super::active::ActiveRequest;
use super::connection::Leased;
use crate::failure::Failure;
use crate::telemetry::metrics::{Active, ClusterStat};

/// A request that wants a connection. Dropping it gives up the place, or the connection that was just handed over.
#[derive(Debug)]
pub struct Checkout {
    pool: Rc<HostPool>,
    priority: RoutingPriority,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    waiter: Rc<Waiter>,
    _permit: Permit,
    _gauge: Active<ClusterStat>,
}

/// A place in the queue.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    state: RefCell<(Option<Result<Leased, Failure>>, Option<Waker>)>,
}

impl Waiter {
    pub(super) fn resolve(&self, result: Result<Leased, Failure>) {
        let mut state = self.state.borrow_mut();
        state.0 = Some(result);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "the form of a poll")]
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Leased, Failure>> {
        let mut state = self.state.borrow_mut();
        match state.0.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Checkout {
    /// Nothing happens before the first poll.
    #[must_use]
    pub const fn new(pool: Rc<HostPool>, priority: RoutingPriority) -> Self {
        Self { pool, priority, waiting: None }
    }

    /// The pool that is asked.
    #[must_use]
    pub const fn pool(&self) -> &Rc<HostPool> {
        &self.pool
    }

    /// The connection, and the request's place within the limit of active ones.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Leased, ActiveRequest), Failure>> {
        loop {
            if let Some(waiting) = &self.waiting {
                let leased = std::task::ready!(waiting.waiter.poll(cx));
                self.waiting = None;
                return Poll::Ready(leased.and_then(|leased| self.admit(leased)));
            }
            if let Some(leased) = self.pool.take_ready(cx) {
                return Poll::Ready(self.admit(leased));
            }
            if let Err(failure) = self.wait() {
                return Poll::Ready(Err(failure));
            }
        }
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let cluster = self.pool.cluster().clone();
        let breaker = cluster.breakers.of(self.priority);
        let full = |code| self.pool.overflow(code);
        if cluster.breakers.of(RoutingPriority::Default).connections().limit() == 0 {
            return Err(full(CauseCode::MaxConnections));
        }
        let permit =
            breaker.pending().try_acquire().ok_or_else(|| full(CauseCode::MaxPendingRequests))?;
        cluster.counters.stats.inc(ClusterStat::upstream_rq_pending_total);
        let gauge = cluster.counters.stats.active(ClusterStat::upstream_rq_pending_active);
        let waiter = Rc::new(Waiter::default());
        self.waiting = Some(Waiting { waiter: waiter.clone(), _permit: permit, _gauge: gauge });
        self.pool.enqueue(waiter);
        Ok(())
    }

    fn admit(&self, leased: Leased) -> Result<(Leased, ActiveRequest), Failure> {
        let cluster = self.pool.cluster();
        match cluster.breakers.of(self.priority).requests().try_acquire() {
            Some(permit) => Ok((leased, ActiveRequest::new(self.pool.clone(), permit))),
            None => {
                self.put_back(leased);
                Err(self.pool.overflow(CauseCode::MaxRequests))
            }
        }
    }

    fn put_back(&self, leased: Leased) {
        match leased {
            Leased::Http1(connection) => self.pool.give_back(connection, true),
            Leased::Http2(lease) => drop(lease),
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        self.pool.dequeue(&waiting.waiter);
        let handed_over = waiting.waiter.state.borrow_mut().0.take();
        if let Some(Ok(leased)) = handed_over {
            self.put_back(leased);
        }
    }
}
