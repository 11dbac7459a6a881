//! Accepts connections; what becomes of each is said in [`super::arrival`].
//!
//! The accept loop never ends on an error: it waits when descriptors run out and goes on. A connection goes to the worker with the least to do,
//! since the kernel's choice is uneven with few long connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrigger_policy::bulkhead::Permit;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::arrival::Arrival;
use super::drain::DrainState;
use super::listener::Listener;
use crate::telemetry::metrics::ListenerStat;
use crate::worker;

/// Time to wait when the process has no descriptor left.
const BREATH: Duration = Duration::from_millis(50);

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
pub(super) enum AcceptedSocket {
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
