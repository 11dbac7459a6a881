//! A connection's hold on its filter chain, for HTTP.
//!
//! The configuration may change while the connection lives. Before each request the connection looks at the snapshot: if its listener has a
//! successor for the chain, the request is served by that; if the chain is gone, the connection is told to leave.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_policy::head::Protocol;
use outrigger_policy::verdict::{CauseCode, ResponseFlag};
use tokio::time::{Instant, Sleep};

use super::connection::Connection;
use super::drain::{DrainState, DrainTicket, Phase};
use super::listener::{Direction, FilterChain, Listener, Terminal};
use crate::clock;
use crate::http::HttpConnectionManager;
use crate::telemetry::StreamInfo;
use crate::telemetry::metrics::{HttpStat, HttpStats};
use crate::worker;

/// See the module.
#[derive(Debug)]
pub struct HttpChain {
    listener: Arc<str>,
    is_inbound: bool,
    chain: RefCell<Arc<FilterChain>>,
    manager: RefCell<Arc<HttpConnectionManager>>,
    generation: Cell<u64>,
    /// The chain has no successor.
    is_orphan: Cell<bool>,
    drain: Arc<DrainState>,
    ticket: DrainTicket,
    started: Instant,
    /// Until the connection has lived for as long as it may; then until clients that were told have had time to leave.
    life: RefCell<Option<std::pin::Pin<Box<Sleep>>>>,
    /// It has lived for as long as it may.
    is_overdue: Cell<bool>,
    /// Nothing but a change of its listener makes it leave. (envoy: Listener.DrainType.MODIFY_ONLY)
    drains_on_changes_only: bool,
    traffic: Cell<(u64, u64)>,
    /// What was spoken, once it is known.
    protocol: Cell<Option<Protocol>>,
    /// The client did not speak it well.
    is_broken: Cell<bool>,
}

impl HttpChain {
    /// A connection that took `chain`; `None` if the chain is not for HTTP.
    #[must_use]
    pub fn new(
        listener: &Listener,
        chain: Arc<FilterChain>,
        drain: Arc<DrainState>,
    ) -> Option<Self> {
        let Terminal::Http(manager) = &chain.terminal else { return None };
        let manager = manager.clone();
        let life = manager.timeouts.max_connection_duration;
        Some(Self {
            listener: listener.name.clone(),
            is_inbound: listener.direction == Direction::Inbound,
            generation: Cell::new(worker::snapshot(|snapshot| snapshot.generation)),
            chain: RefCell::new(chain),
            manager: RefCell::new(manager),
            is_orphan: Cell::new(false),
            drain,
            ticket: DrainTicket::new(),
            started: Instant::now(),
            life: RefCell::new(life.map(|life| Box::pin(clock::sleep(life)))),
            is_overdue: Cell::new(false),
            drains_on_changes_only: listener.drains_on_changes_only,
            traffic: Cell::new((0, 0)),
            protocol: Cell::new(None),
            is_broken: Cell::new(false),
        })
    }

    /// The connection manager, as of the last request.
    #[must_use]
    pub fn manager(&self) -> Arc<HttpConnectionManager> {
        self.manager.borrow().clone()
    }

    /// Counters of the connection manager.
    #[must_use]
    pub fn stats(&self) -> HttpStats {
        self.manager.borrow().stats.clone()
    }

    /// The connection manager in force: for the next request.
    pub fn refresh(&self) -> Arc<HttpConnectionManager> {
        let generation = worker::snapshot(|snapshot| snapshot.generation);
        if generation != self.generation.replace(generation) {
            self.follow();
        }
        self.manager()
    }

    fn follow(&self) {
        let listener = worker::snapshot(|snapshot| snapshot.listener(&self.listener));
        let successor = listener.and_then(|l| l.successor(&self.chain.borrow()).cloned());
        match successor {
            Some(chain) if matches!(chain.terminal, Terminal::Http(_)) => {
                if let Terminal::Http(manager) = &chain.terminal {
                    self.manager.replace(manager.clone());
                }
                self.chain.replace(chain);
            }
            _ => self.is_orphan.set(true),
        }
    }

    fn phase(&self) -> Phase {
        let mut phase = self.drain.phase(self.is_inbound);
        if self.drains_on_changes_only && phase < Phase::Ending {
            phase = Phase::default();
        }
        if self.is_orphan.get() || self.is_overdue.get() {
            phase.max(Phase::Draining)
        } else {
            phase
        }
    }

