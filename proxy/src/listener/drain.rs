//! Who has to leave, and how connections hear of it.
//!
//! Draining is a state of the process, of a listener, or of a filter chain that is gone. A connection asks [`HttpChain`] before each response; one
//! that is idle, and an HTTP/2 connection, also have to be woken, which each worker does for its own.
//!
//! [`HttpChain`]: super::HttpChain

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Nothing is ending.
    #[default]
    Serving,
    /// Clients are told to leave; everything is served, new connections too.
    Draining,
    /// Idle connections close now.
    Ending,
}

/// The phase of the whole process, and that of inbound listeners, which may drain first.
#[derive(Debug, Default)]
pub struct DrainState {
    all: AtomicU8,
    inbound: AtomicU8,
    is_failed: AtomicBool,
}

impl DrainState {
    /// Moves on to `phase`; never back.
    pub fn advance(&self, phase: Phase, inbound_only: bool) {
        self.inbound.fetch_max(phase as u8, Ordering::Relaxed);
        if !inbound_only {
            self.all.fetch_max(phase as u8, Ordering::Relaxed);
        }
    }

    /// Clients are told to leave while health checks fail, whatever the phase.
    pub fn set_failed(&self, failed: bool) {
        self.is_failed.store(failed, Ordering::Relaxed);
    }

    /// The phase of connections of listeners that are inbound, or not.
    #[must_use]
    pub fn phase(&self, is_inbound: bool) -> Phase {
        let state = if is_inbound { &self.inbound } else { &self.all };
        match state.load(Ordering::Relaxed) {
            0 if self.is_failed.load(Ordering::Relaxed) => Phase::Draining,
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Ending,
        }
    }
}

thread_local! {
    /// Connections of this worker that want to hear of changes.
    static TICKETS: RefCell<Tickets> = RefCell::default();
}

#[derive(Debug, Default)]
struct Tickets {
    round: u64,
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// A connection's place among those that are woken.
#[derive(Debug)]
pub struct DrainTicket {
    slot: usize,
    seen: std::cell::Cell<u64>,
}

impl DrainTicket {
    /// Registers a connection of this worker.
    #[must_use]
    pub fn new() -> Self {
        TICKETS.with_borrow_mut(|tickets| {
            let slot = tickets.free.pop().unwrap_or_else(|| {
                tickets.slots.push(None);
                tickets.slots.len() - 1
            });
            Self { slot, seen: std::cell::Cell::new(tickets.round) }
        })
    }

    /// Ready once for every change since the last time.
    pub fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        TICKETS.with_borrow_mut(|tickets| {
            if self.seen.replace(tickets.round) != tickets.round {
                return Poll::Ready(());
            }
            if let Some(place) = tickets.slots.get_mut(self.slot)
                && !place.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                *place = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}

impl Default for DrainTicket {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for DrainTicket {
    fn drop(&mut self) {
        TICKETS.with_borrow_mut(|tickets| {
            if let Some(place) = tickets.slots.get_mut(self.slot) {
                *place = None;
                tickets.free.push(self.slot);
            }
        });
    }
}

/// Wakes the connections of this worker: something about draining has changed.
pub fn wake_connections() {
    let wakers: Vec<Waker> = TICKETS.with_borrow_mut(|tickets| {
        tickets.round += 1;
        tickets.slots.iter_mut().filter_map(Option::take).collect()
    });
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_only_move_on() {
        let state = DrainState::default();
        state.advance(Phase::Draining, true);
        assert_eq!((state.phase(true), state.phase(false)), (Phase::Draining, Phase::Serving));
        state.advance(Phase::Ending, false);
        state.advance(Phase::Draining, false);
        assert_eq!((state.phase(true), state.phase(false)), (Phase::Ending, Phase::Ending));
    }

    #[test]
    fn every_connection_hears_of_a_change_once() {
        let cx = &mut Context::from_waker(Waker::noop());
        let (a, b) = (DrainTicket::new(), DrainTicket::new());
        assert!(a.poll_changed(cx).is_pending());
        wake_connections();
        assert!(a.poll_changed(cx).is_ready() && b.poll_changed(cx).is_ready());
        assert!(a.poll_changed(cx).is_pending());
        drop(a);
        assert_eq!(DrainTicket::new().slot, 0, "places are used again");
    }
}
