//! The control runtime: everything that is no request. It can never delay one.
//!
//! One thread, one owner: [`Control`] holds the configuration, the listeners and the subscriptions. Tasks beside it (files that are watched, names
//! that are resolved, the admin server, signals) borrow it for as long as one change takes.

mod startup;
mod subscription;
mod sweep;

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};

pub use startup::Stage;

use crate::config::bootstrap::Node;
use crate::config::{ClusterHandle, DynamicResources, Environment, Slot, Store};
use crate::lifecycle::{Lifecycle, ServerState};
use crate::listener::drain::Phase;
use crate::listener::{BindError, ListenerManager, ServerTransport};
use crate::telemetry::memory::Memory;
use crate::telemetry::metrics::{
    ListenerManagerStat, ListenerManagerStats, ServerStat, ServerStats, SubscriptionStats,
};
use crate::tls::InUse;
use crate::upstream::dns;
use crate::upstream::outlier::{self, Detected};
use crate::worker::Shared;
use subscription::Subscriptions;

/// Messages that may wait.
pub const MAILBOX: usize = 1024;

/// What workers tell the control runtime.
#[derive(Debug)]
pub enum Message {
    /// Outlier detection found something.
    Outlier(Detected),
}

impl Message {
    /// Acts on the message.
    pub fn act(self) {
        match self {
            Self::Outlier(detected) => outlier::decide(&detected),
        }
    }
}

/// What the control runtime owns.
pub struct Control {
    /// What lasts.
    pub environment: Arc<Environment>,
    /// What workers share.
    pub shared: Arc<Shared>,
    /// Where the process is in its life.
    pub lifecycle: Rc<Lifecycle>,
    /// Everything that was said, and what became of it.
    pub store: Store,
    /// Listeners that are bound.
    pub listeners: ListenerManager,
    dynamic: DynamicResources,
    node: Node,
    stage: Stage,
    subscriptions: Subscriptions,
    /// Counters of what is subscribed to as a whole: they are there from the first second, and agents look at them.
    _wildcards: [SubscriptionStats; 2],
    resolver: dns::Resolver,
    listener_stats: ListenerManagerStats,
    server_stats: ServerStats,
    /// Listeners that could not be bound since this was last asked, and why.
    unbound: Vec<(Arc<str>, String)>,
    /// Set once a listener of the bootstrap cannot be bound: the process ends.
    fatal: watch::Sender<Option<Arc<BindError>>>,
    this: Weak<RefCell<Self>>,
}

/// How tasks of the control runtime get at it.
pub type ControlHandle = Rc<RefCell<Control>>;

