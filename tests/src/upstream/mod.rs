//! The recording upstreams of one side: servers that log what they got and answer by script.
//!
//! An HTTP upstream tells TLS, HTTP/2 with prior knowledge and HTTP/1 apart by the first bytes, so a
//! cluster of any kind can point at it. Two more ports speak plain TCP, and one accepts nothing.

mod echo;
mod http1;
mod http2;
pub mod record;
pub mod script;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::certs::Certs;
use crate::ports::free_port;
use crate::stream::Stream;
use crate::tls;
use record::{Recorder, Seen};

/// HTTP upstreams of a side: enough for three priorities with two localities.
const HTTP: [&str; 6] =
    ["UPSTREAM1", "UPSTREAM2", "UPSTREAM3", "UPSTREAM4", "UPSTREAM5", "UPSTREAM6"];
const TCP: [&str; 2] = ["TCP1", "TCP2"];

/// What a server needs to know to serve one connection.
#[derive(Clone, Debug)]
struct Peer {
    host: &'static str,
    connection: u64,
    tls: Option<String>,
    recorder: Arc<Recorder>,
}

impl Peer {
    fn seen(&self, protocol: &'static str) -> Seen {
        Seen {
            host: self.host.to_owned(),
            protocol,
            connection: self.connection,
            tls: self.tls.clone(),
            ..Seen::default()
        }
    }
}

#[derive(Debug)]
struct Shared {
    recorder: Arc<Recorder>,
    certs: Arc<Certs>,
    tls: Arc<ServerConfig>,
    connections: AtomicU64,
}

/// All of them; the servers end when this is dropped.
#[derive(Debug)]
pub struct Upstreams {
    pub recorder: Arc<Recorder>,
    /// Port by name, for substitution in a bootstrap and for reports.
    pub ports: BTreeMap<String, u16>,
    servers: Vec<JoinHandle<()>>,
}

impl Upstreams {
    /// Binds every port and the socket `dir/upstream.sock`, and starts to serve.
    ///
    /// # Errors
    /// When something cannot be bound.
    pub async fn start(certs: &Arc<Certs>, dir: &Path) -> Result<Self> {
        let recorder = Recorder::new();
        let shared = Arc::new(Shared {
            recorder: Arc::clone(&recorder),
            certs: Arc::clone(certs),
            tls: tls::upstream(certs)?,
            connections: AtomicU64::new(0),
        });
        let mut all = Self { recorder, ports: BTreeMap::new(), servers: Vec::new() };
        for host in HTTP.into_iter().chain(TCP) {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            all.ports.insert(host.to_owned(), listener.local_addr()?.port());
            all.servers.push(tokio::spawn(serve_tcp(listener, host, Arc::clone(&shared))));
        }
        let listener = UnixListener::bind(dir.join("upstream.sock"))?;
        all.servers.push(tokio::spawn(serve_unix(listener, shared)));
        // Nothing listens here for as long as the harness runs.
        all.ports.insert("REFUSED".to_owned(), free_port()?);
        Ok(all)
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

fn peer(host: &'static str, shared: &Shared) -> Peer {
    let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
    Peer { host, connection, tls: None, recorder: Arc::clone(&shared.recorder) }
}

async fn serve_tcp(listener: TcpListener, host: &'static str, shared: Arc<Shared>) {
    // Dropped, and with it every connection, when the server is aborted.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let peer = peer(host, &shared);
        if TCP.contains(&host) {
            connections.spawn(echo::serve(stream, peer));
        } else {
            connections.spawn(serve_http(stream, peer, Arc::clone(&shared)));
        }
    }
}

async fn serve_unix(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(http1::serve(stream, peer("UNIX", &shared)));
    }
}

async fn serve_http(stream: TcpStream, mut peer: Peer, shared: Arc<Shared>) {
    match first_bytes(&stream).await {
        Some([0x16, ..]) => {
            let Ok(stream) = TlsAcceptor::from(Arc::clone(&shared.tls)).accept(stream).await else {
                return;
            };
            let connection = stream.get_ref().1;
            let name = connection.server_name().unwrap_or("-");
            peer.tls = Some(format!("{} sni={name}", tls::describe(connection, &shared.certs)));
            if connection.alpn_protocol() == Some(b"h2") {
                http2::serve(stream, peer).await;
            } else {
                http1::serve(Box::new(stream) as Box<dyn Stream>, peer).await;
            }
        }
        Some([b'P', b'R', b'I']) => http2::serve(stream, peer).await,
        Some(_) => http1::serve(stream, peer).await,
        None => {}
    }
}

/// The first three bytes, left in the socket.
async fn first_bytes(stream: &TcpStream) -> Option<[u8; 3]> {
    let mut bytes = [0; 3];
    loop {
        match stream.peek(&mut bytes).await {
            Ok(3) => return Some(bytes),
            Ok(1..) => sleep(Duration::from_millis(1)).await,
            _ => return None,
        }
    }
}
