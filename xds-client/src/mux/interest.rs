//! What the owner wants of a type: names, or all that there are, or both.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The name that means all. (xDS: "how the client specifies what resources to return")
pub(super) const WILDCARD: &str = "*";

/// One resource that is asked for, or all of its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Whatever the server has.
    All,
    /// The resource of this name.
    Name(Arc<str>),
}

/// All that is asked for of a type.
#[derive(Debug, Default)]
pub(super) struct Interest {
    pub(super) all: bool,
    /// Sorted, so that equal wishes make equal requests.
    pub(super) names: BTreeSet<Arc<str>>,
}

impl Interest {
    /// True if this is news.
    pub(super) fn insert(&mut self, subject: &Subject) -> bool {
        match subject {
            Subject::All => !std::mem::replace(&mut self.all, true),
            Subject::Name(name) => self.names.insert(name.clone()),
        }
    }

    /// True if it was there.
    pub(super) fn remove(&mut self, subject: &Subject) -> bool {
        match subject {
            Subject::All => std::mem::take(&mut self.all),
            Subject::Name(name) => self.names.remove(name),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.names.is_empty()
    }

    /// True if a resource of this name was asked for.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }
}
