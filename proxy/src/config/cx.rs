//! What translators need besides their message, and what they have to tell.

use std::cell::RefCell;
use std::sync::Arc;

use super::error::At;
use crate::telemetry::metrics::Registry;

/// The surroundings of a translation.
pub struct Cx<'a> {
    /// Where counters are made.
    pub registry: &'a Arc<Registry>,
    clusters: Option<&'a dyn Fn(&str) -> bool>,
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
        Self { registry, clusters: None, ignored: RefCell::new(Vec::new()) }
    }

    /// These surroundings with the clusters that there are: the function says whether it knows a name.
    #[must_use]
    pub const fn with_clusters(mut self, knows: &'a dyn Fn(&str) -> bool) -> Self {
        self.clusters = Some(knows);
        self
    }

    /// True if there is a cluster of this name, or nobody has said which there are.
    #[must_use]
    pub fn knows_cluster(&self, name: &str) -> bool {
        self.clusters.is_none_or(|knows| knows(name))
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