impl Control {
    /// Begins: nothing is served, and nothing subscribed to, before [`Control::start`].
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        store: Store,
        listeners: ListenerManager,
        dynamic: DynamicResources,
        node: Node,
        lifecycle: Rc<Lifecycle>,
    ) -> ControlHandle {
        let environment = store.environment().clone();
        let wildcards = ["cluster_manager.cds.", "listener_manager.lds."]
            .map(|scope| environment.registry.stats(scope));
        let listener_stats = environment.registry.stats("listener_manager.");
        let server_stats: ServerStats = environment.registry.stats("server.");
        server_stats.set(ServerStat::concurrency, shared.workers().len() as u64);
        Rc::new_cyclic(|this| {
            RefCell::new(Self {
                environment,
                shared,
                lifecycle,
                store,
                listeners,
                dynamic,
                node,
                stage: Stage::Primary,
                subscriptions: Subscriptions::default(),
                _wildcards: wildcards,
                resolver: dns::Resolver::default(),
                listener_stats,
                server_stats,
                unbound: Vec::new(),
                fatal: watch::Sender::new(None),
                this: this.clone(),
            })
        })
    }

    /// Tells of a listener of the bootstrap that cannot be bound.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<Arc<BindError>>> {
        self.fatal.subscribe()
    }

    /// A cluster has learned its hosts.
    pub fn resolved(&mut self, cluster: &ClusterHandle) {
        self.store.touch_cluster(&cluster.name);
        self.settle();
    }

    /// Brings into force what is complete, and moves the start on if that was what it waited for.
    fn settle(&mut self) {
        loop {
            let settled = self.store.settle(self.stage == Stage::Live);
            for handle in &settled.clusters {
                dns::watch(&self.resolver, handle, &self.this);
            }
            for name in &settled.removed_listeners {
                self.listeners.remove(name);
            }
            for listener in settled.listeners {
                self.open(listener);
            }
            self.subscribe();
            self.release_clusters();
            if !self.advance() {
                return;
            }
        }
    }

    fn open(&mut self, listener: Arc<crate::listener::Listener>) {
        let name = listener.name.clone();
        match self.listeners.add(listener) {
            Ok(()) => self.listener_stats.inc(ListenerManagerStat::listener_create_success),
            Err(error) => {
                self.listener_stats.inc(ListenerManagerStat::listener_create_failure);
                tracing::error!("{error}");
                self.unbound.push((name.clone(), error.to_string()));
                if self.store.cannot_bind(&name, &error) {
                    self.fatal.send_replace(Some(Arc::new(error)));
                }
            }
        }
    }

    /// Tells clients to leave, those of inbound listeners or all.
    pub fn drain(&self, phase: Phase, inbound_only: bool) {
        self.listeners.drain(phase, inbound_only);
    }

    /// The certificates of listeners, and of clusters that are in use.
    #[must_use]
    pub fn certificates(&self) -> Vec<InUse> {
        let listeners = self.store.listeners.values().filter_map(|slot| slot.active.as_ref());
        let chains = listeners.flat_map(|version| version.value.all_chains());
        let servers = chains.filter_map(|chain| match &chain.transport {
            ServerTransport::Tls(tls) => Some(tls.in_use().clone()),
            ServerTransport::Discovered(tls) => tls.in_use(),
            ServerTransport::Plain => None,
        });
        let clusters = self.store.clusters.values().filter_map(|slot| slot.active.as_ref());
        let built = clusters.filter_map(|version| version.value.built());
        let clients = built.flat_map(|cluster| cluster.settings.transports.in_use());
        servers.chain(clients).collect()
    }

    /// Brings gauges up to date that nobody keeps while there is no reader.
    pub fn refresh_gauges(&mut self) {
        self.publish_subscriptions();
        let built = self.store.clusters.values().flat_map(Slot::versions);
        for cluster in built.filter_map(|version| version.value.built()) {
            cluster.publish_gauges();
        }
        let stats = &self.server_stats;
        let memory = Memory::now();
        stats.set(ServerStat::uptime, self.lifecycle.started.elapsed().as_secs());
        stats.set(ServerStat::state, self.lifecycle.state() as u64);
        stats.set(ServerStat::live, u64::from(self.lifecycle.state() == ServerState::Live));
        stats.set(ServerStat::memory_allocated, memory.allocated);
        stats.set(ServerStat::memory_heap_size, memory.resident);
        stats.set(ServerStat::memory_physical_size, memory.resident);
        stats.set(ServerStat::total_connections, self.shared.connections() as u64);
        let until = self.certificates().iter().filter_map(InUse::valid_until).min();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let days = |until: i64| u64::try_from(until).unwrap_or(0).saturating_sub(now) / 86_400;
        let left = until.map_or_else(|| u64::from(u32::MAX), days);
        stats.set(ServerStat::days_until_first_cert_expiring, left);
    }
}

/// Acts on what workers tell, and does what is due, until the process ends.
pub async fn run(control: ControlHandle, mut mailbox: mpsc::Receiver<Message>) {
    tokio::task::spawn_local(sweep::run(Rc::downgrade(&control)));
    while let Some(message) = mailbox.recv().await {
        message.act();
    }
}
