//! What translators need besides their message, and what they have to tell.

use std::cell::RefCell;
use std::sync::Arc;

use super::error::At;
use crate::telemetry::metrics::Registry;

/// The surroundings of a translation.
pub struct Cx<'a> {
    /// Where counters are made.
    pub registry: &'a Arc<Registry>,
    ignored: RefCell<Vec<Ignored>>,
}

/// A field that was set and has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its path.
    pub path: String,
    /// Why it has none.
    pub reason: &'static str,
}

impl<'a> Cx<'a> {
    /// Surroundings with these counters.
    #[must_use]
    pub const fn new(registry: &'a Arc<Registry>) -> Self {
        Self { registry, ignored: RefCell::new(Vec::new()) }
    }

    /// Notes a field that is set and has no effect.
    pub fn note_ignored(&self, at: &At<'_>, reason: &'static str) {
        self.ignored.borrow_mut().push(Ignored { path: at.to_string(), reason });
    }

    /// What was noted since this was last asked.
    pub fn take_ignored(&self) -> Vec<Ignored> {
        self.ignored.take()
    }
}
