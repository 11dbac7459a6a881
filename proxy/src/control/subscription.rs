//! Subscriptions: what is asked of which source, since when, and what came of it.
//!
//! A source is asked once for a type, however many resources of it are needed. A file is read at once and whenever it is replaced. What is not
//! heard of in time is given up: the start must not hang on one missing resource.

use std::collections::HashMap;
use std::rc::Weak;
use std::sync::Arc;

use outrigger_xds::source::filesystem::{FileError, WatchedFile};
use outrigger_xds::{ResourceType, Update};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use xxhash_rust::xxh64::xxh64;

use super::Control;
use crate::config::{ConfigSource, Source};
use crate::telemetry::metrics::{
    ClusterStat, ClusterStats, Registry, SubscriptionStat, SubscriptionStats, TextReadout,
};

type Name = Option<Arc<str>>;

/// All subscriptions.
#[derive(Default)]
pub(super) struct Subscriptions {
    sources: HashMap<(ResourceType, Source), Subscription>,
}

/// One type from one source.
struct Subscription {
    /// By name; without one for all that there are.
    subjects: HashMap<Name, Subject>,
    /// Tells the task to read again.
    again: Arc<Notify>,
    task: Option<Task>,
    has_answered: bool,
}

/// One resource that is asked for, or all.
struct Subject {
    counters: Counters,
    /// Until it is given up.
    _patience: Option<Task>,
}

/// A task that ends when nobody holds it.
struct Task(AbortHandle);

