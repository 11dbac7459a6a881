//! What a worker has not handed over yet: one buffer for each file.
//!
//! A buffer holds whole lines, so that lines of different workers never mix. Its memory goes with it to the thread that writes; a new one
//! is allocated for tens of kilobytes of lines. Each buffer has a lock that nobody but its worker takes, until the process ends and [`flush`]
//! collects what is left.
//!
//! [`flush`]: super::flush

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::settings;
use super::writer::Queue;
use crate::clock;

/// Room for the line that makes a buffer full.
const SLACK_BYTES: usize = 4 * 1024;

/// Lines of one file.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Where the last whole line ends: a panic leaves a part of one behind it.
    end: usize,
    lines: u64,
    /// When the first of them was written.
    since: Instant,
}

/// A thread's buffers. What is left in them is handed over when the thread ends.
#[derive(Default)]
struct Buffers(Vec<(Arc<Queue>, Arc<Mutex<Buffer>>)>);

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Appends what `write` appends to this thread's buffer for the file, as one line.
pub(super) fn line(queue: &Arc<Queue>, write: impl FnOnce(&mut Vec<u8>)) {
    BUFFERS.with_borrow_mut(|Buffers(buffers)| {
        let place = buffers.iter().position(|(known, _)| Arc::ptr_eq(known, queue));
        let place = place.unwrap_or_else(|| {
            let buffer = Arc::new(Mutex::new(Buffer::new()));
            queue.add_buffer(&buffer);
            buffers.push((queue.clone(), buffer));
            buffers.len() - 1
        });
        if let Some((_, buffer)) = buffers.get(place) {
            buffer.lock().unwrap_or_else(PoisonError::into_inner).line(queue, write);
        }
    });
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: Vec::new(), end: 0, lines: 0, since: Instant::now() }
    }

    fn line(&mut self, queue: &Queue, write: impl FnOnce(&mut Vec<u8>)) {
        let limit = settings().buffer_bytes;
        self.bytes.truncate(self.end);
        if self.lines == 0 {
            self.bytes.reserve(limit.saturating_add(SLACK_BYTES));
            self.since = Instant::now();
        }
        write(&mut self.bytes);
        queue.count_line(self.bytes.len().saturating_sub(self.end));
        self.end = self.bytes.len();
        self.lines += 1;
        if self.end >= limit {
            self.hand_over(queue);
        }
    }

    /// Gives what is there to the thread that writes.
    pub(super) fn hand_over(&mut self, queue: &Queue) {
        if self.lines > 0 {
            self.bytes.truncate(self.end);
            self.end = 0;
            queue.push(std::mem::take(&mut self.bytes), std::mem::take(&mut self.lines));
        }
    }
}

impl Buffers {
    /// Hands over what has waited since `before`, and forgets the files that no log names any more.
    fn hand_over(&mut self, before: Instant) {
        self.0.retain(|(queue, buffer)| {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.lines > 0 && buffer.since <= before {
                queue.count_timer();
                buffer.hand_over(queue);
            }
            buffer.lines > 0 || !queue.is_closed()
        });
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        for (queue, buffer) in &self.0 {
            buffer.lock().unwrap_or_else(PoisonError::into_inner).hand_over(queue);
        }
    }
}

/// Hands this thread's buffers over that have waited for the flush interval.
pub fn flush_when_due() {
    if let Some(before) = Instant::now().checked_sub(settings().flush_interval) {
        BUFFERS.with_borrow_mut(|buffers| buffers.hand_over(before));
    }
}

/// A worker's timer: calls [`flush_when_due`] as long as the worker lives.
pub async fn flush_at_intervals() {
    // A buffer waits for a quarter longer than it should at most.
    let pause = (settings().flush_interval / 4).max(Duration::from_millis(1));
    loop {
        clock::sleep(pause).await;
        flush_when_due();
    }
}
