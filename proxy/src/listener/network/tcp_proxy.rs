//! Relays bytes between a client and a host. (envoy: envoy.filters.network.tcp_proxy)
//!
//! Chooses the cluster and connects; `relay` moves the bytes.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::route::Split;
use outrigger_policy::verdict::{Cause, CauseCode, ResponseFlag};
use rand::Rng;
use tokio::time::Instant;

use super::relay::{By, End, Relay};
use crate::clock;
use crate::failure::Failure;
use crate::listener::Connection;
use crate::listener::http_chain::millis;
use crate::listener::network::{Hearing, PeerExchange};
use crate::net::{Address, Io};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::istio::{IstioStats, TcpReports};
use crate::telemetry::metrics::{ClusterStat, TcpStat, TcpStats};
use crate::telemetry::{self, StreamInfo, Told};
use crate::upstream::{Cluster, Connected, Host, connect, outlier, pool};
use crate::worker;

/// A TCP proxy, compiled.
#[derive(Debug)]
pub struct TcpProxy {
    /// The server name that a client sends is the name of the cluster, if it sends one. (envoy: envoy.filters.network.sni_cluster)
    pub by_server_name: bool,
    /// Where bytes go.
    pub target: Target,
    /// Ends a connection on which nothing moves. (envoy: idle_timeout)
    pub idle_timeout: Option<Duration>,
    /// Ends a connection at all. (envoy: max_downstream_connection_duration)
    pub max_duration: Option<Duration>,
    /// Connections that are tried. (envoy: max_connect_attempts)
    pub connect_attempts: u32,
    /// Access logs.
    pub access_log: Arc<AccessLog>,
    /// Counters of `tcp.<stat_prefix>.`.
    pub stats: TcpStats,
    /// The client and we say who we are before the bytes.
    pub peer_exchange: Option<Arc<PeerExchange>>,
    /// Metrics of the mesh.
    pub istio_stats: Vec<Arc<IstioStats>>,
}

/// Where a connection goes.
#[derive(Debug)]
pub enum Target {
    /// To this cluster.
    Cluster(Arc<str>),
    /// To one of several.
    Weighted(Split<Arc<str>>),
}

/// Relays a connection until both sides are done. Returns what became of it.
pub async fn serve(
    mut downstream: Io,
    connection: Rc<Connection>,
    proxy: Arc<TcpProxy>,
) -> StreamInfo {
    let stats = &proxy.stats;
    stats.inc(TcpStat::downstream_cx_total);
    let mut info = StreamInfo::new(connection, None);
    let mut reports = TcpReports::new(&proxy.istio_stats);
    forward(&mut downstream, &proxy, &mut info, &mut reports).await;
    stats.add(TcpStat::downstream_cx_rx_bytes_total, info.bytes_received);
    stats.add(TcpStat::downstream_cx_tx_bytes_total, info.bytes_sent);
    tell(&proxy, &mut info, &mut reports);
    info
}

/// Tells of a connection that a filter before this one denied: where it was going, and why it did not get there.
pub fn denied(connection: Rc<Connection>, proxy: &TcpProxy, details: String) -> StreamInfo {
    proxy.stats.inc(TcpStat::downstream_cx_total);
    let mut info = StreamInfo::new(connection, None);
    info.termination_details = details.into();
    let name = proxy.cluster_name(&info);
    info.upstream.borrow_mut().cluster = worker::snapshot(|snapshot| snapshot.cluster(&name));
    info.cluster_name = Some(name);
    tell(proxy, &mut info, &mut TcpReports::new(&proxy.istio_stats));
    info
}

/// Reports and logs a connection that is over.
fn tell(proxy: &TcpProxy, info: &mut StreamInfo, reports: &mut TcpReports) {
    reports.close(info);
    info.timing.end = Some(Instant::now());
    telemetry::log_connection(&proxy.access_log, info);
}

