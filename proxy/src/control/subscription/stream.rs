//! A subscription to a management server: one stream for all types of a source, opened again whenever it ends.
//!
//! What comes is applied and judged in one go, on this thread: the answer waits until all that a response made necessary has been asked for and
//! all that is complete is in force. While the server is away, what it said last holds.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use outrigger_xds::source::grpc::{self, Client, Config, Event, Service};
use outrigger_xds::{Delivery, Refusal, ResourceType, Subject, Update};
use tokio::sync::mpsc;

use super::counters::{Accepted, Outcome};
use super::{Control, Names, Task, Weakly};
use crate::config::{ManagementServer, Source};
use crate::control::startup::Stage;
use crate::net::Io;
use crate::telemetry::metrics::{ClusterStat, ControlPlaneStat, ControlPlaneStats, TextReadout};
use crate::tls::Spoken;
use crate::upstream::{Cluster, connect};

/// A stream, and what drives it.
pub(super) struct Stream {
    pub(super) client: Client,
    /// The server is not told that clusters are taken: some of them wait. (xDS: "warming")
    holds_clusters: bool,
    plane: Option<Plane>,
    _work: Task,
    _events: Task,
}

/// Counters of the server behind the aggregated stream.
struct Plane {
    stats: ControlPlaneStats,
    identifier: TextReadout,
}

/// The server's cluster cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unreachable {
    /// It is gone, or was never there.
    #[error("unknown cluster {0}")]
    Unknown(Arc<str>),
    /// It has no host.
    #[error("cluster {0} has no host")]
    NoHost(Arc<str>),
    /// What the connection attempt says.
    #[error("{0}")]
    Failed(String),
}

impl Control {
    /// The stream to this source, opened if there is none.
    pub(super) fn stream(&mut self, source: &Source) -> Option<&Stream> {
        if !self.subscriptions.streams.contains_key(source) {
            let server = match source {
                Source::Ads => self.dynamic.ads.clone()?,
                Source::Server(server) => server.clone(),
                Source::File(_) => return None,
            };
            let stream = self.open_stream(source, server);
            self.subscriptions.streams.insert(source.clone(), stream);
        }
        self.subscriptions.streams.get(source)
    }

    fn open_stream(&self, source: &Source, server: Arc<ManagementServer>) -> Stream {
        let is_aggregated = *source == Source::Ads;
        let service =
            if is_aggregated { Service::Aggregated(server.mode) } else { Service::Secrets };
        let identity = self.node.identity(server.says_node_once);
        let held = self.server_cluster(&server.cluster);
        let mut config = Config {
            authority: server.authority.to_string(),
            backoff: server.backoff(),
            ..Config::new(service, &server.cluster, identity)
        };
        if let Some(bytes) = server.message_bytes_max {
            config.message_bytes_max = bytes as usize;
        }
        if let Some(cluster) = &held {
            config.connect_timeout = cluster.settings.connect_timeout;
            config.is_secure = cluster.settings.transports.default.is_tls();
        }
        let this = self.this.clone();
        let name = server.cluster.clone();
        let connect = async move || reach(&this, &name).await.map_err(io::Error::other);
        let (client, events, work) = grpc::open(config, connect);
        let plane = is_aggregated.then(|| {
            let registry = &self.environment.registry;
            let identifier = registry.text("control_plane.identifier");
            Plane { stats: registry.stats("control_plane."), identifier }
        });
        Stream {
            client,
            holds_clusters: false,
            plane,
            _work: Task::spawn(work),
            _events: Task::spawn(listen(self.this.clone(), source.clone(), events)),
        }
    }

    /// The cluster of the bootstrap that leads to a server.
    fn server_cluster(&self, name: &Arc<str>) -> Option<Arc<Cluster>> {
        let slot = self.store.clusters.get(name)?;
        let version = slot.versions().next()?;
        Some(version.value.cluster().clone())
    }

    fn hear(&mut self, source: &Source, event: Event) {
        match event {
            Event::Opened => self.connected(source, true),
            Event::Delivered(delivery) => self.take(source, delivery),
            Event::Rejected { kind, reason } => {
                tracing::warn!("a response about all {}s is refused: {reason}", kind.noun());
                self.reject(source, kind);
            }
            Event::Unknown { type_url } => {
                tracing::warn!("a response of type {type_url} is ignored: nobody asked for it");
            }
            Event::Expired(update) => {
                self.store.apply(update);
                self.settle();
            }
            Event::Closed { text, .. } => {
                tracing::warn!("{text}");
                self.connected(source, false);
                for (_, subscription) in self.subscriptions.at(source) {
                    for watch in subscription.watches.values_mut() {
                        watch.counters.count(Outcome::Failed);
                    }
                }
            }
        }
    }

    fn connected(&mut self, source: &Source, is_connected: bool) {
        let Some(stream) = self.subscriptions.streams.get_mut(source) else { return };
        if let Some(plane) = &stream.plane {
            plane.stats.set(ControlPlaneStat::connected_state, u64::from(is_connected));
        }
        if !is_connected && std::mem::take(&mut stream.holds_clusters) {
            // The next server may not have what is waited for: it has to be asked anew.
            stream.client.release(ResourceType::Cluster);
        }
    }