    /// True if the client has to be told to leave.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() >= Phase::Draining
    }

    /// True if an HTTP/2 connection has to be told to leave now; wakes the task when that may have changed.
    pub fn is_draining_now(&self, cx: &mut Context<'_>) -> bool {
        while self.ticket.poll_changed(cx).is_ready() {
            self.refresh();
        }
        self.is_draining()
    }

    /// Ready when a connection without a request has to close: it has lived for as long as it may, or the drain is over.
    pub fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ticket.poll_changed(cx).is_ready() {
            self.refresh();
        }
        if self.phase() == Phase::Ending {
            return Poll::Ready(());
        }
        let life = &mut *self.life.borrow_mut();
        let Some(sleep) = life else { return Poll::Pending };
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if self.is_overdue.replace(true) {
            return Poll::Ready(());
        }
        self.stats().inc(HttpStat::downstream_cx_max_duration_reached);
        sleep.as_mut().reset(Instant::now() + self.manager().timeouts.drain);
        sleep.as_mut().poll(cx)
    }

    /// Counts bytes read and written, given as totals of the connection.
    pub fn count_traffic(&self, received: u64, sent: u64) {
        let (before_received, before_sent) = self.traffic.replace((received, sent));
        let manager = self.manager.borrow();
        let stats = &manager.stats;
        stats.add(HttpStat::downstream_cx_rx_bytes_total, received.saturating_sub(before_received));
        stats.add(HttpStat::downstream_cx_tx_bytes_total, sent.saturating_sub(before_sent));
    }

    /// Counts the connection until the guard is dropped.
    #[must_use]
    pub fn count_connection(&self, protocol: Protocol) -> ConnectionGuard {
        self.protocol.set(Some(protocol));
        ConnectionGuard::new(self.stats(), protocol, self.is_tls(), self.started)
    }

    /// Counts that the client has broken the protocol.
    pub fn count_protocol_error(&self) {
        self.is_broken.set(true);
        self.stats().inc(HttpStat::downstream_cx_protocol_error);
    }

    /// What the connection was as a whole, now that it has ended.
    #[must_use]
    pub fn told(&self, connection: Rc<Connection>) -> StreamInfo {
        let has_requests = connection.requests.get() > 0;
        let mut info = StreamInfo::new(connection, self.protocol.get().filter(|_| has_requests));
        (info.bytes_received, info.bytes_sent) = self.traffic.get();
        if self.is_broken.get() {
            info.fail(Some(ResponseFlag::DownstreamProtocolError), CauseCode::BadRequest);
        }
        info
    }

    fn is_tls(&self) -> bool {
        !matches!(self.chain.borrow().transport, super::listener::ServerTransport::Plain)
    }
}

/// A connection that counts: `http.<stat_prefix>.downstream_cx_*`.
#[derive(Debug)]
pub struct ConnectionGuard {
    stats: HttpStats,
    protocol: Protocol,
    is_tls: bool,
    started: Instant,
    ended: Cell<Ended>,
}

/// Who has ended a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// This proxy.
    #[default]
    ByUs,
    /// The client.
    ByClient,
    /// This proxy, in the middle of a request.
    ByUsWithRequest,
    /// The client, in the middle of a request.
    ByClientWithRequest,
}

impl ConnectionGuard {
    /// Says who has ended the connection; without a word it was this proxy.
    pub fn ended(&self, by: Ended) {
        self.ended.set(by);
    }

    fn new(stats: HttpStats, protocol: Protocol, is_tls: bool, started: Instant) -> Self {
        stats.inc(HttpStat::downstream_cx_total);
        stats.up(HttpStat::downstream_cx_active);
        if protocol == Protocol::Http2 {
            stats.inc(HttpStat::downstream_cx_http2_total);
            stats.up(HttpStat::downstream_cx_http2_active);
        } else {
            stats.inc(HttpStat::downstream_cx_http1_total);
            stats.up(HttpStat::downstream_cx_http1_active);
        }
        if is_tls {
            stats.inc(HttpStat::downstream_cx_ssl_total);
            stats.up(HttpStat::downstream_cx_ssl_active);
        }
        Self { stats, protocol, is_tls, started, ended: Cell::default() }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let stats = &self.stats;
        stats.down(HttpStat::downstream_cx_active);
        stats.inc(HttpStat::downstream_cx_destroy);
        stats.inc(match self.ended.get() {
            Ended::ByUs | Ended::ByUsWithRequest => HttpStat::downstream_cx_destroy_local,
            Ended::ByClient | Ended::ByClientWithRequest => HttpStat::downstream_cx_destroy_remote,
        });
        let with_request = match self.ended.get() {
            Ended::ByUs | Ended::ByClient => None,
            Ended::ByUsWithRequest => Some(HttpStat::downstream_cx_destroy_local_active_rq),
            Ended::ByClientWithRequest => Some(HttpStat::downstream_cx_destroy_remote_active_rq),
        };
        if let Some(stat) = with_request {
            stats.inc(HttpStat::downstream_cx_destroy_active_rq);
            stats.inc(stat);
        }
        stats.down(if self.protocol == Protocol::Http2 {
            HttpStat::downstream_cx_http2_active
        } else {
            HttpStat::downstream_cx_http1_active
        });
        if self.is_tls {
            stats.down(HttpStat::downstream_cx_ssl_active);
        }
        stats.record(HttpStat::downstream_cx_length_ms, millis(self.started.elapsed()));
    }
}

/// Whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
