//! Subscriptions: what is asked of which source, since when, and what came of it.
//!
//! A source is asked once for a resource, however many need it, and what it is asked for follows what the configuration needs: only what has
//! changed is looked at. What is not heard of in time is given up, so that the start does not hang on one missing resource.

mod counters;
mod file;
mod stream;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Weak;
use std::sync::Arc;

use outrigger_xds::{ResourceType, Subject};
use tokio::task::AbortHandle;

use self::counters::{Counters, Outcome};
use self::file::Follower;
use self::stream::Stream;
use super::Control;
use crate::config::{ConfigSource, Source};

/// All subscriptions.
#[derive(Default)]
pub(super) struct Subscriptions {
    of_types: HashMap<ResourceType, HashMap<Source, Subscription>>,
    streams: HashMap<Source, Stream>,
}

/// One type from one source.
#[derive(Default)]
struct Subscription {
    watches: HashMap<Subject, Watch>,
    file: Option<Follower>,
    has_answered: bool,
}

/// One resource that is asked for, or all.
struct Watch {
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

impl Subscriptions {
    fn find(&mut self, kind: ResourceType, source: &Source) -> Option<&mut Subscription> {
        self.of_types.get_mut(&kind)?.get_mut(source)
    }

    /// Everything that is subscribed to at a source.
    fn at(&mut self, source: &Source) -> impl Iterator<Item = (ResourceType, &mut Subscription)> {
        self.of_types
            .iter_mut()
            .filter_map(|(kind, sources)| Some((*kind, sources.get_mut(source)?)))
    }
}

impl Control {
    /// True if this source has been heard of, or if there is none.
    pub(super) fn has_answered(&self, kind: ResourceType, from: Option<&ConfigSource>) -> bool {
        let Some(from) = from else { return true };
        let sources = self.subscriptions.of_types.get(&kind);
        let subscription = sources.and_then(|sources| sources.get(&from.source));
        subscription.is_some_and(|subscription| subscription.has_answered)
    }

    /// Brings subscriptions to what is needed now.
    pub(super) fn subscribe(&mut self) {
        for (kind, from) in self.wildcards() {
            let prefix = match kind {
                ResourceType::Cluster => "cluster_manager.cds.",
                _ => "listener_manager.lds.",
            };
            self.watch(kind, Subject::All, &from, prefix);
        }
        for (kind, name) in self.store.take_touched() {
            let needs: Vec<_> = self.store.needs_of(kind, &name).cloned().collect();
            let subject = Subject::Name(name);
            let sources = self.subscriptions.of_types.get(&kind).into_iter().flatten();
            let is_watched =
                |subscription: &Subscription| subscription.watches.contains_key(&subject);
            let is_needed = |source: &Source| needs.iter().any(|need| need.from.source == *source);
            let dropped: Vec<_> = sources
                .filter(|(source, subscription)| is_watched(subscription) && !is_needed(source))
                .map(|(source, _)| source.clone())
                .collect();
            for source in dropped {
                self.unwatch(kind, &subject, &source);
            }
            for need in needs {
                self.watch(kind, subject.clone(), &need.from, &need.stats_prefix);
            }
        }
    }

    /// Asks for this, unless it was asked for already. Counts in the scope, which ends in a dot.
    fn watch(&mut self, kind: ResourceType, subject: Subject, from: &ConfigSource, prefix: &str) {
        let sources = self.subscriptions.of_types.entry(kind).or_default();
        if !sources.contains_key(&from.source) {
            sources.insert(from.source.clone(), Subscription::default());
        }
        let Some(subscription) = sources.get_mut(&from.source) else { return };
        if subscription.watches.contains_key(&subject) {
            return;
        }
        let patience = from.initial_fetch_timeout.map(|timeout| {
            let (this, source, subject) = (self.this.clone(), from.source.clone(), subject.clone());
            Task::spawn(async move {
                tokio::time::sleep(timeout).await;
                if let Some(control) = this.upgrade() {
                    control.borrow_mut().lose_patience(kind, &source, &subject);
                }
            })
        });
        let counters = Counters::new(&self.environment.registry, kind, prefix);
        subscription.watches.insert(subject.clone(), Watch { counters, _patience: patience });
        match &from.source {
            Source::File(file) => match &subscription.file {
                Some(follower) => follower.read_again(),
                None => subscription.file = Some(Follower::start(&self.this, kind, file)),
            },
            Source::Ads | Source::Server(_) => {
                if let Some(stream) = self.stream(&from.source) {
                    stream.client.subscribe(kind, &[subject]);
                }
            }
        }
    }

    fn unwatch(&mut self, kind: ResourceType, subject: &Subject, source: &Source) {
        let Some(sources) = self.subscriptions.of_types.get_mut(&kind) else { return };
        let Some(subscription) = sources.get_mut(source) else { return };
        subscription.watches.remove(subject);
        let is_empty = subscription.watches.is_empty();
        if is_empty {
            sources.remove(source);
        }
        if let Some(stream) = self.subscriptions.streams.get(source) {
            stream.client.unsubscribe(kind, std::slice::from_ref(subject));
        }
        // A stream of secrets that nobody names is of no use. The aggregated one stays.
        if is_empty && matches!(source, Source::Server(_)) {
            self.subscriptions.streams.remove(source);
        }
    }

    /// Shows what was counted for clusters that have come into use since.
    pub(super) fn publish_subscriptions(&mut self) {
        let Self { subscriptions, store, .. } = self;
        let sources = subscriptions.of_types.get_mut(&ResourceType::Endpoints);
        let watches = sources.into_iter().flatten().flat_map(|(_, s)| &mut s.watches);
        for (subject, watch) in watches {
            if let Subject::Name(service) = subject {
                watch.counters.publish(service, store);
            }
        }
    }

    fn lose_patience(&mut self, kind: ResourceType, source: &Source, subject: &Subject) {
        let Some(subscription) = self.subscriptions.find(kind, source) else { return };
        let is_pending = match subject {
            Subject::Name(name) => !self.store.holds(kind, name),
            Subject::All => !subscription.has_answered,
        };
        if !is_pending {
            return;
        }
        if let Some(watch) = subscription.watches.get_mut(subject) {
            watch.counters.count(Outcome::Late);
        }
        let what = match subject {
            Subject::Name(name) => {
                self.store.give_up(kind, name);
                &**name
            }
            Subject::All => {
                subscription.has_answered = true;
                "all"
            }
        };
        tracing::warn!("no answer in time about {} {what}: going on without", kind.noun());
        self.settle();
    }
}

/// How tasks get at the control runtime.
type Weakly = Weak<RefCell<Control>>;

/// Names, as an update gives them.
type Names = Vec<Arc<str>>;
