//! Where lines go: files and standard streams.
//!
//! - `buffer`: what a worker has not handed over yet, one buffer for each file
//! - `file`: an open file, shared by all logs that name its path
//! - `writer`: the thread that writes a file, and the bounded queue before it
//!
//! A worker never waits for a disk or a reader. It formats lines into memory of its own and hands full buffers over; if the queue is full, the
//! buffer's lines are dropped and counted. Each file has its thread, so that a pipe that nobody reads costs no other file a line.

mod buffer;
mod file;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use buffer::{flush_at_intervals, flush_when_due};
pub use file::{LogFile, reopen};
use metrics::Counter;

/// How long [`flush`] waits for threads that write.
const EXIT_PATIENCE: Duration = Duration::from_secs(2);

/// How lines are buffered.
pub struct Settings {
    /// Age at which a buffer is handed over. (envoy: `--file-flush-interval-msec`)
    pub flush_interval: Duration,
    /// Bytes at which it is. (envoy: `--file-flush-min-size-kb`)
    pub buffer_bytes: usize,
    /// Counts the lines that found no room, or could not be written.
    pub dropped: Counter,
}

impl Default for Settings {
    /// Envoy's.
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(10),
            buffer_bytes: 64 * 1024,
            dropped: Counter::noop(),
        }
    }
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Settles how lines are buffered; to be called once, before configuration is read. Otherwise Envoy's defaults hold and nobody counts what
/// is dropped.
pub fn install(settings: Settings) {
    let _ = SETTINGS.set(settings);
}

fn settings() -> &'static Settings {
    SETTINGS.get_or_init(Settings::default)
}

/// Writes everything that is buffered, whichever thread's it is: at the end of the process. Blocks, but for two seconds at most.
pub fn flush() {
    let deadline = Instant::now() + EXIT_PATIENCE;
    let asked: Vec<_> = file::all().iter().filter_map(|file| file.queue.flush(deadline)).collect();
    for done in asked {
        let _ = done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
