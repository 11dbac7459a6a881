//! A connection on its way from the socket to its end: listener filters, filter chain, TLS, and what serves it; at last the log of the listener.
//!
//! [`super::accept`] calls [`Arrival::serve`] with every accepted socket. The log tells of each of them, however far it came.
//! (envoy: config.listener.v3.Listener.access_log)

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outrigger_policy::verdict::{CauseCode, ResponseFlag};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::accept::AcceptedSocket;
use super::connection::Connection;
use super::drain::DrainState;
use super::filter_chain::Facts;
use super::http_chain::HttpChain;
use super::inspect::Found;
use super::listener::{FilterChain, Listener, Restore, ServerTransport, Terminal};
use super::network;
use super::original_dst::original_destination;
use super::predicate::Predicate;
use crate::http::serve as http;
use crate::net::{Address, Io, Stream};
use crate::telemetry::StreamInfo;
use crate::telemetry::access_log::Record;
use crate::telemetry::metrics::{ListenerStat, TlsFactoryStat, TlsStat};
use crate::tls::TlsInfo;
use crate::worker;

/// A handshake that has no timeout of its own ends after this: nobody needs that long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection before its filter chain is known.
pub(super) struct Arrival {
    stream: Stream,
    way: Way,
}

/// Whence and whither.
struct Way {
    started: Instant,
    /// Where the client was going.
    local: Address,
    /// Where it arrived.
    direct_local: Address,
    is_restored: bool,
    remote: Address,
}

impl Way {
    /// What is known of it.
    fn connection(
        self,
        listener: &Listener,
        chain: Option<&FilterChain>,
        found: Found,
        tls: Option<TlsInfo>,
    ) -> Rc<Connection> {
        Rc::new(Connection {
            id: next_id(),
            start: self.started,
            direct_remote: self.remote.clone(),
            remote: self.remote,
            direct_local: self.direct_local,
            local: self.local,
            is_restored: self.is_restored,
            handshake_end: tls.is_some().then(Instant::now),
            listener: listener.name.clone(),
            filter_chain: chain.map(|chain| chain.name.clone()).unwrap_or_default(),
            server_name: found.server_name.map(Into::into),
            tls,
            requests: Cell::new(0),
        })
    }
}

impl Arrival {
    pub(super) fn new(socket: AcceptedSocket) -> std::io::Result<Self> {
        match socket {
            AcceptedSocket::Tcp(stream, peer) => {
                let _ = stream.set_nodelay(true);
                let stream = TcpStream::from_std(stream)?;
                let local = stream.local_addr()?.into();
                Ok(Self::at(stream.into(), local, peer.into()))
            }
            AcceptedSocket::Unix(stream) => {
                let stream = UnixStream::from_std(stream)?;
                let local = Address::of_unix(&stream.local_addr()?);
                let remote = Address::of_unix(&stream.peer_addr()?);
                Ok(Self::at(stream.into(), local, remote))
            }
        }
    }

    fn at(stream: Stream, local: Address, remote: Address) -> Self {
        let direct_local = local.clone();
        let started = Instant::now();
        Self { stream, way: Way { started, local, direct_local, is_restored: false, remote } }
    }

    /// Asks the kernel where the connection was going.
    fn restore(&mut self, unless: Option<&Predicate>) {
        if unless.is_some_and(|predicate| predicate.holds(self.way.local.port())) {
            return;
        }
        if let Some(destination) = original_destination(&self.stream) {
            self.way.local = destination;
            self.way.is_restored = true;
        }
    }

    /// Lets the listener filters look, here and at the listener of the true destination, which is returned if there is one; `None` if the
    /// connection has to end.
    async fn arrive(
        &mut self,
        listener: Arc<Listener>,
        found: &mut Found,
    ) -> Option<Arc<Listener>> {
        if !self.filter(&listener, found).await {
            return None;
        }
        if !listener.hands_over || !self.way.is_restored {
            return Some(listener);
        }
        let destination = self.way.local.socket()?;
        let other = worker::snapshot(|snapshot| snapshot.listener_at(destination));
        let Some(other) = other.filter(|other| !Arc::ptr_eq(other, &listener)) else {
            return Some(listener);
        };
        // A connection is handed over once: the other listener's own `use_original_dst` does not count.
        *found = Found::default();
        self.filter(&other, found).await.then_some(other)
    }

    /// False if the connection has to end.
    async fn filter(&mut self, listener: &Listener, found: &mut Found) -> bool {
        if let Restore::First(unless) = &listener.restores {
            self.restore(unless.as_ref());
        }
        if !self.inspect(listener, found).await {
            return false;
        }
        if let Restore::Last(unless) = &listener.restores {
            self.restore(unless.as_ref());
        }
        true
    }

