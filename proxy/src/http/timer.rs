//! All deadlines of one stream in one timer.
//!
//! A request may be under a route timeout, an idle timeout, a longest duration and a timeout of its attempt, all far away and nearly
//! never reached. So a stream arms one sleep, for the earliest of them, and leaves it armed when deadlines move away: on a keep-alive
//! connection the runtime's timer wheel is touched once per timeout, not once per request.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep};

use crate::clock;

/// What a deadline is for. Each has one place in a [`StreamTimer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The whole exchange. (envoy: RouteAction.timeout)
    Route,
    /// One attempt. (envoy: RetryPolicy.per_try_timeout)
    PerTry,
    /// An attempt that makes no progress. (envoy: RetryPolicy.per_try_idle_timeout)
    PerTryIdle,
    /// A pause that the proxy makes: a fault's delay, a retry's back-off.
    Pause,
    /// No progress on the stream. (envoy: HttpConnectionManager.stream_idle_timeout)
    Idle,
    /// The longest life of the stream. (envoy: max_stream_duration)
    MaxDuration,
    /// The request must have arrived. (envoy: HttpConnectionManager.request_timeout)
    Request,
}

const SLOTS: usize = 7;

/// The deadlines of one stream, polled from one task only.
#[derive(Debug, Default)]
pub struct StreamTimer {
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    deadlines: [Option<Instant>; SLOTS],
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
    /// Whom the sleep wakes.
    waker: Option<Waker>,
}

impl StreamTimer {
    /// Sets or clears a deadline. It counts from the next poll.
    pub fn set(&self, slot: Slot, deadline: Option<Instant>) {
        if let Some(place) = self.inner.borrow_mut().deadlines.get_mut(slot as usize) {
            *place = deadline;
        }
    }

    /// Clears every deadline; the sleep stays armed for the next exchange.
    pub fn clear(&self) {
        self.inner.borrow_mut().deadlines = [None; SLOTS];
    }

    /// The deadline of a slot.
    #[must_use]
    pub fn deadline(&self, slot: Slot) -> Option<Instant> {
        self.inner.borrow().deadlines.get(slot as usize).copied().flatten()
    }

    /// Ready once the deadline of `slot` has passed; never without one. The task is woken for every deadline that is set.
    pub fn poll(&self, cx: &mut Context<'_>, slot: Slot) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        let Some(deadline) = inner.deadlines.get(slot as usize).copied().flatten() else {
            return Poll::Pending;
        };
        if inner.armed.is_some_and(|armed| armed <= deadline) && inner.poll_sleep(cx).is_pending() {
            return Poll::Pending;
        }
        let now = clock::now();
        if now >= deadline {
            return Poll::Ready(());
        }
        inner.arm(cx, now);
        Poll::Pending
    }
}

impl Inner {
    /// Arms the sleep for the earliest deadline to come.
    fn arm(&mut self, cx: &mut Context<'_>, now: Instant) {
        let Some(earliest) = self.deadlines.iter().flatten().filter(|d| **d > now).min().copied()
        else {
            return;
        };
        match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().reset(earliest);
                self.waker = None;
            }
            None => self.sleep = Some(Box::pin(clock::sleep_until(earliest))),
        }
        self.armed = Some(earliest);
        if self.poll_sleep(cx).is_ready() {
            // It passed just now: look again.
            cx.waker().wake_by_ref();
        }
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else { return Poll::Ready(()) };
        let is_known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_known && self.armed.is_some_and(|armed| clock::now() < armed) {
            return Poll::Pending;
        }
        if sleep.as_mut().poll(cx).is_pending() {
            if !is_known {
                self.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        self.armed = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn the_right_deadline_fires_at_its_time() {
        let timer = StreamTimer::default();
        let start = clock::now();
        timer.set(Slot::Route, Some(start + Duration::from_secs(15)));
        timer.set(Slot::Idle, Some(start + Duration::from_secs(5)));
        poll_fn(|cx| {
            assert!(timer.poll(cx, Slot::Route).is_pending());
            timer.poll(cx, Slot::Idle)
        })
        .await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        timer.set(Slot::Idle, None);
        timer.set(Slot::PerTry, Some(start + Duration::from_secs(7)));
        poll_fn(|cx| timer.poll(cx, Slot::PerTry)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_deadline_that_moved_away_does_not_fire_early() {
        let timer = StreamTimer::default();
        let start = clock::now();
        timer.set(Slot::Route, Some(start + Duration::from_secs(1)));
        poll_fn(|cx| {
            assert!(timer.poll(cx, Slot::Route).is_pending());
            Poll::Ready(())
        })
        .await;
        timer.clear();
        timer.set(Slot::Route, Some(start + Duration::from_secs(3)));
        poll_fn(|cx| timer.poll(cx, Slot::Route)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn without_a_deadline_nothing_fires() {
        let timer = StreamTimer::default();
        timer.set(Slot::Route, Some(clock::now()));
        poll_fn(|cx| {
            assert!(timer.poll(cx, Slot::Idle).is_pending());
            timer.poll(cx, Slot::Route)
        })
        .await;
    }
}
