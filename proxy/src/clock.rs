//! Deadlines that nearly never pass, kept by a thread of its own.
//!
//! A worker always has some: timeouts of streams and of connections, sweeps. In its own runtime they would give every wait for the next event a timeout,
//! and the kernel would set and cancel a timer for each, twice per request: one sixteenth of what a request costs. So they lie in the
//! timer wheel of the clock's thread, which wakes the task when one passes, and the worker waits without a timeout. What lives for one handshake only may as well
//! use the worker's own runtime.

use std::io;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, Interval, Sleep, Timeout};

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
