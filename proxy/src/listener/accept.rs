//! Accepts connections, and leads each to its filter chain.
//!
//! The accept loop never ends on an error: it waits when descriptors run out and goes on. A connection goes to the worker with the least to do,
//! since the kernel's choice is uneven with few long connections.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outrigger_policy::bulkhead::Permit;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::Instant;

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

/// Time to wait when the process has no descriptor left.
const BREATH: Duration = Duration::from_millis(50);
/// A handshake that has no timeout of its own ends after this: nobody needs that long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// A socket that a worker accepts on.
#[derive(Debug)]
pub struct ListenTask {
    /// Name of the listener, whose current form is looked up for every connection.
    pub name: Arc<str>,
    /// The listener as it was when the socket was bound.
    pub listener: Arc<Listener>,
    /// The socket.
    pub socket: ListenSocket,
    /// Whose phase connections follow.
    pub drain: Arc<DrainState>,
    /// Connections of all listeners.
    pub global: Option<Arc<outrigger_policy::bulkhead::Bulkhead>>,
    /// True once nothing more is to be accepted.
    pub stopped: watch::Receiver<bool>,
}

/// A bound socket, not yet part of a runtime.
#[derive(Debug)]
pub enum ListenSocket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// Unix.
    Unix(std::os::unix::net::UnixListener),
}

/// A connection on its way to the worker that will serve it.
#[derive(Debug)]
pub struct Accepted {
    socket: AcceptedSocket,
    listener: Arc<Listener>,
    drain: Arc<DrainState>,
    permits: [Option<Permit>; 2],
}

