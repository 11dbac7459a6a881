//! How a worker reads the configuration in force.

use std::sync::Arc;

use outrigger::config::Snapshot;
use outrigger::worker::{self, Shared};
use tokio::sync::mpsc;

/// A thread that is a worker, with a snapshot of generation 1.
pub struct Worker(());

impl Worker {
    /// Makes the calling thread a worker.
    #[must_use]
    pub fn new() -> Self {
        let snapshot = Snapshot { generation: 1, ..Snapshot::default() };
        let snapshot = Arc::new(arc_swap::ArcSwap::from_pointee(snapshot));
        let (to_control, _) = mpsc::channel(1);
        worker::enter(0, Arc::new(Shared::new(snapshot, to_control)));
        let worker = Self(());
        let _ = worker.read();
        worker
    }

    /// The generation of the snapshot in force.
    #[must_use]
    pub fn read(&self) -> u64 {
        worker::snapshot(|snapshot| snapshot.generation)
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_reads_the_snapshot() {
        assert_eq!(Worker::new().read(), 1);
    }
}
