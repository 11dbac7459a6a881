//! What a worker has not handed over yet: one buffer for each file, in a thread-local.
//!
//! A buffer holds whole lines, so that lines of different workers never mix. Its memory goes with it to the thread that writes; a new one
//! is allocated for tens of kilobytes of lines.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use super::settings;
use super::writer::Queue;

/// Room for the line that makes a buffer full.
const SLACK_BYTES: usize = 4 * 1024;

/// Lines of one file.
struct Buffer {
    queue: Arc<Queue>,
    bytes: Vec<u8>,
    lines: u64,
    /// When the first of them was written.
    since: Instant,
}

/// A thread's buffers. What is left in them is handed over when the thread ends.
#[derive(Default)]
struct Buffers(Vec<Buffer>);

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Appends what `write` appends to this thread's buffer for the file, as one line.
pub(super) fn line(queue: &Arc<Queue>, write: impl FnOnce(&mut Vec<u8>)) {
    BUFFERS.with_borrow_mut(|Buffers(buffers)| {
        let place = buffers.iter().position(|buffer| Arc::ptr_eq(&buffer.queue, queue));
        let place = place.unwrap_or_else(|| {
            let queue = queue.clone();
            let now = Instant::now();
            buffers.push(Buffer { queue, bytes: Vec::new(), lines: 0, since: now });
            buffers.len() - 1
        });
        if let Some(buffer) = buffers.get_mut(place) {
            buffer.line(write);
        }
    });
}

impl Buffer {
    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let limit = settings().buffer_bytes;
        if self.bytes.is_empty() {
            self.bytes.reserve(limit.saturating_add(SLACK_BYTES));
            self.since = Instant::now();
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.lines += 1;
        self.queue.count_line(self.bytes.len().saturating_sub(before));
        if self.bytes.len() >= limit {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.lines > 0 {
            self.queue.push(std::mem::take(&mut self.bytes), std::mem::take(&mut self.lines));
        }
    }
}

impl Buffers {
    /// Hands over what has waited since `before`, and forgets the files that no log names any more.
    fn hand_over(&mut self, before: Instant) {
        for buffer in &mut self.0 {
            if buffer.lines > 0 && buffer.since <= before {
                buffer.queue.count_timer();
                buffer.hand_over();
            }
        }
        self.0.retain(|buffer| buffer.lines > 0 || !buffer.queue.is_closed());
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        for buffer in &mut self.0 {
            buffer.hand_over();
        }
    }
}

/// Hands this thread's buffers over that have waited for the flush interval.
pub fn flush_when_due() {
    if let Some(before) = Instant::now().checked_sub(settings().flush_interval) {
        BUFFERS.with_borrow_mut(|buffers| buffers.hand_over(before));
    }
}

/// Hands this thread's buffers over; a worker does when it ends.
pub fn hand_over() {
    BUFFERS.with_borrow_mut(|buffers| buffers.hand_over(Instant::now()));
}

/// A worker's timer: calls [`flush_when_due`] as long as the worker lives.
pub async fn flush_at_intervals() {
    // A buffer waits for a quarter longer than it should at most.
    let pause = (settings().flush_interval / 4).max(std::time::Duration::from_millis(1));
    loop {
        tokio::time::sleep(pause).await;
        flush_when_due();
    }
}
