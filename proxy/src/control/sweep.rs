//! What is due now and then: outlier detection of clusters that are in use, and the end of snapshots that are out of it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;

use super::Control;
use crate::config::Slot;
use crate::upstream::{Cluster, outlier};

/// How soon a cluster that came into use is noticed.
const LOOK: Duration = Duration::from_secs(1);

/// Begins to sweep clusters as they come into use.
pub(super) async fn run(control: Weak<RefCell<Control>>) {
    let mut known = HashSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(control) = control.upgrade() else { return };
        let mut control = control.borrow_mut();
        control.store.release_retired();
        let versions = control.store.clusters.values().flat_map(Slot::versions);
        let built = versions.filter_map(|version| version.value.built());
        let mut living = HashSet::new();
        for cluster in built.filter(|cluster| cluster.outliers.is_some()) {
            living.insert(cluster.id);
            if known.insert(cluster.id) {
                tokio::task::spawn_local(sweep(Arc::downgrade(cluster)));
            }
        }
        known.retain(|id| living.contains(id));
    }
}

/// Sweeps a cluster at its interval for as long as it lives.
async fn sweep(cluster: std::sync::Weak<Cluster>) {
    loop {
        let Some(interval) = interval(&cluster) else { return };
        tokio::time::sleep(interval).await;
        let Some(cluster) = cluster.upgrade().filter(|cluster| !cluster.is_retired()) else {
            return;
        };
        outlier::sweep(&cluster);
    }
}

fn interval(cluster: &std::sync::Weak<Cluster>) -> Option<Duration> {
    Some(cluster.upgrade()?.outliers.as_ref()?.policy.interval)
}
