//! The control runtime: everything that is no request. It can never delay one.

use crate::upstream::outlier::{self, Detected};

/// Messages that may wait.
pub const MAILBOX: usize = 1024;

/// What workers tell the control runtime.
#[derive(Debug)]
pub enum Message {
    /// Outlier detection found something.
    Outlier(Detected),
}

impl Message {
    /// Acts on the message.
    pub fn act(self) {
        match self {
            Self::Outlier(detected) => outlier::decide(&detected),
        }
    }
}
