//! Configuration: the only place where messages become types of ours.

mod snapshot;

pub use snapshot::{ClusterHandle, Snapshot};
