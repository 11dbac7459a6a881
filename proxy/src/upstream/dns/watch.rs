//! Follows the names of a cluster for as long as it is there.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::Names;
use super::names::Known;
use super::resolver::{Answer, Failure, Resolver};
use crate::config::ClusterHandle;
use crate::config::cluster::Discovery;
use crate::control::Control;
use crate::telemetry::metrics::{ClusterStat, ClusterStats};
use crate::worker;

/// Begins to resolve the names of a cluster, if it has any. Tells the control runtime when the first name was resolved, or could not be.
pub fn watch(resolver: &Resolver, handle: &Arc<ClusterHandle>, control: &Weak<RefCell<Control>>) {
    let spec = handle.spec();
    let Discovery::Dns(names) = &spec.discovery else { return };
    let control = control.clone();
    let told = handle.clone();
    let warmed = move || {
        if let Some(control) = control.upgrade() {
            control.borrow_mut().resolved(&told);
        }
    };
    let cluster = Rc::new(Cluster {
        handle: Arc::downgrade(handle),
        stats: handle.stats(),
        known: RefCell::new(Known::new(names)),
        names: names.clone(),
        resolver: resolver.clone(),
    });
    if names.iter().next().is_none() {
        // There is nothing to wait for, but whoever calls is not ready to be told.
        tokio::task::spawn_local(async move {
            cluster.publish();
            warmed();
        });
        return;
    }
    let warmed = Rc::new(RefCell::new(Some(warmed)));
    for index in 0..names.iter().count() {
        tokio::task::spawn_local(follow(cluster.clone(), index, warmed.clone()));
    }
}

/// A cluster and what is known of its names.
struct Cluster {
    handle: std::sync::Weak<ClusterHandle>,
    stats: ClusterStats,
    names: Arc<Names>,
    known: RefCell<Known>,
    resolver: Resolver,
}

impl Cluster {
    /// Takes an answer of a name in.
    fn take(&self, index: usize, answer: Result<Answer, Failure>, is_first: bool) {
        let addresses = match answer {
            Ok(answer) => {
                self.stats.inc(ClusterStat::update_success);
                if answer.addresses.is_empty() {
                    self.stats.inc(ClusterStat::update_empty);
                }
                answer.addresses
            }
            Err(failure) => {
                self.stats.inc(ClusterStat::update_failure);
                let name = self.names.iter().nth(index).map_or("", |name| &name.name);
                tracing::warn!(name, "the name cannot be resolved: {failure}");
                if is_first {
                    self.publish();
                }
                return;
            }
        };
        let is_new = self.known.borrow_mut().learn(&self.names, index, addresses);
        if is_new || is_first {
            self.publish();
        } else {
            self.stats.inc(ClusterStat::update_no_rebuild);
        }
    }

    fn publish(&self) {
        if let Some(handle) = self.handle.upgrade() {
            handle.set_hosts(self.known.borrow().assignment(&self.names));
        }
    }

    fn is_gone(&self) -> bool {
        self.handle.upgrade().is_none_or(|handle| handle.is_retired())
    }
}

/// Resolves one name again and again. The first of a cluster's names to have an answer, or none, takes `warmed`.
async fn follow<F: FnOnce()>(cluster: Rc<Cluster>, index: usize, warmed: Rc<RefCell<Option<F>>>) {
    let Some(name) = cluster.names.iter().nth(index).map(|name| name.name.clone()) else { return };
    let names = cluster.names.clone();
    let mut failures = 0;
    while !cluster.is_gone() {
        cluster.stats.inc(ClusterStat::update_attempt);
        let answer = cluster.resolver.lookup(&name, names.family, &names.servers).await;
        if cluster.is_gone() {
            return;
        }
        let pause = worker::with_rng(|rng| match &answer {
            Ok(answer) => {
                failures = 0;
                names.refresh.after_answer(answer.ttl, rng)
            }
            Err(_) => {
                failures = u32::saturating_add(failures, 1);
                names.refresh.after_failure(failures, rng)
            }
        });
        let first = warmed.borrow_mut().take();
        cluster.take(index, answer, first.is_some());
        if let Some(tell) = first {
            tell();
        }
        tokio::time::sleep(pause).await;
    }
}
