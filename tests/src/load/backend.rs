//! A service that counts what it holds, and that can die.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::wire;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// See the module.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddrV4,
    delay: Duration,
    counts: Arc<Counts>,
    life: Option<Life>,
}

#[derive(Debug, Default)]
struct Counts {
    active: AtomicU64,
    most: AtomicU64,
    total: AtomicU64,
}

#[derive(Debug)]
struct Life {
    end: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Backend {
    /// A service on a port of its own, that answers after `delay`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(delay: Duration) -> Result<Self> {
        let mut backend = Self {
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            delay,
            counts: Arc::default(),
            life: None,
        };
        backend.revive()?;
        Ok(backend)
    }

    /// Where it is, or was.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// The most requests that it has ever held at once.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.counts.most.load(Ordering::SeqCst)
    }

    /// Requests that it has seen.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.total.load(Ordering::SeqCst)
    }

    /// Ends as a killed process does: its connections are gone in the middle of what they do, and nobody listens.
    pub async fn kill(&mut self) {
        if let Some(life) = self.life.take() {
            life.end.send_replace(true);
            drop(life.accepting.await);
        }
    }

    /// Comes back at the same address.
    ///
    /// # Errors
    /// When the address cannot be had again.
    pub fn revive(&mut self) -> Result<()> {
        if self.life.is_some() {
            return Ok(());
        }
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address.into()).with_context(|| self.address.to_string())?;
        let listener = socket.listen(4096)?;
        if let SocketAddr::V4(address) = listener.local_addr()? {
            self.address = address;
        }
        let (end, ended) = watch::channel(false);
        let service = Service { delay: self.delay, counts: self.counts.clone(), ended };
        self.life = Some(Life { end, accepting: tokio::spawn(service.accept(listener)) });
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Service {
    delay: Duration,
    counts: Arc<Counts>,
    ended: watch::Receiver<bool>,
}

impl Service {
    async fn accept(mut self, listener: TcpListener) {
        loop {
            let stream = tokio::select! {
                biased;
                _ = self.ended.wait_for(|ended| *ended) => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(_) => continue,
                },
            };
            let service = self.clone();
            let mut ended = self.ended.clone();
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    _ = ended.wait_for(|ended| *ended) => {}
                    _ = service.serve(stream) => {}
                }
            });
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut input = Vec::new();
        loop {
            let Some((head, rest)) = wire::head(&input) else {
                if stream.read_buf(&mut input).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            let framing = head.request_framing();
            let (body, rest) = wire::body(framing, rest);
            if !body.complete {
                if stream.read_buf(&mut input).await? == 0 {
                    return Ok(());
                }
                continue;
            }
            input = rest.to_vec();
            let _held = Held::new(&self.counts);
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            stream.write_all(ANSWER).await?;
        }
    }
}

/// A request that is held.
struct Held(Arc<Counts>);

impl Held {
    fn new(counts: &Arc<Counts>) -> Self {
        let active = counts.active.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(active, Ordering::SeqCst);
        counts.total.fetch_add(1, Ordering::SeqCst);
        Self(counts.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}
