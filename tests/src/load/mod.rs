//! Many requests at once against a proxy: what is lost when things end, and how many a limit lets through.
//!
//! [`Backend`] counts how many requests it holds at once, and can be killed and revived; [`run`] sends requests from many
//! connections and says what became of each. Bounded in number and time.

mod backend;
mod client;
mod client2;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use backend::Backend;
pub use client::run;
pub use client2::run as run_http2;

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    answers: Mutex<BTreeMap<u16, u64>>,
    lost: AtomicU64,
    sent: AtomicU64,
    first_loss: Mutex<Option<String>>,
    is_over: AtomicBool,
}

impl Tally {
    /// Clients finish the request that they have sent, and send no more.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// True once clients are to finish.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Requests that were answered with this status.
    #[must_use]
    pub fn answered(&self, status: u16) -> u64 {
        self.with_answers(|answers| answers.get(&status).copied().unwrap_or_default())
    }

    /// Requests that were answered.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.with_answers(|answers| answers.values().sum())
    }

    /// Requests that were sent and not answered in full.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What happened to the first of them.
    #[must_use]
    pub fn first_loss(&self) -> Option<String> {
        self.first_loss.lock().ok().and_then(|loss| loss.clone())
    }

    fn answer(&self, status: u16) {
        self.with_answers(|answers| *answers.entry(status).or_default() += 1);
    }

    fn lose(&self, error: &dyn fmt::Display) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut first) = self.first_loss.lock() {
            first.get_or_insert_with(|| error.to_string());
        }
    }

    /// True if one more of `limit` requests may be sent.
    fn may_send(&self, limit: u64) -> bool {
        !self.is_over() && self.sent.fetch_add(1, Ordering::Relaxed) < limit
    }

    fn with_answers<T: Default>(&self, look: impl FnOnce(&mut BTreeMap<u16, u64>) -> T) -> T {
        self.answers.lock().map(|mut answers| look(&mut answers)).unwrap_or_default()
    }
}
