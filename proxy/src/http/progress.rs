//! How far a stream is: what arrived of the request, and the timeouts that follow from it.
//!
//! One for each HTTP/1 connection and each HTTP/2 stream, shared by the exchange, the request's body and the connection's task. The
//! route's timeout starts when the request is complete; the idle timeout starts again whenever a byte moves.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_policy::head::ResponseHead;
use tokio::time::Instant;

use super::timer::{Slot, StreamTimer};
use crate::clock;

/// The state of one stream's progress.
#[derive(Debug, Default)]
pub struct Progress {
    timer: StreamTimer,
    received: Cell<u64>,
    request_end: Cell<Option<Instant>>,
    route_timeout: Cell<Option<Duration>>,
    idle_timeout: Cell<Option<Duration>>,
    per_try_timeout: Cell<Option<Duration>>,
    per_try_idle_timeout: Cell<Option<Duration>>,
    /// Interim responses (1xx) that wait to be sent.
    interim: RefCell<Vec<ResponseHead>>,
}

impl Progress {
    /// Starts a new stream on the same connection.
    pub fn restart(&self, idle_timeout: Option<Duration>) {
        self.timer.clear();
        self.received.set(0);
        self.request_end.set(None);
        self.route_timeout.set(None);
        self.per_try_timeout.set(None);
        self.per_try_idle_timeout.set(None);
        self.set_idle_timeout(idle_timeout);
    }

    /// The route may have an idle timeout of its own.
    pub fn set_idle_timeout(&self, timeout: Option<Duration>) {
        self.idle_timeout.set(timeout);
        self.timer.set(Slot::Idle, timeout.map(|timeout| clock::now() + timeout));
    }

    /// The route's timeout; it runs from the end of the request.
    pub fn set_route_timeout(&self, timeout: Option<Duration>) {
        self.route_timeout.set(timeout);
        if let (Some(end), Some(timeout)) = (self.request_end.get(), timeout) {
            self.timer.set(Slot::Route, Some(end + timeout));
        }
    }

    /// Bytes of the request's body moved.
    pub fn on_request_data(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
        self.touch();
    }

    /// The request is complete.
    pub fn on_request_end(&self) {
        if self.request_end.get().is_none() {
            let now = clock::now();
            self.request_end.set(Some(now));
            self.timer.set(Slot::Route, self.route_timeout.get().map(|timeout| now + timeout));
            self.timer.set(Slot::Request, None);
            self.start_per_try(self.per_try_timeout.take());
        }
    }

    /// An attempt has got its connection: its timeout runs from here, but not before the request is complete.
    pub fn start_per_try(&self, timeout: Option<Duration>) {
        if self.request_end.get().is_some() {
            self.set_after(Slot::PerTry, timeout);
        } else {
            self.per_try_timeout.set(timeout);
        }
    }

    /// An attempt was answered, or is over.
    pub fn stop_per_try(&self) {
        self.per_try_timeout.set(None);
        self.timer.set(Slot::PerTry, None);
    }

    /// An attempt begins that may not stall for longer than this.
    pub fn set_per_try_idle(&self, timeout: Option<Duration>) {
        self.per_try_idle_timeout.set(timeout);
        self.set_after(Slot::PerTryIdle, timeout);
    }

    /// Something moved: the idle timeout starts again.
    pub fn touch(&self) {
        for (slot, timeout) in [
            (Slot::Idle, self.idle_timeout.get()),
            (Slot::PerTryIdle, self.per_try_idle_timeout.get()),
        ] {
            if timeout.is_some() {
                self.set_after(slot, timeout);
            }
        }
    }

    /// Bytes of the request's body so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// When the request was complete.
    #[must_use]
    pub fn request_end(&self) -> Option<Instant> {
        self.request_end.get()
    }

    /// Hands an interim response to the client's connection.
    pub fn push_interim(&self, head: ResponseHead) {
        self.interim.borrow_mut().push(head);
    }

    /// The next interim response that is to be sent.
    pub fn take_interim(&self) -> Option<ResponseHead> {
        let mut waiting = self.interim.borrow_mut();
        if waiting.is_empty() { None } else { Some(waiting.remove(0)) }
    }

    /// Sets or clears a deadline.
    pub fn set(&self, slot: Slot, deadline: Option<Instant>) {
        self.timer.set(slot, deadline);
    }

    /// Sets a deadline from now, or clears it.
    pub fn set_after(&self, slot: Slot, timeout: Option<Duration>) {
        self.timer.set(slot, timeout.map(|timeout| clock::now() + timeout));
    }

    /// Ready once a deadline has passed.
    pub fn poll(&self, cx: &mut Context<'_>, slot: Slot) -> Poll<()> {
        self.timer.poll(cx, slot)
    }
}
