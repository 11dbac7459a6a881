//! Counts the bytes of a connection that many requests share.

use std::cell::Cell;

/// Bytes received and sent.
#[derive(Debug, Default)]
pub struct Traffic {
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl Traffic {
    /// The bytes since this was last asked.
    pub const fn take(&self) -> (u64, u64) {
        (self.received.replace(0), self.sent.replace(0))
    }

    /// Counts bytes that were read.
    pub fn add_received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    /// Counts bytes that were written.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// The bytes so far.
    #[must_use]
    pub const fn total(&self) -> (u64, u64) {
        (self.received.get(), self.sent.get())
    }
}
