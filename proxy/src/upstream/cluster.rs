//! A cluster that is in use: its settings, hosts, limits and counters. (envoy: config.cluster.v3.Cluster)
//!
//! Its identity survives every update whose content is equal; hosts change below it without touching connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_policy::breaker::{CircuitBreakers, RoutingPriority};
use outrigger_policy::fraction::Fraction;
use outrigger_policy::lb::Settings;

use super::counters::ClusterCounters;
use super::destinations::{Destinations, OriginalDestinations};
use super::host::Host;
use super::host_set::{Assignment, Change, HostSet};
use super::metadata::{Mesh, Metadata};
use super::outlier::Outliers;
use super::requested_name::RequestedName;
use super::transport::Transports;
use crate::listener::network::PeerExchange;
use crate::telemetry::metrics::{ClusterStat, RemainingStat, breaker_gauges};

/// Which HTTP is spoken to the hosts. (envoy: HttpProtocolOptions.upstream_protocol_options)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
    /// What the client spoke. (envoy: use_downstream_protocol_config)
    Downstream,
}

/// HTTP settings towards the hosts.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Which HTTP.
    pub version: HttpVersion,
    /// An unused connection is closed after this. (envoy: HttpProtocolOptions.idle_timeout)
    pub idle_timeout: Option<Duration>,
    /// A connection takes no request after this. (envoy: max_connection_duration)
    pub max_connection_duration: Option<Duration>,
    /// Requests of one connection; 0 means no limit. (envoy: max_requests_per_connection)
    pub max_requests_per_connection: u64,
    /// (envoy: HttpProtocolOptions.max_stream_duration)
    pub max_stream_duration: Option<Duration>,
    /// Lines of a response's head.
    pub max_response_headers: usize,
    /// Bytes of a response's head.
    pub max_response_head_bytes: usize,
    /// HTTP/2 streams of one connection. (envoy: Http2ProtocolOptions.max_concurrent_streams)
    pub max_concurrent_streams: u32,
    /// HTTP/2 window of a stream, in bytes.
    pub stream_window: u32,
    /// HTTP/2 window of a connection, in bytes.
    pub connection_window: u32,
    /// HTTP/1 trailers pass.
    pub enable_trailers: bool,
    /// The server name is the request's. (envoy: UpstreamHttpProtocolOptions.auto_sni)
    pub requested_name: Option<RequestedName>,
}

impl Default for HttpSettings {
    /// What holds where the configuration says nothing. Windows are smaller than Envoy's 16 MiB, which are memory for a hostile peer to fill.
    fn default() -> Self {
        Self {
            version: HttpVersion::default(),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_requests_per_connection: 0,
            max_stream_duration: None,
            max_response_headers: 100,
            max_response_head_bytes: 80 * 1024,
            max_concurrent_streams: 1024,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            enable_trailers: false,
            requested_name: None,
        }
    }
}

/// TCP keepalive of upstream connections. (envoy: config.core.v3.TcpKeepalive)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Probes without an answer until the connection is dead.
    pub probes: Option<u32>,
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
}

/// What a cluster is made of, besides its hosts.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Share of requests that are refused because somebody has switched the cluster off. (envoy: runtime
    /// `upstream.maintenance_mode.NAME`)
    pub maintenance: Option<Fraction>,
    /// Until a connection is up, TLS included. (envoy: connect_timeout)
    pub connect_timeout: Duration,
    /// Load balancing.
    pub balancing: Settings,
    /// The hosts are where requests were going. (envoy: Cluster.DiscoveryType.ORIGINAL_DST)
    pub original_destinations: Option<OriginalDestinations>,
    /// HTTP.
    pub http: HttpSettings,
    /// How hosts are connected to.
    pub transports: Transports,
    /// Bytes of a request kept for another attempt. (envoy: per_connection_buffer_limit_bytes)
    pub buffer_limit_bytes: usize,
    /// Local addresses of connections, one of each version at most.
    /// (envoy: upstream_bind_config.source_address, extra_source_addresses)
    pub bind_addresses: Vec<SocketAddr>,
    /// TCP keepalive. (envoy: upstream_connection_options.tcp_keepalive)
    pub keepalive: Option<TcpKeepalive>,
    /// Name in logs and stats: the cluster's, if it has no other. (envoy: alt_stat_name)
    pub observability_name: Arc<str>,
    /// What the control plane says of the cluster.
    pub metadata: Arc<Metadata>,
    /// What of it is about the mesh.
    pub mesh: Arc<Mesh>,
    /// Both ends say who they are before the bytes of a TCP connection. (envoy: Cluster.filters)
    pub peer_exchange: Option<Arc<PeerExchange>>,
    /// Priorities whose breakers tell how much is left. (envoy: CircuitBreakers.Thresholds.track_remaining)
    pub tracks_remaining: Vec<RoutingPriority>,
}

