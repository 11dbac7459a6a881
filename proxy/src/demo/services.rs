//! The services of the demonstration: HTTP servers in this process that count what reaches them, and misbehave when told to.
//!
//! They are the witnesses: whatever a proxy claims in its stats is compared with what they saw. They speak plain HTTP on loopback,
//! as an application behind its sidecar does.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Answer times of `/slow` and `/late`.
const SLOW: Duration = Duration::from_millis(800);
const LATE: Duration = Duration::from_secs(1);

/// How a replica behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It answers.
    Well,
    /// It answers every request with 503.
    Fails,
    /// It closes the connection instead of answering.
    HangsUp,
}

/// One instance of the service, and what it saw.
#[derive(Debug)]
pub(super) struct Replica {
    /// Its name, and the first part of it: the version.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// How it behaves from now on.
    pub(super) mood: Cell<Mood>,
    /// Requests that reached it.
    pub(super) seen: Cell<u64>,
    /// The most requests that were running at once.
    pub(super) peak: Cell<u32>,
    running: Cell<u32>,
}

impl Replica {
    async fn start(version: &'static str, name: &'static str) -> io::Result<Rc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let replica = Rc::new(Self {
            name,
            version,
            address: listener.local_addr()?,
            mood: Cell::new(Mood::Well),
            seen: Cell::new(0),
            peak: Cell::new(0),
            running: Cell::new(0),
        });
        tokio::task::spawn_local(accept(listener, replica.clone()));
        Ok(replica)
    }

    /// Answers one request; an error closes the connection.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        self.seen.set(self.seen.get() + 1);
        let _running = Running::enter(self);
        match request.uri().path() {
            "/slow" => tokio::time::sleep(SLOW).await,
            "/late" => tokio::time::sleep(LATE).await,
            _ => {}
        }
        let status = match self.mood.get() {
            Mood::Well => 200,
            Mood::Fails => 503,
            Mood::HangsUp => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        let caller = request.headers().get("x-forwarded-client-cert");
        let caller = caller
            .map_or_else(|| "nobody".into(), |value| String::from_utf8_lossy(value.as_bytes()));
        let text = format!("{} answers; the proxy says that {caller} calls\n", self.name);
        Response::builder()
            .status(status)
            .header("x-version", self.version)
            .body(Full::from(text))
            .map_err(io::Error::other)
    }
}

/// A request that is being answered, until the answer is there or the caller has gone.
struct Running<'a>(&'a Replica);

impl<'a> Running<'a> {
    fn enter(replica: &'a Replica) -> Self {
        let running = replica.running.get() + 1;
        replica.running.set(running);
        replica.peak.set(replica.peak.get().max(running));
        Self(replica)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get().saturating_sub(1));
    }
}

async fn accept(listener: TcpListener, replica: Rc<Replica>) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(serve(stream, replica.clone()))),
            // Out of descriptors, most likely: some will be free again.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, replica: Rc<Replica>) {
    let service = service_fn(move |request| {
        let replica = replica.clone();
        async move { replica.answer(request).await }
    });
    // An error is the end of the connection, which is all that there is to do about it.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The service `reviews` in both versions.
#[derive(Debug)]
pub(super) struct Services {
    /// Version 1: four replicas, of which the second can be told to misbehave.
    pub(super) v1: [Rc<Replica>; 4],
    /// Version 2.
    pub(super) v2: [Rc<Replica>; 1],
}

impl Services {
    /// Starts them on ports that the kernel chooses.
    pub(super) async fn start() -> io::Result<Self> {
        Ok(Self {
            v1: [
                Replica::start("v1", "v1-a").await?,
                Replica::start("v1", "v1-b").await?,
                Replica::start("v1", "v1-c").await?,
                Replica::start("v1", "v1-d").await?,
            ],
            v2: [Replica::start("v2", "v2-a").await?],
        })
    }

    /// The replica that gets into trouble.
    pub(super) const fn troubled(&self) -> &Rc<Replica> {
        let [_, troubled, _, _] = &self.v1;
        troubled
    }

    /// The only replica of version 2.
    pub(super) const fn only_v2(&self) -> &Rc<Replica> {
        let [only] = &self.v2;
        only
    }

    /// Requests that reached any of them.
    pub(super) fn seen(&self) -> u64 {
        self.v1.iter().chain(&self.v2).map(|replica| replica.seen.get()).sum()
    }
}
