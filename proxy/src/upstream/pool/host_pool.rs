//! The connections of one worker to one host in one protocol, and the requests that wait for one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::bulkhead::Permit;
use outrigger_policy::verdict::CauseCode;
use tokio::time::Instant;

use super::Protocol;
use super::checkout::Waiter;
use super::connection::{Ended, Http1Connection, Http2Connection, Http2Lease, Leased, Meta};
use crate::clock;
use crate::failure::{Failure, FailureKind};
use crate::http::codec::http1::ClientConnection;
use crate::http::codec::http2::{
    BlockLimits, Config, Connection as Codec, Driver, Over, Role, Sender,
};
use crate::net::Traffic;
use crate::telemetry::metrics::ClusterStat;
use crate::tls::{Alpn, Spoken};
use crate::upstream::cluster::Cluster;
use crate::upstream::connect::{Connected, connect};
use crate::upstream::host::Host;
use crate::worker;

/// See the module.
#[derive(Debug)]
pub struct HostPool {
    cluster: Arc<Cluster>,
    host: Arc<Host>,
    protocol: Protocol,
    /// The server name that requests bring, in a cluster that wants it.
    requested: Option<Arc<str>>,
    /// What is offered in TLS in place of what the cluster says.
    alpn: Option<Arc<Alpn>>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Idle HTTP/1 connections, the last used at the end: it is the warmest.
    idle: Vec<(Box<Http1Connection>, Instant)>,
    /// HTTP/2 connections, with streams or without.
    shared: Vec<Rc<Http2Connection>>,
    waiting: VecDeque<Rc<Waiter>>,
    connecting: usize,
}