    /// Takes a response in, and answers it.
    fn take(&mut self, source: &Source, delivery: Delivery) {
        let started = Instant::now();
        let Delivery { update, receipt, failures } = delivery;
        let (kind, version) = (update.kind, update.version.clone());
        let names = names_of(&update);
        let rejections = self.store.apply(update);
        let refused = rejections.iter().map(|rejection| &rejection.name);
        for name in refused.chain(failures.iter().map(|failure| &failure.name)) {
            // Whoever waits for it waits no longer.
            if !self.store.holds(kind, name) {
                self.store.give_up(kind, name);
            }
        }
        for failure in &failures {
            let (noun, name) = (kind.noun(), &failure.name);
            tracing::warn!(
                "the server has no {noun} {name}: {} ({})",
                failure.message,
                failure.code
            );
        }
        if let Some(subscription) = self.subscriptions.find(kind, source) {
            subscription.has_answered = true;
        }
        self.unbound.clear();
        self.settle();
        let refusals = rejections
            .into_iter()
            .map(|rejection| Refusal { reason: rejection.error.to_string(), name: rejection.name });
        let mut refusals: Vec<_> = refusals.collect();
        if kind == ResourceType::Listener {
            let unbound = self.unbound.drain(..).filter(|(name, _)| names.contains(name));
            refusals.extend(unbound.map(|(name, reason)| Refusal { name, reason }));
        }
        let may_hold = refusals.is_empty() && kind == ResourceType::Cluster;
        let holds = may_hold && self.stage() == Stage::Live;
        let taken = self.store.take_taken();
        self.count(source, kind, &names, |name| {
            if refusals.iter().any(|refusal| name.is_none_or(|name| refusal.name == *name)) {
                Outcome::Rejected
            } else {
                let is_news = match name {
                    Some(name) => taken.contains(&(kind, name.clone())),
                    None => !taken.is_empty(),
                };
                Outcome::Accepted(Accepted { version: &version, took: started.elapsed(), is_news })
            }
        });
        let is_warming = holds && self.store.is_warming_clusters();
        let Some(stream) = self.subscriptions.streams.get_mut(source) else { return };
        if is_warming && !stream.holds_clusters {
            stream.holds_clusters = true;
            stream.client.hold(ResourceType::Cluster);
        }
        if let Some(plane) = &stream.plane {
            plane.identifier.set(&stream.client.control_plane());
        }
        stream.client.applied(receipt, &refusals);
    }

    /// No part of a response could be used.
    fn reject(&mut self, source: &Source, kind: ResourceType) {
        let Some(subscription) = self.subscriptions.find(kind, source) else { return };
        subscription.has_answered = true;
        for (subject, watch) in &mut subscription.watches {
            watch.counters.count(Outcome::Rejected);
            if let Subject::Name(name) = subject
                && !self.store.holds(kind, name)
            {
                self.store.give_up(kind, name);
            }
        }
        self.settle();
    }

    /// Counts an outcome for those who have asked for one of the names, or for all.
    fn count<'a>(
        &mut self,
        source: &Source,
        kind: ResourceType,
        names: &Names,
        outcome: impl Fn(Option<&Arc<str>>) -> Outcome<'a>,
    ) {
        let Some(subscription) = self.subscriptions.find(kind, source) else { return };
        if let Some(watch) = subscription.watches.get_mut(&Subject::All) {
            watch.counters.count(outcome(None));
        }
        for name in names {
            if let Some(watch) = subscription.watches.get_mut(&Subject::Name(name.clone())) {
                watch.counters.count(outcome(Some(name)));
            }
        }
    }

    /// Tells servers that clusters are taken, once none waits any more.
    pub(in crate::control) fn release_clusters(&mut self) {
        let mut streams = self.subscriptions.streams.values_mut();
        if !streams.any(|stream| stream.holds_clusters) || self.store.is_warming_clusters() {
            return;
        }
        for stream in self.subscriptions.streams.values_mut() {
            if std::mem::take(&mut stream.holds_clusters) {
                stream.client.release(ResourceType::Cluster);
            }
        }
    }
}

fn names_of(update: &Update) -> Names {
    let resources = update.resources.iter().map(|resource| resource.name.clone());
    resources.chain(update.removed.iter().cloned()).collect()
}

async fn listen(control: Weakly, source: Source, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        let Some(control) = control.upgrade() else { return };
        control.borrow_mut().hear(&source, event);
    }
}

/// Connects to a host of the cluster, as requests to it would.
async fn reach(control: &Weakly, name: &Arc<str>) -> Result<Io, Unreachable> {
    let cluster = control.upgrade().and_then(|control| control.borrow().server_cluster(name));
    let cluster = cluster.ok_or_else(|| Unreachable::Unknown(name.clone()))?;
    let hosts = cluster.hosts().load_full();
    let turn = usize::try_from(rand::random::<u32>()).unwrap_or_default();
    let turn = turn.checked_rem(hosts.hosts.len());
    let host = turn.and_then(|turn| hosts.hosts.get(turn));
    let host = host.ok_or_else(|| Unreachable::NoHost(name.clone()))?;
    let connected = connect(&cluster, host, None, Some(Spoken::Http2), None).await;
    let stats = &cluster.counters.stats;
    match connected {
        Ok(connected) => {
            stats.inc(ClusterStat::upstream_cx_total);
            stats.inc(ClusterStat::upstream_cx_http2_total);
            Ok(connected.io)
        }
        Err(failure) => {
            stats.inc(ClusterStat::upstream_cx_connect_fail);
            Err(Unreachable::Failed(failure.transport.into()))
        }
    }
}
