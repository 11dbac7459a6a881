//! Connections of a pool, and what is counted of each from its first moment to its last.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use outrigger_policy::bulkhead::Permit;
use tokio::time::Instant;

use super::Protocol;
use super::host_pool::HostPool;
use crate::clock;
use crate::http::codec::http1::ClientConnection;
use crate::http::codec::http2::Sender;
use crate::listener::http_chain::millis;
use crate::net::{Address, Traffic};
use crate::telemetry::UpstreamTls;
use crate::telemetry::metrics::ClusterStat;
use crate::upstream::cluster::Cluster;
use crate::upstream::host::Host;

/// What a connection is besides its bytes. Dropping it is closing it: counters fall, and those who wait for room are told.
#[derive(Debug)]
pub struct Meta {
    cluster: Arc<Cluster>,
    host: Arc<Host>,
    /// Our end.
    pub local: Address,
    /// What the handshake has told.
    pub tls: Option<Rc<UpstreamTls>>,
    created: Instant,
    requests: Cell<u64>,
    permit: Option<Permit>,
    protocol: Protocol,
    ended: Cell<Ended>,
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The host has closed it.
    pub by_host: bool,
    /// A request was on it.
    pub with_request: bool,
}

impl Meta {
    /// A connection that has just been made.
    #[must_use]
    pub fn new(
        cluster: Arc<Cluster>,
        host: Arc<Host>,
        local: Address,
        tls: Option<Rc<UpstreamTls>>,
        permit: Permit,
        protocol: Protocol,
        started: Instant,
    ) -> Self {
        let stats = &cluster.counters.stats;
        stats.inc(match protocol {
            Protocol::Http1 => ClusterStat::upstream_cx_http1_total,
            Protocol::Http2 => ClusterStat::upstream_cx_http2_total,
        });
        stats.up(ClusterStat::upstream_cx_active);
        let now = clock::now();
        stats.record(ClusterStat::upstream_cx_connect_ms, millis(now.duration_since(started)));
        host.counters.cx_active.fetch_add(1, Relaxed);
        Self {
            cluster,
            host,
            local,
            tls,
            created: now,
            requests: Cell::new(0),
            permit: Some(permit),
            protocol,
            ended: Cell::default(),
        }
    }

    /// Says how the connection comes to its end; without a word it is closed here, at rest.
    pub fn ended(&self, ended: Ended) {
        self.ended.set(ended);
    }

    /// Counts a request.
    pub fn count_request(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// True if the connection has done its share: as many requests or as long a life as the cluster allows.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        let http = &self.cluster.settings.http;
        let limit = http.max_requests_per_connection;
        (limit > 0 && self.requests.get() >= limit)
            || http.max_connection_duration.is_some_and(|life| self.created.elapsed() >= life)
    }

    /// Adds bytes read and written.
    pub fn count_traffic(&self, (received, sent): (u64, u64)) {
        self.cluster.counters.stats.add(ClusterStat::upstream_cx_rx_bytes_total, received);
        self.cluster.counters.stats.add(ClusterStat::upstream_cx_tx_bytes_total, sent);
    }
}

impl Drop for Meta {
    fn drop(&mut self) {
        let stats = &self.cluster.counters.stats;
        stats.down(ClusterStat::upstream_cx_active);
        stats.inc(ClusterStat::upstream_cx_destroy);
        let Ended { by_host, with_request } = self.ended.get();
        stats.inc(if by_host {
            ClusterStat::upstream_cx_destroy_remote
        } else {
            ClusterStat::upstream_cx_destroy_local
        });
        if with_request {
            stats.inc(ClusterStat::upstream_cx_destroy_with_active_rq);
            stats.inc(if by_host {
                ClusterStat::upstream_cx_destroy_remote_with_active_rq
            } else {
                ClusterStat::upstream_cx_destroy_local_with_active_rq
            });
        }
        stats.record(ClusterStat::upstream_cx_length_ms, millis(self.created.elapsed()));
        stats.record(ClusterStat::upstream_rq_per_cx, self.requests.get());
        if self.protocol == Protocol::Http1 && self.is_worn() {
            stats.inc(ClusterStat::upstream_cx_max_requests);
        }
        self.host.counters.cx_active.fetch_sub(1, Relaxed);
        self.permit = None;
        super::room_was_made(&self.cluster);
    }
}

/// An HTTP/1 connection between requests.
#[derive(Debug)]
pub struct Http1Connection {
    /// The codec.
    pub codec: ClientConnection,
    /// The rest.
    pub meta: Meta,
}

/// An HTTP/2 connection. Its driver is a task of its own.
#[derive(Debug)]
pub struct Http2Connection {
    /// Opens streams.
    pub sender: Sender,
    /// The rest.
    pub meta: Meta,
    traffic: Rc<Traffic>,
    active: Cell<u32>,
    is_closing: Cell<bool>,
    idle_since: Cell<Instant>,
}

impl Http2Connection {
    /// A connection whose handshake is done.
    #[must_use]
    pub fn new(sender: Sender, meta: Meta, traffic: Rc<Traffic>) -> Rc<Self> {
        Rc::new(Self {
            sender,
            meta,
            traffic,
            active: Cell::new(0),
            is_closing: Cell::new(false),
            idle_since: Cell::new(clock::now()),
        })
    }

    /// True if another stream may be opened.
    #[must_use]
    pub fn has_room(&self, max_streams: u32) -> bool {
        if self.is_closing.get() || self.meta.is_worn() {
            return false;
        }
        self.active.get() < max_streams.min(self.sender.max_streams())
    }

    /// No further stream is opened on it.
    pub fn close(&self) {
        self.is_closing.set(true);
    }

    /// True if nothing is left for it to do.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.active.get() == 0 && (self.is_closing.get() || self.meta.is_worn())
    }

    /// Since when it has had no stream; `None` while it has.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        (self.active.get() == 0).then(|| self.idle_since.get())
    }
}

impl Drop for Http2Connection {
    fn drop(&mut self) {
        self.meta.count_traffic(self.traffic.take());
    }
}

/// One stream's place on an HTTP/2 connection.
#[derive(Debug)]
pub struct Http2Lease {
    /// The connection.
    pub connection: Rc<Http2Connection>,
    pool: Rc<HostPool>,
}

impl Http2Lease {
    pub(super) fn new(connection: Rc<Http2Connection>, pool: Rc<HostPool>) -> Self {
        connection.active.set(connection.active.get() + 1);
        connection.meta.count_request();
        Self { connection, pool }
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.meta.count_traffic(connection.traffic.take());
        connection.active.set(connection.active.get().saturating_sub(1));
        connection.idle_since.set(clock::now());
        self.pool.stream_ended(connection);
    }
}

/// What a request got from a pool.
#[derive(Debug)]
pub enum Leased {
    /// A whole connection.
    Http1(Box<Http1Connection>),
    /// A place on one.
    Http2(Http2Lease),
}

impl Leased {
    /// What the connection is besides its bytes.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Http1(connection) => &connection.meta,
            Self::Http2(lease) => &lease.connection.meta,
        }
    }
}
