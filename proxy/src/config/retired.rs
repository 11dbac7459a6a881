//! Snapshots that are out of force. A worker lets go of one when it first looks at its successor: were it the last to do so, it would have to take
//! thousands of clusters apart between two requests. So the control runtime holds them for longer, and takes them apart itself.

use std::sync::Arc;

use super::snapshot::Snapshot;

/// Those that somebody may still read. No more than there are workers, and one: each worker holds one snapshot.
#[derive(Debug, Default)]
pub(super) struct Retired(Vec<Arc<Snapshot>>);

impl Retired {
    /// Takes one that was in force, and drops those that nobody reads any more.
    pub(super) fn push(&mut self, snapshot: Arc<Snapshot>) {
        self.release();
        self.0.push(snapshot);
    }

    /// Drops those that nobody reads any more: they are not in force, so nobody can begin to.
    pub(super) fn release(&mut self) {
        self.0.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_held_and_what_is_not_is_dropped() {
        let (read, unread) = (Arc::new(Snapshot::default()), Arc::new(Snapshot::default()));
        let [weak_read, weak_unread] = [&read, &unread].map(Arc::downgrade);
        let mut retired = Retired::default();
        retired.push(read.clone());
        retired.push(unread);
        retired.release();
        assert_eq!((weak_read.strong_count(), weak_unread.strong_count()), (2, 0));
        drop(read);
        assert_eq!(weak_read.strong_count(), 1, "its reader does not take it apart");
        retired.push(Arc::new(Snapshot::default()));
        assert_eq!(weak_read.strong_count(), 0);
    }
}