impl TcpProxy {
    /// The cluster that a connection goes to.
    fn cluster_name(&self, info: &StreamInfo) -> Arc<str> {
        let named = info.connection.server_name.as_deref().filter(|_| self.by_server_name);
        match (named, &self.target) {
            (Some(name), _) => name.into(),
            (None, Target::Cluster(name)) => name.clone(),
            (None, Target::Weighted(split)) => split.pick(worker::with_rng(Rng::next_u64)).clone(),
        }
    }
}

async fn forward(
    downstream: &mut Io,
    proxy: &TcpProxy,
    info: &mut StreamInfo,
    reports: &mut TcpReports,
) {
    let name = proxy.cluster_name(info);
    info.cluster_name = Some(name.clone());
    let Some(cluster) = worker::snapshot(|snapshot| snapshot.cluster(&name)) else {
        proxy.stats.inc(TcpStat::downstream_cx_no_route);
        let cause = Cause::about(CauseCode::ClusterNotFound, &name);
        info.fail(Some(ResponseFlag::NoClusterFound), cause);
        return;
    };
    let Some((mut upstream, _held)) = open(&cluster, proxy, info).await else { return };
    let client = hear_client(proxy, info);
    let host = hear_host(&cluster, info);
    let mut relay = Relay::new(proxy.idle_timeout, client, host);
    let relayed = relay_reporting(&mut relay, downstream, &mut upstream, info, reports);
    let outcome = match proxy.max_duration {
        Some(limit) => clock::timeout(limit, relayed).await,
        None => Ok(relayed.await),
    };
    relay.settle(info);
    let (received, sent) = relay.bytes();
    info.bytes_received = received;
    info.bytes_sent = sent;
    cluster.counters.stats.add(ClusterStat::upstream_cx_tx_bytes_total, received);
    cluster.counters.stats.add(ClusterStat::upstream_cx_rx_bytes_total, sent);
    match outcome {
        Ok(End::Idle) => proxy.stats.inc(TcpStat::idle_timeout),
        Ok(End::Done) => {}
        Ok(End::Reset(by)) => {
            // The other side sees what happened here.
            let other = match by {
                By::Client => upstream.stream(),
                By::Host => downstream.stream(),
            };
            other.abort_on_close();
            if by == By::Host {
                info.fail(Some(ResponseFlag::UpstreamRemoteReset), CauseCode::UpstreamReset);
            }
        }
        Err(_) => {
            proxy.stats.inc(TcpStat::max_downstream_connection_duration);
            info.fail(Some(ResponseFlag::DurationTimeout), CauseCode::MaxStreamDuration);
        }
    }
}

/// Relays until both sides are done, reporting in between.
async fn relay_reporting(
    relay: &mut Relay<'_>,
    downstream: &mut Io,
    upstream: &mut Io,
    info: &mut StreamInfo,
    reports: &mut TcpReports,
) -> End {
    loop {
        tokio::select! {
            biased;
            end = relay.run(downstream, upstream) => return end,
            () = reports.due() => {
                relay.settle(info);
                reports.report(info, relay.bytes());
            }
        }
    }
}

/// What the client is to say of itself.
fn hear_client<'a>(proxy: &'a TcpProxy, info: &mut StreamInfo) -> Option<Hearing<'a>> {
    let exchange = proxy.peer_exchange.as_deref()?;
    let alpn = info.connection.tls.as_ref().and_then(|tls| tls.alpn.as_deref());
    let hearing = exchange.begin(alpn);
    if hearing.is_none() {
        info.downstream_peer = Told::Nothing;
    }
    hearing
}

/// What the host is to say of itself.
fn hear_host<'a>(cluster: &'a Cluster, info: &StreamInfo) -> Option<Hearing<'a>> {
    let exchange = cluster.settings.peer_exchange.as_deref()?;
    let mut upstream = info.upstream.borrow_mut();
    let alpn = upstream.tls.as_deref().and_then(|tls| tls.alpn.as_deref());
    let hearing = exchange.begin(alpn);
    if hearing.is_none() {
        upstream.peer = Told::Nothing;
    }
    hearing
}