impl HostPool {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        host: Arc<Host>,
        protocol: Protocol,
        requested: Option<Arc<str>>,
        alpn: Option<Arc<Alpn>>,
    ) -> Rc<Self> {
        Rc::new(Self { cluster, host, protocol, requested, alpn, state: RefCell::default() })
    }

    /// The cluster.
    #[must_use]
    pub const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// A connection that is ready, if there is one.
    pub(super) fn take_ready(self: &Rc<Self>, cx: &mut Context<'_>) -> Option<Leased> {
        match self.protocol {
            Protocol::Http1 => self.take_idle(cx).map(Leased::Http1),
            Protocol::Http2 => self.take_shared().map(Leased::Http2),
        }
    }

    fn take_idle(&self, cx: &mut Context<'_>) -> Option<Box<Http1Connection>> {
        loop {
            // Taken out before it is dropped: closing a connection looks at this pool again.
            let (mut connection, _) = self.state.borrow_mut().idle.pop()?;
            if !connection.meta.is_worn() && !connection.codec.poll_is_stale(cx) {
                connection.meta.count_request();
                return Some(connection);
            }
        }
    }

    fn take_shared(self: &Rc<Self>) -> Option<Http2Lease> {
        let max = self.cluster.settings.http.max_concurrent_streams;
        let state = self.state.borrow();
        let found = state.shared.iter().find(|connection| connection.has_room(max))?;
        Some(Http2Lease::new(found.clone(), self.clone()))
    }

    /// Puts a request at the end of the queue.
    pub(super) fn enqueue(self: &Rc<Self>, waiter: Rc<Waiter>) {
        self.state.borrow_mut().waiting.push_back(waiter);
        self.grow();
    }

    /// Takes a request out of the queue.
    pub(super) fn dequeue(&self, waiter: &Rc<Waiter>) {
        self.state.borrow_mut().waiting.retain(|other| !Rc::ptr_eq(other, waiter));
    }

    /// Starts connections for requests that wait, as far as the limit allows.
    pub fn grow(self: &Rc<Self>) {
        loop {
            let wanted = {
                let state = self.state.borrow();
                let per_connection = match self.protocol {
                    Protocol::Http1 => 1,
                    Protocol::Http2 => {
                        self.cluster.settings.http.max_concurrent_streams.max(1) as usize
                    }
                };
                state.waiting.len().div_ceil(per_connection) > state.connecting
            };
            if !wanted {
                return;
            }
            let Some(permit) = self.connection_permit() else { return };
            self.start_connection(permit);
        }
    }

    fn connection_permit(&self) -> Option<Permit> {
        let limit = self.cluster.breakers.of(RoutingPriority::Default).connections();
        if let Some(permit) = limit.try_acquire() {
            return Some(permit);
        }
        self.cluster.counters.stats.inc(ClusterStat::upstream_cx_overflow);
        if super::make_room(&self.cluster) { limit.try_acquire() } else { None }
    }

    fn start_connection(self: &Rc<Self>, permit: Permit) {
        self.state.borrow_mut().connecting += 1;
        self.cluster.counters.stats.inc(ClusterStat::upstream_cx_total);
        self.host.counters.cx_total.fetch_add(1, Relaxed);
        let pool = self.clone();
        worker::spawn("upstream connection", async move {
            let started = clock::now();
            let connecting = Connecting { pool: pool.clone() };
            let spoken = match pool.protocol {
                Protocol::Http1 => Spoken::Http1,
                Protocol::Http2 => Spoken::Http2,
            };
            let requested = pool.requested.as_deref();
            let alpn = pool.alpn.as_deref();
            let result = connect(&pool.cluster, &pool.host, requested, Some(spoken), alpn).await;
            drop(connecting);
            match result {
                Ok(connected) => pool.connected(connected, permit, started).await,
                Err(failure) => {
                    drop(permit);
                    pool.connect_failed(failure);
                }
            }
        });
    }

    async fn connected(self: Rc<Self>, connected: Connected, permit: Permit, started: Instant) {
        let (cluster, host) = (self.cluster.clone(), self.host.clone());
        let tls = connected.tls;
        let meta = Meta::new(cluster, host, connected.local, tls, permit, self.protocol, started);
        match self.protocol {
            Protocol::Http1 => {
                let codec = ClientConnection::new(connected.io);
                self.offer(Box::new(Http1Connection { codec, meta }));
            }
            Protocol::Http2 => {
                let http = &self.cluster.settings.http;
                let traffic = Rc::new(Traffic::default());
                let config = Config {
                    concurrent_streams: 0,
                    stream_window: http.stream_window,
                    connection_window: http.connection_window,
                    block: BlockLimits {
                        bytes: http.max_response_head_bytes,
                        lines: http.max_response_headers,
                    },
                    is_tls: false,
                    stats: Some(self.cluster.counters.http2().clone()),
                };
                let codec = Codec::new(Role::Client, config);
                let mut driver = Driver::new(connected.io, codec.clone(), traffic.clone());
                let connection = Http2Connection::new(Sender::new(codec.clone()), meta, traffic);
                self.state.borrow_mut().shared.push(connection.clone());
                self.serve_waiting();
                // The driver must not keep alive what it drives.
                let connection_ref = Rc::downgrade(&connection);
                drop(connection);
                // Ends with the connection, whoever ends it.
                let over = poll_fn(|cx| driver.poll(cx)).await;
                if let Some(connection) = connection_ref.upgrade() {
                    connection.close();
                    connection.meta.ended(Ended {
                        by_host: over == Over::Closed,
                        with_request: connection.idle_since().is_none(),
                    });
                    self.remove_shared(&connection);
                }
                self.grow();
                driver.close(over).await;
            }
        }
    }

    /// Every request that waits learns of the failure and decides for itself what to do, as in Envoy.
    fn connect_failed(&self, failure: Failure) {
        self.cluster.counters.stats.inc(ClusterStat::upstream_cx_connect_fail);
        self.host.counters.cx_connect_fail.fetch_add(1, Relaxed);
        let waiting = std::mem::take(&mut self.state.borrow_mut().waiting);
        let stats = &self.cluster.counters.stats;
        for waiter in waiting {
            stats.inc(ClusterStat::upstream_rq_pending_failure_eject);
            waiter.resolve(Err(failure.clone()));
        }
    }

    /// Gives an HTTP/1 connection to the next request, or lets it rest.
    pub fn offer(&self, connection: Box<Http1Connection>) {
        let waiter = self.state.borrow_mut().waiting.pop_front();
        match waiter {
            Some(waiter) => {
                connection.meta.count_request();
                waiter.resolve(Ok(Leased::Http1(connection)));
            }
            None if self.host.is_retired() || self.cluster.is_starving() => drop(connection),
            None => self.state.borrow_mut().idle.push((connection, clock::now())),
        }
    }

    /// Takes an HTTP/1 connection back after a request.
    pub fn give_back(self: &Rc<Self>, mut connection: Box<Http1Connection>, is_clean: bool) {
        connection.meta.count_traffic(connection.codec.take_traffic());
        if is_clean && !connection.meta.is_worn() {
            self.offer(connection);
        } else {
            drop(connection);
            self.grow();
        }
    }

    /// Lets waiting requests onto HTTP/2 connections.
    fn serve_waiting(self: &Rc<Self>) {
        while !self.state.borrow().waiting.is_empty() {
            let Some(lease) = self.take_shared() else { break };
            let waiter = self.state.borrow_mut().waiting.pop_front();
            match waiter {
                Some(waiter) => waiter.resolve(Ok(Leased::Http2(lease))),
                None => return,
            }
        }
        self.grow();
    }

    pub(super) fn stream_ended(self: &Rc<Self>, connection: &Rc<Http2Connection>) {
        if connection.is_spent() || (self.host.is_retired() && connection.idle_since().is_some()) {
            self.remove_shared(connection);
        }
        self.serve_waiting();
    }

    fn remove_shared(&self, connection: &Rc<Http2Connection>) {
        let removed: Vec<_> = {
            let shared = &mut self.state.borrow_mut().shared;
            shared.extract_if(.., |other| Rc::ptr_eq(other, connection)).collect()
        };
        drop(removed);
    }

    pub(super) fn close_one_idle(&self) -> bool {
        let oldest = {
            let mut state = self.state.borrow_mut();
            (!state.idle.is_empty()).then(|| state.idle.remove(0))
        };
        if oldest.is_some() {
            return true;
        }
        let shared = self.state.borrow().shared.iter().find(|c| c.idle_since().is_some()).cloned();
        shared.is_some_and(|connection| {
            connection.close();
            self.remove_shared(&connection);
            true
        })
    }

    pub(super) fn sweep(&self, cx: &mut Context<'_>) {
        let now = clock::now();
        let timeout = self.cluster.settings.http.idle_timeout;
        let is_over = |since: Instant| timeout.is_some_and(|timeout| now - since >= timeout);
        let is_retired = self.host.is_retired() || self.cluster.is_retired();
        let (closed, shared): (Vec<_>, Vec<_>) = {
            let state = &mut *self.state.borrow_mut();
            let closed = state.idle.extract_if(.., |(connection, since)| {
                let timed_out = is_over(*since);
                if timed_out {
                    self.cluster.counters.stats.inc(ClusterStat::upstream_cx_idle_timeout);
                }
                is_retired || timed_out || connection.codec.poll_is_stale(cx)
            });
            let closed = closed.collect();
            let shared = state.shared.extract_if(.., |connection| {
                connection.is_spent()
                    || connection.idle_since().is_some_and(|since| is_retired || is_over(since))
            });
            (closed, shared.collect())
        };
        // Dropped only now that nothing is borrowed: closing looks at pools.
        drop(closed);
        drop(shared);
    }

    /// True if the pool has nothing to do and nothing to come.
    pub(super) fn is_done(&self) -> bool {
        let state = self.state.borrow();
        let is_empty = state.idle.is_empty()
            && state.shared.is_empty()
            && state.waiting.is_empty()
            && state.connecting == 0;
        // Clients choose what names they bring: an empty pool of a name is not kept for the next one.
        let is_retired = self.host.is_retired() || self.cluster.is_retired();
        is_empty && (is_retired || self.requested.is_some())
    }

    /// The failure of a request that a full breaker refuses. Requests that run are counted apart from those that wait for a connection.
    pub(super) fn overflow(&self, code: CauseCode) -> Failure {
        use outrigger_policy::verdict::Cause;
        let counter = match code {
            CauseCode::MaxRequests => ClusterStat::upstream_rq_active_overflow,
            _ => ClusterStat::upstream_rq_pending_overflow,
        };
        self.cluster.counters.stats.inc(counter);
        Failure::new(FailureKind::Overflow, Cause::about(code, &self.cluster.name)).unsent()
    }
}

/// Counts a connection that is being made, even if its task ends early.
struct Connecting {
    pool: Rc<HostPool>,
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let mut state = self.pool.state.borrow_mut();
        state.connecting = state.connecting.saturating_sub(1);
    }
}