impl Task {
    fn spawn(task: impl Future<Output = ()> + 'static) -> Self {
        Self(tokio::task::spawn_local(task).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a subscription counts.
enum Counters {
    /// Scopes of their own.
    Own { stats: SubscriptionStats, version_text: TextReadout },
    /// That of a cluster, for its endpoints.
    Cluster { stats: ClusterStats, version_text: TextReadout },
}

/// What came of an attempt.
#[derive(Clone, Copy)]
enum Outcome<'a> {
    Accepted(&'a str),
    Rejected,
    Failed,
}

impl Counters {
    fn new(registry: &Registry, kind: ResourceType, prefix: &str) -> Self {
        let version_text = registry.text(&format!("{prefix}version_text"));
        match kind {
            ResourceType::Endpoints => {
                Self::Cluster { stats: registry.stats(prefix), version_text }
            }
            _ => Self::Own { stats: registry.stats(prefix), version_text },
        }
    }

    fn count(&self, outcome: Outcome<'_>) {
        match self {
            Self::Own { stats, version_text } => {
                stats.inc(SubscriptionStat::update_attempt);
                match outcome {
                    Outcome::Accepted(version) => {
                        stats.inc(SubscriptionStat::update_success);
                        stats.set(SubscriptionStat::version, xxh64(version.as_bytes(), 0));
                        version_text.set(version);
                    }
                    Outcome::Rejected => stats.inc(SubscriptionStat::update_rejected),
                    Outcome::Failed => stats.inc(SubscriptionStat::update_failure),
                }
            }
            Self::Cluster { stats, version_text } => {
                stats.inc(ClusterStat::update_attempt);
                match outcome {
                    Outcome::Accepted(version) => {
                        stats.inc(ClusterStat::update_success);
                        stats.set(ClusterStat::version, xxh64(version.as_bytes(), 0));
                        version_text.set(version);
                    }
                    Outcome::Rejected | Outcome::Failed => stats.inc(ClusterStat::update_failure),
                }
            }
        }
    }

    fn count_timeout(&self) {
        if let Self::Own { stats, .. } = self {
            stats.inc(SubscriptionStat::init_fetch_timeout);
        }
    }
}

impl Control {
    /// True if this source has been heard of, or if there is none.
    pub(super) fn has_answered(&self, kind: ResourceType, from: Option<&ConfigSource>) -> bool {
        let Some(from) = from else { return true };
        let subscription = self.subscriptions.sources.get(&(kind, from.source.clone()));
        subscription.is_some_and(|subscription| subscription.has_answered)
    }

    /// Brings subscriptions to what is needed now.
    pub(super) fn subscribe(&mut self) {
        let mut wanted: HashMap<(ResourceType, Source), HashMap<Name, (ConfigSource, String)>> =
            HashMap::new();
        for (kind, from) in self.wildcards() {
            let prefix = match kind {
                ResourceType::Cluster => "cluster_manager.cds.",
                _ => "listener_manager.lds.",
            };
            let subjects = wanted.entry((kind, from.source.clone())).or_default();
            subjects.insert(None, (from, prefix.into()));
        }
        for need in self.store.needs() {
            let subjects = wanted.entry((need.kind, need.from.source.clone())).or_default();
            let subject = (need.from.clone(), need.stats_prefix.clone());
            subjects.insert(Some(need.name.clone()), subject);
        }
        self.subscriptions.sources.retain(|key, _| wanted.contains_key(key));
        for ((kind, source), subjects) in wanted {
            self.subscribe_to(kind, source, subjects);
        }
    }

    fn subscribe_to(
        &mut self,
        kind: ResourceType,
        source: Source,
        wanted: HashMap<Name, (ConfigSource, String)>,
    ) {
        let registry = &self.environment.registry;
        let this = &self.this;
        let entry = self.subscriptions.sources.entry((kind, source.clone()));
        let subscription = entry.or_insert_with(|| Subscription {
            subjects: HashMap::new(),
            again: Arc::default(),
            task: None,
            has_answered: false,
        });
        subscription.subjects.retain(|name, _| wanted.contains_key(name));
        let mut is_new = false;
        for (name, (from, prefix)) in wanted {
            subscription.subjects.entry(name.clone()).or_insert_with(|| {
                is_new = true;
                let patience = from.initial_fetch_timeout.map(|timeout| {
                    let (this, source) = (this.clone(), source.clone());
                    Task::spawn(async move {
                        tokio::time::sleep(timeout).await;
                        if let Some(control) = this.upgrade() {
                            control.borrow_mut().lose_patience(kind, &source, &name);
                        }
                    })
                });
                let counters = Counters::new(registry, kind, &prefix);
                Subject { counters, _patience: patience }
            });
        }
        match &source {
            Source::File(file) if subscription.task.is_none() => {
                let task = follow(this.clone(), kind, file.clone(), subscription.again.clone());
                subscription.task = Some(Task::spawn(task));
            }
            Source::File(_) if is_new => subscription.again.notify_one(),
            Source::File(_) | Source::Ads => {}
        }
    }

    /// Takes an answer in.
    fn answer(&mut self, kind: ResourceType, source: &Source, answer: Result<Update, FileError>) {
        let outcome = match answer {
            Ok(update) => {
                let version = update.version.clone();
                let rejections = self.store.apply(update);
                if rejections.is_empty() { Ok(version) } else { Err(Outcome::Rejected) }
            }
            Err(error) => {
                tracing::warn!("an update is refused: {error}");
                Err(match error {
                    FileError::Io { .. } => Outcome::Failed,
                    _ => Outcome::Rejected,
                })
            }
        };
        let outcome = match &outcome {
            Ok(version) => Outcome::Accepted(version),
            Err(outcome) => *outcome,
        };
        let key = (kind, source.clone());
        let Some(subscription) = self.subscriptions.sources.get_mut(&key) else { return };
        subscription.has_answered = true;
        for (name, subject) in &subscription.subjects {
            subject.counters.count(outcome);
            // A file is all that there is: what it does not hold does not exist.
            if let Some(name) = name
                && !self.store.holds(kind, name)
            {
                self.store.give_up(kind, name);
            }
        }
        self.settle();
    }

    fn lose_patience(&mut self, kind: ResourceType, source: &Source, name: &Name) {
        let key = (kind, source.clone());
        let Some(subscription) = self.subscriptions.sources.get_mut(&key) else { return };
        let is_pending = match name {
            Some(name) => !self.store.holds(kind, name),
            None => !subscription.has_answered,
        };
        if !is_pending {
            return;
        }
        if let Some(subject) = subscription.subjects.get(name) {
            subject.counters.count_timeout();
        }
        match name {
            Some(name) => self.store.give_up(kind, name),
            None => subscription.has_answered = true,
        }
        let what = name.as_deref().unwrap_or("all");
        tracing::warn!("no answer in time about {} {what}: going on without", kind.noun());
        self.settle();
    }
}

/// Reads a file, and again whenever it was replaced or more is needed of it.
async fn follow(
    control: Weak<std::cell::RefCell<Control>>,
    kind: ResourceType,
    file: WatchedFile,
    again: Arc<Notify>,
) {
    let watch = file.watch();
    loop {
        // The subscription is entered by whoever borrows the control now.
        tokio::task::yield_now().await;
        let answer = match &watch {
            Ok(_) => file.read(kind),
            Err(error) => {
                tracing::error!("{error}");
                file.read(kind)
            }
        };
        let Some(control) = control.upgrade() else { return };
        control.borrow_mut().answer(kind, &Source::File(file.clone()), answer);
        drop(control);
        let moved = async {
            match &watch {
                Ok(watch) => watch.moved().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            moved = moved => if let Err(error) = moved {
                tracing::error!(file = %file.path.display(), %error, "is not watched any more");
                return;
            },
            () = again.notified() => {}
        }
    }
}
