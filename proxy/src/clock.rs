//! What time it is, and deadlines that nearly never pass, kept by a thread of its own.
//!
//! Within one poll of a worker's task it is one moment: the first who asks reads the clock. An exchange asks twenty times, and nothing that is measured is as short
//! as a poll.
//!
//! A worker always has some: timeouts of streams and of connections, sweeps. In its own runtime they would give every wait for the next event a timeout,
//! and the kernel would set and cancel a timer for each, twice per request: one sixteenth of what a request costs. So they lie in the
//! timer wheel of the clock's thread, which wakes the task when one passes, and the worker waits without a timeout. What lives for one handshake only may as well
//! use the worker's own runtime.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, SystemTime};

use pin_project_lite::pin_project;

use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, Interval, Sleep, Timeout};

/// For how long the wall clock is reckoned from the monotonic one before it is read again: it may be set.
const WALL_HOLDS: Duration = Duration::from_millis(100);

static CLOCK: OnceLock<Handle> = OnceLock::new();

/// Starts the clock's thread; without it, deadlines are kept by the runtime that sets them, as tests with a paused clock want.
///
/// # Errors
/// Those of the system.
pub fn start() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let _ = CLOCK.set(runtime.handle().clone());
    thread::Builder::new()
        .name("clock".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(())
}

/// As [`tokio::time::sleep_until`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    let _entered = CLOCK.get().map(Handle::enter);
    tokio::time::sleep_until(deadline)
}

/// As [`tokio::time::sleep`].
pub fn sleep(duration: Duration) -> Sleep {
    let _entered = CLOCK.get().map(Handle::enter);
    tokio::time::sleep(duration)
}

/// As [`tokio::time::timeout`].
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    let _entered = CLOCK.get().map(Handle::enter);
    tokio::time::timeout(duration, future)
}

/// As [`tokio::time::interval`].
///
/// # Panics
/// If `period` is zero.
pub fn interval(period: Duration) -> Interval {
    let _entered = CLOCK.get().map(Handle::enter);
    tokio::time::interval(period)
}

/// What a worker's task has read of the clock in this poll.
#[derive(Clone, Copy)]
enum Reading {
    /// No poll is under way: everybody reads for himself.
    Outside,
    Unread,
    Read(Instant),
}

thread_local! {
    static READING: Cell<Reading> = const { Cell::new(Reading::Outside) };
    static WALL: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// The time, by the monotonic clock; within a poll of an [`InOneMoment`] always the same.
#[must_use]
pub fn now() -> Instant {
    match READING.get() {
        Reading::Read(now) => now,
        Reading::Unread => {
            let now = Instant::now();
            READING.set(Reading::Read(now));
            now
        }
        Reading::Outside => Instant::now(),
    }
}

/// [`now`] by the wall clock, which is read ten times a second at most.
#[must_use]
pub fn wall() -> SystemTime {
    let now = now();
    if let Some((at, wall)) = WALL.get() {
        let since = now.saturating_duration_since(at);
        if since < WALL_HOLDS {
            return wall + since;
        }
    }
    let wall = SystemTime::now();
    WALL.set(Some((now, wall)));
    wall
}

pin_project! {
    /// A task for which every poll is one moment.
    #[derive(Debug)]
    pub struct InOneMoment<F> {
        #[pin]
        task: F,
    }
}

impl<F> InOneMoment<F> {
    /// Wraps a task.
    pub const fn new(task: F) -> Self {
        Self { task }
    }
}

impl<F: Future> Future for InOneMoment<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        /// Ends the moment also when the task panics.
        struct Moment;
        impl Drop for Moment {
            fn drop(&mut self) {
                READING.set(Reading::Outside);
            }
        }
        let _moment = Moment;
        READING.set(Reading::Unread);
        self.project().task.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_poll_is_one_moment() {
        let mut seen = Vec::new();
        InOneMoment::new(poll_fn(|cx| {
            let first = (now(), wall());
            thread::sleep(Duration::from_millis(2));
            assert_eq!((now(), wall()), first);
            seen.push(first);
            cx.waker().wake_by_ref();
            if seen.len() < 3 { Poll::Pending } else { Poll::Ready(()) }
        }))
        .await;
        assert!(seen.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        let outside = now();
        thread::sleep(Duration::from_millis(2));
        assert!(now() > outside);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wall_clock_is_read_again() {
        assert!(wall() <= SystemTime::now());
        tokio::time::advance(WALL_HOLDS * 2).await;
        // Reckoned on, it would be in the future now.
        assert!(wall() <= SystemTime::now());
    }

    #[test]
    fn the_moment_ends_with_a_panic() {
        let polled = std::panic::catch_unwind(|| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let task = InOneMoment::new(poll_fn::<(), _>(|_| {
                let _ = now();
                panic!("as a task may")
            }));
            let _ = std::pin::pin!(task).poll(&mut cx);
        });
        assert!(polled.is_err());
        assert!(matches!(READING.get(), Reading::Outside));
    }
}
