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
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::failure::Failure;
use crate::listener::Connection;
use crate::listener::http_chain::millis;
use crate::listener::network::{Hearing, PeerExchange, Taken};
use crate::net::{Address, Io};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::istio::{IstioStats, TcpReport};
use crate::telemetry::metrics::{ClusterStat, TcpStat, TcpStats};
use crate::telemetry::{self, StreamInfo, Told};
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

/// Relays a connection until both sides are done.
pub async fn serve(mut downstream: Io, connection: Rc<Connection>, proxy: Arc<TcpProxy>) {
    let stats = &proxy.stats;
    stats.inc(TcpStat::downstream_cx_total);
    let mut info = StreamInfo::new(connection, None);
    let mut reports = Reports::new(&proxy.istio_stats);
    relay(&mut downstream, &proxy, &mut info, &mut reports).await;
    reports.close(&info);
    info.timing.end = Some(Instant::now());
    stats.add(TcpStat::downstream_cx_rx_bytes_total, info.bytes_received);
    stats.add(TcpStat::downstream_cx_tx_bytes_total, info.bytes_sent);
    telemetry::log_connection(&proxy.access_log, &info);
}

async fn relay(
    downstream: &mut Io,
    proxy: &TcpProxy,
    info: &mut StreamInfo,
    reports: &mut Reports,
) {
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
    let exchanges = Exchanges::begin(proxy.peer_exchange.as_deref(), &cluster, info);
    let idle = Idle::new(proxy.idle_timeout);
    let outcome = {
        let copied = copy(downstream, &mut upstream, &idle, &exchanges);
        let limited = async {
            match proxy.max_duration {
                Some(limit) => tokio::time::timeout(limit, copied).await,
                None => Ok(copied.await),
            }
        };
        let mut limited = std::pin::pin!(limited);
        loop {
            tokio::select! {
                outcome = &mut limited => break outcome,
                () = reports.due() => {
                    exchanges.settle(info);
                    reports.report(info, idle.bytes());
                }
            }
        }
    };
    exchanges.settle(info);
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
    info.upstream.borrow_mut().cluster = Some(cluster.clone());
    let mut last: Option<Failure> = None;
    for attempt in 1..=proxy.connect_attempts.max(1) {
        let Ok((host, _)) = pool.pick(|_| false, 1) else {
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

async fn copy(
    downstream: &mut Io,
    upstream: &mut Io,
    idle: &Idle,
    exchanges: &Exchanges<'_>,
) -> End {
    let (mut down_read, mut down_write) = tokio::io::split(downstream);
    let (mut up_read, mut up_write) = tokio::io::split(upstream);
    let Exchanges { downstream: client, upstream: host } = exchanges;
    let received = |n| idle.note(&idle.received, n);
    let sent = |n| idle.note(&idle.sent, n);
    let request = pump(&mut down_read, &mut up_write, client.as_ref(), host.as_ref(), received);
    let response = pump(&mut up_read, &mut down_write, host.as_ref(), client.as_ref(), sent);
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

/// Reads what the source says of itself; the first bytes after it, or `None` if the source has ended.
async fn hear(
    source: &mut (impl AsyncReadExt + Unpin),
    hears: &Hearing<'_>,
    buffer: &mut [u8],
) -> Result<Option<Vec<u8>>, Reset> {
    loop {
        let length = match source.read(buffer).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(Reset),
            Ok(0) | Err(_) => return Ok(Some(hears.end())),
            Ok(length) => length,
        };
        match hears.take(buffer.get(..length).unwrap_or_default()) {
            Taken::All => {}
            Taken::Passed(bytes) => return Ok(Some(bytes)),
            Taken::Broken => return Err(Reset),
        }
    }
}

/// What both ends are to say of themselves.
struct Exchanges<'a> {
    downstream: Option<Hearing<'a>>,
    upstream: Option<Hearing<'a>>,
}

impl<'a> Exchanges<'a> {
    fn begin(
        of_chain: Option<&'a PeerExchange>,
        cluster: &'a Cluster,
        info: &mut StreamInfo,
    ) -> Self {
        let alpn = info.connection.tls.as_ref().and_then(|tls| tls.alpn.as_deref());
        let downstream = of_chain.and_then(|exchange| exchange.begin(alpn));
        if of_chain.is_some() && downstream.is_none() {
            info.downstream_peer = Told::Nothing;
        }
        let of_cluster = cluster.settings.peer_exchange.as_deref();
        let mut told = info.upstream.borrow_mut();
        let alpn = told.tls.as_deref().and_then(|tls| tls.alpn.as_deref());
        let upstream = of_cluster.and_then(|exchange| exchange.begin(alpn));
        if of_cluster.is_some() && upstream.is_none() {
            told.peer = Told::Nothing;
        }
        Self { downstream, upstream }
    }

    /// Notes what was heard.
    fn settle(&self, info: &mut StreamInfo) {
        if let Some(heard) = &self.downstream {
            info.downstream_peer = heard.told();
        }
        if let Some(heard) = &self.upstream {
            info.upstream.borrow_mut().peer = heard.told();
        }
    }
}

/// Reports of the connection to the metrics of the mesh.
struct Reports {
    reports: Vec<TcpReport>,
    interval: Option<Interval>,
}

impl Reports {
    fn new(stats: &[Arc<IstioStats>]) -> Self {
        let shortest = stats.iter().filter_map(|stats| stats.interval).min();
        let interval = shortest.map(|every| {
            let mut interval = tokio::time::interval_at(Instant::now() + every, every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { reports: stats.iter().cloned().map(TcpReport::new).collect(), interval }
    }

    async fn due(&mut self) {
        match &mut self.interval {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    fn report(&mut self, info: &StreamInfo, (received, sent): (u64, u64)) {
        for report in &mut self.reports {
            report.report(info, received, sent, false);
        }
    }

    fn close(&mut self, info: &StreamInfo) {
        for report in &mut self.reports {
            report.report(info, info.bytes_received, info.bytes_sent, true);
        }
    }
}

/// Moves bytes until the source ends, then ends the sink.
async fn pump(
    source: &mut (impl AsyncReadExt + Unpin),
    sink: &mut (impl AsyncWriteExt + Unpin),
    hears: Option<&Hearing<'_>>,
    says: Option<&Hearing<'_>>,
    moved: impl Fn(usize),
) -> Result<(), Reset> {
    if let Some(says) = says {
        let _ = sink.write_all(says.frame()).await;
        let _ = sink.flush().await;
    }
    let mut buffer = vec![0; BUFFER];
    if let Some(hears) = hears
        && let Some(first) = hear(source, hears, &mut buffer).await?
        && !first.is_empty()
        && sink.write_all(&first).await.is_ok()
        && sink.flush().await.is_ok()
    {
        moved(first.len());
    }
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
