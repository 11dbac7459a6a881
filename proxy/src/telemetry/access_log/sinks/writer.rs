//! The thread that writes a file, and the bounded queue before it.
//!
//! The thread ends when nobody can hand it anything any more. Whatever goes wrong with the file is counted and costs lines, nothing else.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use metrics::Counter;

use super::buffer::Buffer;
use crate::telemetry::metrics::{FilesystemStat, FilesystemStats};

/// Buffers that may wait: four mebibytes, unless they are set larger.
const MOST_WAITING: usize = 64;
/// Until a descriptor that is not ready is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the file again; nothing for one that has no path.
pub(super) type Open = Box<dyn Fn() -> std::io::Result<std::fs::File> + Send>;

enum Job {
    Write {
        bytes: Vec<u8>,
        lines: u64,
    },
    /// There is something to do besides lines.
    Wake,
    /// Tell when everything before is written.
    Flush(SyncSender<()>),
}

/// The way to the thread.
pub(super) struct Queue {
    jobs: SyncSender<Job>,
    stats: FilesystemStats,
    dropped: Counter,
    /// Those of all threads.
    buffers: Mutex<Vec<Weak<Mutex<Buffer>>>>,
    reopens: AtomicBool,
    is_closed: AtomicBool,
}

impl Queue {
    /// Starts the thread of a file. `dropped` counts lines that found no room or could not be written.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(
        file: std::fs::File,
        open: Option<Open>,
        stats: FilesystemStats,
        dropped: Counter,
    ) -> std::io::Result<Arc<Self>> {
        let (jobs, inbox) = sync_channel(MOST_WAITING);
        let queue = Arc::new(Self {
            jobs,
            stats: stats.clone(),
            dropped: dropped.clone(),
            buffers: Mutex::default(),
            reopens: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        });
        let flags = Arc::downgrade(&queue);
        let reopens = move || {
            flags.upgrade().is_some_and(|queue| queue.reopens.swap(false, Ordering::Relaxed))
        };
        let mut writer = Writer { file, stats, dropped, is_cut: false };
        let work = move || writer.run(&inbox, open.as_ref(), reopens);
        std::thread::Builder::new().name("access log".to_owned()).spawn(work)?;
        Ok(queue)
    }

    /// Hands lines over, or drops them if the thread cannot keep up.
    pub(super) fn push(&self, bytes: Vec<u8>, lines: u64) {
        let size = bytes.len();
        if self.jobs.try_send(Job::Write { bytes, lines }).is_err() {
            self.stats.shift(FilesystemStat::write_total_buffered, signed(size).wrapping_neg());
            self.dropped.increment(lines);
        }
    }

    /// A line of so many bytes was buffered.
    pub(super) fn count_line(&self, bytes: usize) {
        self.stats.inc(FilesystemStat::write_buffered);
        self.stats.shift(FilesystemStat::write_total_buffered, signed(bytes));
    }

    /// A buffer is handed over because of its age.
    pub(super) fn count_timer(&self) {
        self.stats.inc(FilesystemStat::flushed_by_timer);
    }

    /// The file will be opened anew before the next line.
    pub(super) fn reopen(&self) {
        self.reopens.store(true, Ordering::Relaxed);
        // If there is no room, there are lines, and the thread will see the flag before them.
        let _ = self.jobs.try_send(Job::Wake);
    }

    /// No log writes here any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// A thread begins to write to this file.
    pub(super) fn add_buffer(&self, buffer: &Arc<Mutex<Buffer>>) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.retain(|buffer| buffer.strong_count() > 0);
        buffers.push(Arc::downgrade(buffer));
    }

    /// Collects all buffers, and asks for a message when everything is written; `None` if there is no room until the deadline.
    pub(super) fn flush(&self, deadline: Instant) -> Option<Receiver<()>> {
        let buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        for buffer in buffers.iter().filter_map(Weak::upgrade) {
            buffer.lock().unwrap_or_else(PoisonError::into_inner).hand_over(self);
        }
        drop(buffers);
        let (done, receiver) = sync_channel(1);
        let mut job = Job::Flush(done);
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => return Some(receiver),
                Err(TrySendError::Full(back)) if Instant::now() < deadline => job = back,
                Err(_) => return None,
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("is_closed", &self.is_closed).finish_non_exhaustive()
    }
}

/// The thread's state.
struct Writer {
    file: std::fs::File,
    stats: FilesystemStats,
    dropped: Counter,
    /// The file ends within a line, because it could not be written whole.
    is_cut: bool,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Job>, open: Option<&Open>, reopens: impl Fn() -> bool) {
        while let Ok(job) = inbox.recv() {
            if reopens()
                && let Some(open) = open
            {
                self.reopen(open);
            }
            match job {
                Job::Write { bytes, lines } => self.write(&bytes, lines),
                Job::Wake => {}
                Job::Flush(done) => {
                    let _ = done.try_send(());
                }
            }
        }
    }

    fn reopen(&mut self, open: &Open) {
        match open() {
            Ok(file) => {
                self.file = file;
                self.is_cut = false;
            }
            // Lines go on to the old one.
            Err(_) => self.stats.inc(FilesystemStat::reopen_failed),
        }
    }

    fn write(&mut self, bytes: &[u8], lines: u64) {
        self.stats.shift(FilesystemStat::write_total_buffered, signed(bytes.len()).wrapping_neg());
        let written = if self.is_cut && self.put(b"\n") == 0 { 0 } else { self.put(bytes) };
        if written == bytes.len() {
            self.is_cut = false;
            self.stats.inc(FilesystemStat::write_completed);
            return;
        }
        let whole = bytes.get(..written).unwrap_or_default();
        self.is_cut = match whole.last() {
            Some(last) => *last != b'\n',
            None => self.is_cut,
        };
        let whole = memchr::memchr_iter(b'\n', whole).count() as u64;
        self.stats.inc(FilesystemStat::write_failed);
        self.dropped.increment(lines.saturating_sub(whole));
    }

    /// Writes as much as can be written, and answers with how much it was.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => break,
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares the descriptor wants it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                Err(_) => break,
            }
        }
        bytes.len() - rest.len()
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