/// An upstream connection that counts for its host and its cluster's limit.
struct Held {
    cluster: Arc<Cluster>,
    host: Arc<Host>,
    started: Instant,
    _permit: outrigger_policy::bulkhead::Permit,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.host.counters.cx_active.fetch_sub(1, Relaxed);
        self.host.counters.rq_active.fetch_sub(1, Relaxed);
        let stats = &self.cluster.counters.stats;
        stats.down(ClusterStat::upstream_cx_active);
        stats.inc(ClusterStat::upstream_cx_destroy);
        stats.record(ClusterStat::upstream_cx_length_ms, millis(self.started.elapsed()));
    }
}

/// Connects to a host of the cluster, trying others if that is asked for.
async fn open(
    cluster: &Arc<Cluster>,
    proxy: &TcpProxy,
    info: &mut StreamInfo,
) -> Option<(Io, Held)> {
    let pool = pool::of(cluster);
    let destination = info.connection.original_destination();
    info.upstream.borrow_mut().cluster = Some(cluster.clone());
    let mut last: Option<Failure> = None;
    for attempt in 1..=proxy.connect_attempts.max(1) {
        let Ok((host, _)) = pool.pick(destination, None, 1) else {
            pool::count_no_host(cluster);
            let cause = Cause::about(CauseCode::NoHealthyHost, &cluster.name);
            info.fail(Some(ResponseFlag::NoHealthyUpstream), cause);
            return None;
        };
        let limit = cluster.breakers.of(RoutingPriority::Default).connections();
        let Some(permit) = limit.try_acquire() else {
            cluster.counters.stats.inc(ClusterStat::upstream_cx_overflow);
            let cause = Cause::about(CauseCode::MaxConnections, &cluster.name);
            info.fail(Some(ResponseFlag::UpstreamOverflow), cause);
            return None;
        };
        {
            let mut upstream = info.upstream.borrow_mut();
            upstream.host = Some(host.clone());
            upstream.attempts = attempt;
        }
        cluster.counters.stats.inc(ClusterStat::upstream_cx_total);
        host.counters.cx_total.fetch_add(1, Relaxed);
        let started = Instant::now();
        match connect(cluster, &host, None, None, None).await {
            Ok(Connected { io, local, tls }) => {
                info.upstream.borrow_mut().tls = tls;
                note_connected(cluster, &host, info, local, started);
                let cluster = cluster.clone();
                let held = Held { cluster, host, started: Instant::now(), _permit: permit };
                return Some((io, held));
            }
            Err(failure) => {
                cluster.counters.stats.inc(ClusterStat::upstream_cx_connect_fail);
                host.counters.cx_connect_fail.fetch_add(1, Relaxed);
                outlier::report_failure(cluster, &host, failure.kind);
                last = Some(failure);
            }
        }
    }
    cluster.counters.stats.inc(ClusterStat::upstream_cx_connect_attempts_exceeded);
    if let Some(failure) = last {
        info.upstream.borrow_mut().transport_failure = failure.transport;
        info.flags.insert(ResponseFlag::UpstreamConnectionFailure);
        info.fail(Some(ResponseFlag::UpstreamRetryLimitExceeded), failure.cause);
    }
    None
}

fn note_connected(
    cluster: &Arc<Cluster>,
    host: &Arc<Host>,
    info: &StreamInfo,
    local: Address,
    started: Instant,
) {
    let stats = &cluster.counters.stats;
    stats.record(ClusterStat::upstream_cx_connect_ms, millis(started.elapsed()));
    stats.up(ClusterStat::upstream_cx_active);
    host.counters.cx_active.fetch_add(1, Relaxed);
    host.counters.rq_active.fetch_add(1, Relaxed);
    host.counters.rq_total.fetch_add(1, Relaxed);
    outlier::report_connected_for_good(cluster, host);
    info.upstream.borrow_mut().local_address = Some(local);
}