    /// Serves it to its end.
    pub(super) async fn serve(mut self, listener: Arc<Listener>, drain: Arc<DrainState>) {
        let mut found = Found::default();
        let arrived = self.arrive(listener.clone(), &mut found).await;
        let Self { stream, way } = self;
        let Some(listener) = arrived else {
            log(&listener, || StreamInfo::new(way.connection(&listener, None, found, None), None));
            return;
        };
        let _guard = Counted::new(&listener, way.started);
        let facts = Facts {
            destination: way.local.socket(),
            server_name: found.server_name.as_deref().unwrap_or_default(),
            transport_protocol: match found.transport_protocol {
                "" => "raw_buffer",
                told => told,
            },
            application_protocols: &found.application_protocols,
            direct_source: way.remote.ip(),
            source: way.remote.socket(),
        };
        let Some(chain) = listener.chain(&facts).cloned() else {
            listener.stats.inc(ListenerStat::no_filter_chain_match);
            log(&listener, || {
                let mut info = StreamInfo::new(way.connection(&listener, None, found, None), None);
                info.details = "filter_chain_not_found".into();
                info.fail(Some(ResponseFlag::NoRouteFound), CauseCode::Refused);
                info
            });
            return;
        };
        let Some((io, tls)) = secure(stream, &chain, &listener).await else {
            log(&listener, || {
                StreamInfo::new(way.connection(&listener, Some(&chain), found, None), None)
            });
            return;
        };
        let connection = way.connection(&listener, Some(&chain), found, tls);
        run(io, connection, &listener, &chain, drain).await;
    }

    /// False if the connection has to end.
    async fn inspect(&mut self, listener: &Listener, found: &mut Found) -> bool {
        let port = self.way.local.port();
        if listener.inspectors.is_blind(port) {
            return true;
        }
        let look = listener.inspectors.look(&mut self.stream, port, found);
        let outcome = match listener.inspect_timeout {
            Some(timeout) => tokio::time::timeout(timeout, look).await,
            None => Ok(look.await),
        };
        match outcome {
            Ok(Ok(())) => true,
            Ok(Err(_)) => false,
            Err(_) => {
                listener.stats.inc(ListenerStat::downstream_pre_cx_timeout);
                listener.continue_on_timeout
            }
        }
    }
}

/// Serves a connection as its chain says.
async fn run(
    io: Io,
    connection: Rc<Connection>,
    listener: &Listener,
    chain: &Arc<FilterChain>,
    drain: Arc<DrainState>,
) {
    if let Err(details) = network::authorize(chain, &connection) {
        let told = match &chain.terminal {
            Terminal::Tcp(proxy) => network::tcp_proxy::denied(connection, proxy, details),
            Terminal::Http(_) | Terminal::Direct(_) => {
                let mut info = StreamInfo::new(connection, None);
                info.termination_details = details.into();
                info
            }
        };
        log(listener, || told);
        return;
    }
    match &chain.terminal {
        Terminal::Http(_) => {
            let Some(http_chain) = HttpChain::new(listener, chain.clone(), drain) else { return };
            http::serve(io, connection.clone(), &http_chain).await;
            log(listener, || http_chain.told(connection));
        }
        Terminal::Tcp(proxy) => {
            let told = network::tcp_proxy::serve(io, connection, proxy.clone()).await;
            log(listener, || told);
        }
        Terminal::Direct(response) => {
            let sent = network::direct_response::serve(io, response.clone()).await;
            log(listener, || {
                let mut info = StreamInfo::new(connection, None);
                info.details = "direct_response".into();
                info.bytes_sent = sent;
                info
            });
        }
    }
}

/// Writes what the listener's log says of a connection that has ended; nothing is asked for if it says nothing.
fn log(listener: &Listener, told: impl FnOnce() -> StreamInfo) {
    if listener.access_log.is_empty() {
        return;
    }
    let mut info = told();
    info.timing.end.get_or_insert_with(Instant::now);
    listener.access_log.write(&Record::of_listener(&info));
}

/// Performs the handshake that the chain asks for; `None` if it failed.
async fn secure(
    stream: Stream,
    chain: &FilterChain,
    listener: &Listener,
) -> Option<(Io, Option<TlsInfo>)> {
    let discovered;
    let tls = match &chain.transport {
        ServerTransport::Plain => return Some((Io::Plain(stream), None)),
        ServerTransport::Tls(tls) => &**tls,
        ServerTransport::Discovered(tls) => match tls.tls() {
            Ok(tls) => {
                discovered = tls;
                &*discovered
            }
            Err(error) => {
                tls.stats().inc(TlsFactoryStat::downstream_context_secrets_not_ready);
                listener.tls_stats.inc(TlsStat::connection_error);
                tracing::debug!(listener = %listener.name, %error, "no TLS handshake");
                return None;
            }
        },
    };
    let timeout = chain.handshake_timeout.unwrap_or(HANDSHAKE_TIMEOUT);
    match tokio::time::timeout(timeout, tls.accept(stream)).await {
        Ok(Ok((io, info))) => {
            listener.tls_stats.shaken(&info.settled);
            if info.peer.is_none() {
                listener.tls_stats.inc(TlsStat::no_certificate);
            }
            Some((io, Some(info)))
        }
        Ok(Err(error)) => {
            super::count_tls_failure(&listener.tls_stats, &error);
            tracing::debug!(listener = %listener.name, %error, "TLS handshake failed");
            None
        }
        Err(_) => {
            listener.stats.inc(ListenerStat::downstream_cx_transport_socket_connect_timeout);
            None
        }
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A connection that counts: `listener.<address>.downstream_cx_*`.
struct Counted {
    listener: Arc<Listener>,
    started: Instant,
}

impl Counted {
    fn new(listener: &Arc<Listener>, started: Instant) -> Self {
        listener.stats.inc(ListenerStat::downstream_cx_total);
        listener.stats.up(ListenerStat::downstream_cx_active);
        Self { listener: listener.clone(), started }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let stats = &self.listener.stats;
        stats.down(ListenerStat::downstream_cx_active);
        stats.inc(ListenerStat::downstream_cx_destroy);
        let lived = super::http_chain::millis(self.started.elapsed());
        stats.record(ListenerStat::downstream_cx_length_ms, lived);
    }
}