impl ClusterSettings {
    /// Settings without any of the configuration, with these transports.
    #[must_use]
    pub fn new(observability_name: Arc<str>, transports: Transports) -> Self {
        Self {
            maintenance: None,
            connect_timeout: Duration::from_secs(5),
            balancing: Settings::default(),
            original_destinations: None,
            http: HttpSettings::default(),
            transports,
            buffer_limit_bytes: 1024 * 1024,
            bind_addresses: Vec::new(),
            keepalive: None,
            observability_name,
            metadata: Arc::default(),
            mesh: Arc::default(),
            peer_exchange: None,
            tracks_remaining: Vec::new(),
        }
    }
}

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Unique in the process.
    pub id: u64,
    /// Its name.
    pub name: Arc<str>,
    /// Its settings.
    pub settings: ClusterSettings,
    /// Its limits, exact over all workers.
    pub breakers: CircuitBreakers,
    /// Ejects hosts that fail.
    pub outliers: Option<Outliers>,
    /// Its counters.
    pub counters: ClusterCounters,
    hosts: ArcSwap<HostSet>,
    destinations: Option<Destinations>,
    /// Workers whose requests wait for a connection that the limit forbids: one bit each.
    starving: AtomicU64,
    is_retired: AtomicBool,
}

impl Cluster {
    /// A cluster without hosts.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        settings: ClusterSettings,
        breakers: CircuitBreakers,
        outliers: Option<Outliers>,
        counters: ClusterCounters,
    ) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let hosts = ArcSwap::from_pointee(HostSet::empty(&settings.balancing));
        let destinations = settings.original_destinations.clone().map(Destinations::new);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name,
            settings,
            breakers,
            outliers,
            counters,
            hosts,
            destinations,
            starving: AtomicU64::new(0),
            is_retired: AtomicBool::new(false),
        })
    }

    /// The hosts, for a cache per worker.
    #[must_use]
    pub const fn hosts(&self) -> &ArcSwap<HostSet> {
        &self.hosts
    }

    /// The hosts where requests were going; `None` if the hosts are told by somebody else.
    #[must_use]
    pub const fn destinations(&self) -> Option<&Destinations> {
        self.destinations.as_ref()
    }

    /// Every host that there is now, whoever told of it.
    #[must_use]
    pub fn all_hosts(&self) -> Vec<Arc<Host>> {
        match &self.destinations {
            Some(destinations) => destinations.all(),
            None => self.hosts.load().hosts.to_vec(),
        }
    }

    /// Replaces the hosts. Called by the control runtime only, so that no update is lost.
    pub fn set_hosts(&self, assignment: &Assignment) -> Change {
        let watch = |id| self.outliers.as_ref().map(|outliers| outliers.watch(id));
        let held = self.hosts.load();
        let (next, change) = held.next(&self.settings.balancing, assignment, watch);
        if let Some(outliers) = &self.outliers {
            held.hosts.iter().filter(|h| h.is_retired()).for_each(|h| outliers.forget(h.id));
        }
        drop(held);
        self.publish(next);
        if change != Change::default() {
            self.counters.stats.inc(ClusterStat::membership_change);
        }
        change
    }

    /// Builds the balancer anew: the health of a host has changed. Called by the control runtime only.
    pub fn rebuild_hosts(&self) {
        let next = self.hosts.load().rebuilt();
        self.publish(next);
    }

    fn publish(&self, next: HostSet) {
        use outrigger_policy::lb::{Health, Target};
        let count =
            |health| next.hosts.iter().filter(|host| host.health() == health).count() as u64;
        self.counters.stats.set(ClusterStat::membership_total, next.hosts.len() as u64);
        self.counters.stats.set(ClusterStat::membership_healthy, count(Health::Healthy));
        self.counters.stats.set(ClusterStat::membership_degraded, count(Health::Degraded));
        self.hosts.store(Arc::new(next));
    }

    /// The cluster is gone: idle connections close, requests end in their own time.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
        self.hosts.load().retire();
        if let Some(destinations) = &self.destinations {
            destinations.retire();
        }
    }

    /// True once the cluster is gone.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// Notes that a worker has requests that wait for the connection limit; true if it had none before.
    pub fn starve(&self, worker: usize) -> bool {
        let bit = 1 << (worker % 64);
        self.starving.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Takes the workers that wait: the caller tells them that a connection was closed.
    pub fn take_starving(&self) -> u64 {
        if self.starving.load(Ordering::Acquire) == 0 {
            return 0;
        }
        self.starving.swap(0, Ordering::AcqRel)
    }

    /// True if requests on some worker wait for the connection limit.
    #[must_use]
    pub fn is_starving(&self) -> bool {
        self.starving.load(Ordering::Acquire) != 0
    }

    /// Brings gauges up to date that nobody keeps while there is no reader: those of the limits.
    pub fn publish_gauges(&self) {
        for priority in [RoutingPriority::Default, RoutingPriority::High] {
            let now = self.breakers.of(priority).gauges();
            let of = breaker_gauges(priority == RoutingPriority::High);
            let stats = &self.counters.stats;
            stats.set(of.cx_open, u64::from(now.cx_open));
            stats.set(of.rq_open, u64::from(now.rq_open));
            stats.set(of.rq_pending_open, u64::from(now.rq_pending_open));
            stats.set(of.rq_retry_open, u64::from(now.rq_retry_open));
            if self.settings.tracks_remaining.contains(&priority) {
                let stats = self.counters.remaining(priority);
                stats.set(RemainingStat::remaining_cx, u64::from(now.remaining_cx));
                // There is no limit on pools.
                stats.set(RemainingStat::remaining_cx_pools, u64::from(u32::MAX));
                stats.set(RemainingStat::remaining_pending, u64::from(now.remaining_pending));
                stats.set(RemainingStat::remaining_retries, u64::from(now.remaining_retries));
                stats.set(RemainingStat::remaining_rq, u64::from(now.remaining_rq));
            }
        }
    }
}
