//! Names that the owner gave up, with state of the world: if it wants one again, the server has to say it again.
//!
//! A server that does not notice that a name was gone says nothing: to it, the client has the resource. So the name is left out of one request and is
//! back in the next. (xDS: "unsubscribing from resources") A server also ignores requests that cross with a response of its own, and a client
//! cannot see whether they did; so the same is done again after the next response that does not bring the resource, a few times: it may not exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::interest::Interest;

/// Names that are remembered. Most never come back.
const NAMES_MAX: usize = 10_000;

/// Requests may cross so often in a row.
const TRIES: u8 = 5;

#[derive(Debug, Default)]
pub(super) struct Forgotten {
    names: BTreeMap<Arc<str>, Tries>,
}

#[derive(Debug)]
struct Tries {
    left: u8,
    /// Nothing was tried since the last response.
    is_due: bool,
}

impl Forgotten {
    /// The owner gave it up.
    pub(super) fn insert(&mut self, name: &Arc<str>) {
        if self.names.len() == NAMES_MAX {
            self.names.clear();
        }
        self.names.insert(name.clone(), Tries { left: TRIES, is_due: true });
    }

    /// The owner has it.
    pub(super) fn remove(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// There was a response.
    pub(super) fn renew(&mut self) {
        self.names.values_mut().for_each(|tries| tries.is_due = true);
    }

    /// Names that are wanted again, to be left out of this request and said in the next one.
    pub(super) fn take(&mut self, interest: &Interest) -> Vec<Arc<str>> {
        let mut taken = Vec::new();
        self.names.retain(|name, tries| {
            if tries.is_due && !interest.all && interest.names.contains(name) {
                tries.is_due = false;
                tries.left -= 1;
                taken.push(name.clone());
            }
            tries.left > 0
        });
        taken
    }
}
