//! When resources expire that live only as long as the server repeats them. (xDS: "TTL")

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::resource::ResourceType;

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Instant, ResourceType, Arc<str>)>,
    by_name: HashMap<(ResourceType, Arc<str>), Instant>,
}

impl Deadlines {
    /// Sets when a resource expires; `None` is never.
    pub(super) fn set(&mut self, kind: ResourceType, name: &Arc<str>, at: Option<Instant>) {
        // Most resources never expire, and looking costs nothing then.
        if at.is_none() && self.by_name.is_empty() {
            return;
        }
        let key = (kind, name.clone());
        let old = match at {
            Some(at) => self.by_name.insert(key, at),
            None => self.by_name.remove(&key),
        };
        if let Some(old) = old {
            self.by_time.remove(&(old, kind, name.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, kind, name.clone()));
        }
    }

    /// The first one.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, ..)| *at)
    }

    /// Takes out one that has passed.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(ResourceType, Arc<str>)> {
        let (at, kind, name) = self.by_time.pop_first()?;
        if at > now {
            self.by_time.insert((at, kind, name));
            return None;
        }
        self.by_name.remove(&(kind, name.clone()));
        Some((kind, name))
    }
}