#[derive(Debug)]
enum AcceptedSocket {
    Tcp(std::net::TcpStream, SocketAddr),
    Unix(std::os::unix::net::UnixStream),
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl ListenTask {
    /// Accepts until told to stop.
    pub async fn run(self) {
        let mut stopped = self.stopped.clone();
        let socket = match self.socket {
            ListenSocket::Tcp(ref socket) => {
                socket.try_clone().and_then(TcpListener::from_std).map(Socket::Tcp)
            }
            ListenSocket::Unix(ref socket) => {
                socket.try_clone().and_then(UnixListener::from_std).map(Socket::Unix)
            }
        };
        let Ok(socket) = socket else {
            tracing::error!(listener = %self.name, "the socket cannot be accepted on");
            return;
        };
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return self.admit_waiting(),
                accepted = accept(&socket) => accepted,
            };
            match accepted {
                Ok(socket) => self.admit(socket),
                Err(error) if is_exhaustion(&error) => {
                    tracing::warn!(listener = %self.name, %error, "cannot accept");
                    tokio::time::sleep(BREATH).await;
                }
                // The client left between its arrival and our look.
                Err(_) => {}
            }
        }
    }

    /// Takes in what the kernel has accepted already: closing the socket would reset it.
    fn admit_waiting(&self) {
        loop {
            let accepted = match &self.socket {
                ListenSocket::Tcp(socket) => socket
                    .accept()
                    .and_then(|(stream, peer)| {
                        stream.set_nonblocking(true).map(|()| (stream, peer))
                    })
                    .map(|(stream, peer)| AcceptedSocket::Tcp(stream, peer)),
                ListenSocket::Unix(socket) => socket
                    .accept()
                    .and_then(|(stream, _)| stream.set_nonblocking(true).map(|()| stream))
                    .map(AcceptedSocket::Unix),
            };
            match accepted {
                Ok(socket) => self.admit(socket),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }

    fn admit(&self, socket: AcceptedSocket) {
        let listener = worker::snapshot(|snapshot| snapshot.listener(&self.name))
            .unwrap_or_else(|| self.listener.clone());
        let stats = &listener.stats;
        let global = self.global.as_ref().filter(|_| !listener.ignores_global_limit);
        let mut permits = [None, None];
        let limits = [
            (listener.connection_limit.as_ref(), ListenerStat::downstream_cx_overflow),
            (global, ListenerStat::downstream_global_cx_overflow),
        ];
        for (place, (limit, stat)) in permits.iter_mut().zip(limits) {
            let Some(limit) = limit else { continue };
            *place = limit.try_acquire();
            if place.is_none() {
                stats.inc(stat);
                return;
            }
        }
        let mut accepted = Accepted { socket, listener, drain: self.drain.clone(), permits };
        if let Some(other) = worker::better_worker() {
            match worker::hand_over(other, accepted) {
                Ok(()) => return,
                Err(back) => accepted = back,
            }
        }
        serve(accepted);
    }
}

async fn accept(socket: &Socket) -> std::io::Result<AcceptedSocket> {
    match socket {
        Socket::Tcp(socket) => {
            let (stream, peer) = socket.accept().await?;
            Ok(AcceptedSocket::Tcp(stream.into_std()?, peer))
        }
        Socket::Unix(socket) => {
            let (stream, _) = socket.accept().await?;
            Ok(AcceptedSocket::Unix(stream.into_std()?))
        }
    }
}

fn is_exhaustion(error: &std::io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// Serves an accepted connection on this worker.
pub fn serve(accepted: Accepted) {
    let count = worker::count_connection();
    worker::spawn("connection", async move {
        let _count = count;
        let Accepted { socket, listener, drain, permits } = accepted;
        let _permits = permits;
        let Ok(arrival) = Arrival::new(socket) else { return };
        arrival.serve(listener, drain).await;
    });
}

/// A connection before its filter chain is known.
struct Arrival {
    stream: Stream,
    started: Instant,
    /// Where the client was going.
    local: Address,
    /// Where it arrived.
    direct_local: Address,
    is_restored: bool,
    remote: Address,
}

impl Arrival {
    fn new(socket: AcceptedSocket) -> std::io::Result<Self> {
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
        Self { stream, started, local, direct_local, is_restored: false, remote }
    }

    /// Asks the kernel where the connection was going.
    fn restore(&mut self, unless: Option<&Predicate>) {
        if unless.is_some_and(|predicate| predicate.holds(self.local.port())) {
            return;
        }
        if let Some(destination) = original_destination(&self.stream) {
            self.local = destination;
            self.is_restored = true;
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
        if !listener.hands_over || !self.is_restored {
            return Some(listener);
        }
        let destination = self.local.socket()?;
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

    async fn serve(mut self, listener: Arc<Listener>, drain: Arc<DrainState>) {
        let mut found = Found::default();
        let Some(listener) = self.arrive(listener, &mut found).await else { return };
        let guard = Counted::new(&listener, self.started);
        let facts = Facts {
            destination: self.local.socket(),
            server_name: found.server_name.as_deref().unwrap_or_default(),
            transport_protocol: match found.transport_protocol {
                "" => "raw_buffer",
                told => told,
            },
            application_protocols: &found.application_protocols,
            direct_source: self.remote.ip(),
            source: self.remote.socket(),
        };
        let Some(chain) = listener.chain(&facts).cloned() else {
            listener.stats.inc(ListenerStat::no_filter_chain_match);
            self.log_unmatched(&listener, found);
            return;
        };
        let Some((io, tls)) = secure(self.stream, &chain, &listener).await else { return };
        let connection = Rc::new(Connection {
            id: next_id(),
            start: guard.started,
            direct_remote: self.remote.clone(),
            remote: self.remote,
            direct_local: self.direct_local,
            local: self.local,
            is_restored: self.is_restored,
            handshake_end: tls.is_some().then(Instant::now),
            listener: listener.name.clone(),
            filter_chain: chain.name.clone(),
            server_name: found.server_name.map(Into::into),
            tls,
            requests: std::cell::Cell::new(0),
        });
        if let Err(details) = network::authorize(&chain, &connection) {
            if let Terminal::Tcp(proxy) = &chain.terminal {
                network::tcp_proxy::denied(connection, proxy, details);
            }
            return;
        }
        match &chain.terminal {
            Terminal::Http(_) => {
                if let Some(http_chain) = HttpChain::new(&listener, chain.clone(), drain) {
                    http::serve(io, connection, http_chain).await;
                }
            }
            Terminal::Tcp(proxy) => network::tcp_proxy::serve(io, connection, proxy.clone()).await,
            Terminal::Direct(response) => {
                network::direct_response::serve(io, connection, response.clone()).await;
            }
        }
    }

    /// False if the connection has to end.
    async fn inspect(&mut self, listener: &Listener, found: &mut Found) -> bool {
        let port = self.local.port();
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

    fn log_unmatched(self, listener: &Listener, found: Found) {
        use outrigger_policy::verdict::{CauseCode, ResponseFlag};
        let connection = Rc::new(Connection {
            id: next_id(),
            start: self.started,
            direct_remote: self.remote.clone(),
            remote: self.remote,
            direct_local: self.direct_local,
            local: self.local,
            is_restored: self.is_restored,
            handshake_end: None,
            listener: listener.name.clone(),
            filter_chain: Arc::default(),
            server_name: found.server_name.map(Into::into),
            tls: None,
            requests: std::cell::Cell::new(0),
        });
        let mut info = StreamInfo::new(connection, None);
        info.details = "filter_chain_not_found".into();
        info.fail(Some(ResponseFlag::NoRouteFound), CauseCode::Refused);
        listener.access_log.write(&Record::of_listener(&info));
    }
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
