//! Relays bytes between a client and a host. (envoy: envoy.filters.network.tcp_proxy)
//!
//! Each direction ends by itself: the end of one side's bytes is passed on, and the other side may still speak.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::route::Split;
use outrigger_policy::verdict::{Cause, CauseCode, ResponseFlag};
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::listener::Connection;
use crate::listener::http_chain::millis;
use crate::net::{Address, Io};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{ClusterStat, TcpStat, TcpStats};
use crate::telemetry::{self, StreamInfo};
use crate::upstream::{Cluster, Connected, Host, connect, outlier, pool};
use crate::worker;

/// Bytes that one read takes: the size decides what relaying costs.
const BUFFER: usize = 64 * 1024;

/// A TCP proxy, compiled.
#[derive(Debug)]
pub struct TcpProxy {
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
}

/// Where a connection goes.
#[derive(Debug)]
pub enum Target {
    /// To this cluster.
    Cluster(Arc<str>),
    /// To one of several.
    Weighted(Split<Arc<str>>),
}

/// Relays a connection until both sides are done.
pub async fn serve(mut downstream: Io, connection: Rc<Connection>, proxy: Arc<TcpProxy>) {
    let stats = &proxy.stats;
    stats.inc(TcpStat::downstream_cx_total);
    let mut info = StreamInfo::new(connection, None);
    relay(&mut downstream, &proxy, &mut info).await;
    info.timing.end = Some(Instant::now());
    stats.add(TcpStat::downstream_cx_rx_bytes_total, info.bytes_received);
    stats.add(TcpStat::downstream_cx_tx_bytes_total, info.bytes_sent);
    telemetry::log_connection(&proxy.access_log, &info);
}

async fn relay(downstream: &mut Io, proxy: &TcpProxy, info: &mut StreamInfo) {
    let name = match &proxy.target {
        Target::Cluster(name) => name.clone(),
        Target::Weighted(split) => split.pick(worker::with_rng(Rng::next_u64)).clone(),
    };
    info.cluster_name = Some(name.clone());
    let Some(cluster) = worker::snapshot(|snapshot| snapshot.cluster(&name)) else {
        proxy.stats.inc(TcpStat::downstream_cx_no_route);
        let cause = Cause::about(CauseCode::ClusterNotFound, &name);
        info.fail(Some(ResponseFlag::NoClusterFound), cause);
        return;
    };
    let Some((mut upstream, _held)) = open(&cluster, proxy, info).await else { return };
    let idle = Idle::new(proxy.idle_timeout);
    let copied = copy(downstream, &mut upstream, &idle);
    let outcome = match proxy.max_duration {
        Some(limit) => tokio::time::timeout(limit, copied).await,
        None => Ok(copied.await),
    };
    let (received, sent) = idle.bytes();
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
            proxy.stats.inc(TcpStat::downstream_cx_no_route);
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
        match connect(cluster, &host, None, None).await {
            Ok(Connected { io, local }) => {
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

/// When bytes moved last, and how many have.
struct Idle {
    timeout: Option<Duration>,
    last: Cell<Instant>,
    received: Cell<u64>,
    sent: Cell<u64>,
}

enum End {
    Done,
    Idle,
    /// One side has reset its connection.
    Reset(By),
}

/// Who.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Client,
    Host,
}

impl Idle {
    fn new(timeout: Option<Duration>) -> Self {
        let last = Cell::new(Instant::now());
        Self { timeout, last, received: Cell::default(), sent: Cell::default() }
    }

    const fn bytes(&self) -> (u64, u64) {
        (self.received.get(), self.sent.get())
    }

    fn note(&self, counter: &Cell<u64>, bytes: usize) {
        counter.set(counter.get() + bytes as u64);
        if self.timeout.is_some() {
            self.last.set(Instant::now());
        }
    }

    /// Ends when nothing has moved for the timeout.
    async fn wait(&self) {
        let Some(timeout) = self.timeout else { return std::future::pending().await };
        loop {
            let deadline = self.last.get() + timeout;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

async fn copy(downstream: &mut Io, upstream: &mut Io, idle: &Idle) -> End {
    let (mut down_read, mut down_write) = tokio::io::split(downstream);
    let (mut up_read, mut up_write) = tokio::io::split(upstream);
    let request = pump(&mut down_read, &mut up_write, |n| idle.note(&idle.received, n));
    let response = pump(&mut up_read, &mut down_write, |n| idle.note(&idle.sent, n));
    let mut request = std::pin::pin!(request);
    let mut response = std::pin::pin!(response);
    let both = async {
        tokio::select! {
            ended = &mut request => match ended {
                Err(Reset) => End::Reset(By::Client),
                Ok(()) => if response.await.is_err() { End::Reset(By::Host) } else { End::Done },
            },
            ended = &mut response => match ended {
                Err(Reset) => End::Reset(By::Host),
                Ok(()) => if request.await.is_err() { End::Reset(By::Client) } else { End::Done },
            },
        }
    };
    tokio::select! {
        end = both => end,
        () = idle.wait() => End::Idle,
    }
}

/// The source was reset.
struct Reset;

/// Moves bytes until the source ends, then ends the sink.
async fn pump(
    source: &mut (impl AsyncReadExt + Unpin),
    sink: &mut (impl AsyncWriteExt + Unpin),
    moved: impl Fn(usize),
) -> Result<(), Reset> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = match source.read(&mut buffer).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(Reset),
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        if sink.write_all(bytes).await.is_err() || sink.flush().await.is_err() {
            break;
        }
        moved(length);
    }
    let _ = sink.shutdown().await;
    Ok(())
}
