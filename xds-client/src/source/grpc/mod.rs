//! xDS over gRPC: one stream to a management server, opened again whenever it ends.
//!
//! [`open`] makes three things, all for one thread: a [`Client`] that says what is wanted and judges what came, the [`Event`]s, and the task that does the
//! work. What the owner says in one go becomes one request per type, because the task runs only afterwards. Nothing is queued but events,
//! and while one delivery is not judged no further one is read: the owner's pace is the server's.
//!
//! Deliberately absent: TLS and names, which are the business of the function that connects; fail-over to a second server; logging.

mod call;
mod connect;
mod frames;
mod keepalive;
mod status;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};

pub use connect::{tcp, unix};
pub use keepalive::Keepalive;
pub use status::Status;

use crate::backoff::Backoff;
use crate::mux::{Delivery, Identity, Malformed, Mode, Mux, Receipt, Refusal, Subject};
use crate::resource::ResourceType;
use crate::update::Update;
use worker::Shared;

/// Events that may wait for the owner.
const EVENTS: usize = 16;

/// Which service of a management server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// All types on one stream. (envoy: service.discovery.v3.AggregatedDiscoveryService)
    Aggregated(Mode),
    /// Secrets, state of the world. (envoy: service.secret.v3.SecretDiscoveryService)
    Secrets,
}

impl Service {
    const fn mode(self) -> Mode {
        match self {
            Self::Aggregated(mode) => mode,
            Self::Secrets => Mode::Sotw,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Aggregated(Mode::Sotw) => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
            }
            Self::Aggregated(Mode::Delta) => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            }
            Self::Secrets => "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Aggregated(Mode::Sotw) => "StreamAggregatedResources",
            Self::Aggregated(Mode::Delta) => "DeltaAggregatedResources",
            Self::Secrets => "StreamSecrets",
        }
    }
}

/// How to speak with a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which service, and in which form.
    pub service: Service,
    /// Who asks.
    pub identity: Identity,
    /// The cluster of the server, as messages for people name it.
    pub cluster: String,
    /// The `:authority` of the request. (envoy: config.core.v3.GrpcService.EnvoyGrpc.authority, or the cluster's name)
    pub authority: String,
    /// The `:scheme` of the request is https.
    pub is_secure: bool,
    /// Further headers of the request. (envoy: config.core.v3.GrpcService.initial_metadata)
    pub metadata: Vec<(HeaderName, HeaderValue)>,
    /// For the connection to be made. (envoy: config.cluster.v3.Cluster.connect_timeout)
    pub connect_timeout: Duration,
    /// Between attempts.
    pub backoff: Backoff,
    /// How a server is found to be gone.
    pub keepalive: Option<Keepalive>,
    /// A response above this ends the stream.
    pub message_bytes_max: usize,
}

impl Config {
    /// What holds if nothing else is said: no metadata, responses of 64 MiB, Envoy's times.
    #[must_use]
    pub fn new(service: Service, cluster: &str, identity: Identity) -> Self {
        Self {
            service,
            identity,
            cluster: cluster.into(),
            authority: cluster.into(),
            is_secure: false,
            metadata: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            backoff: Backoff::default(),
            keepalive: Some(Keepalive::default()),
            message_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// What the owner is told.
#[derive(Debug)]
pub enum Event {
    /// There is a stream.
    Opened,
    /// A response: to be applied, and judged with [`Client::applied`]. No other is read before.
    Delivered(Delivery),
    /// A response of which nothing can be used. The server is told.
    Rejected {
        /// Its type.
        kind: ResourceType,
        /// Why.
        reason: Malformed,
    },
    /// A response of a type that is not known, or not asked for. It is ignored.
    Unknown {
        /// Its type.
        type_url: String,
    },
    /// Resources that the server has not repeated in time: to be removed.
    Expired(Update),
    /// The stream, or the attempt to open one, has ended; the next follows by itself.
    Closed {
        /// How.
        status: Status,
        /// The same in Envoy's words, for the log.
        text: String,
    },
}

/// Says what is wanted, and judges what came. See [`Mux`] for what each method means.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Rc<Shared>,
}

impl Client {
    /// See [`Mux::subscribe`].
    pub fn subscribe(&self, kind: ResourceType, subjects: &[Subject]) {
        self.tell(|mux| mux.subscribe(kind, subjects));
    }

    /// See [`Mux::unsubscribe`].
    pub fn unsubscribe(&self, kind: ResourceType, subjects: &[Subject]) {
        self.tell(|mux| mux.unsubscribe(kind, subjects));
    }

    /// See [`Mux::hold`].
    pub fn hold(&self, kind: ResourceType) {
        self.tell(|mux| mux.hold(kind));
    }

    /// See [`Mux::release`].
    pub fn release(&self, kind: ResourceType) {
        self.tell(|mux| mux.release(kind));
    }

    /// See [`Mux::on_applied`].
    pub fn applied(&self, receipt: Receipt, refusals: &[Refusal]) {
        self.tell(|mux| mux.on_applied(receipt, refusals));
    }

    /// See [`Mux::control_plane`].
    #[must_use]
    pub fn control_plane(&self) -> Arc<str> {
        self.shared.mux.borrow().control_plane().clone()
    }

    fn tell(&self, what: impl FnOnce(&mut Mux)) {
        what(&mut self.shared.mux.borrow_mut());
        self.shared.wishes.notify_one();
        self.shared.deadlines.notify_one();
    }
}

/// A stream to the server that `connect` leads to. The future does the work; it ends when the receiver is dropped.
pub fn open<C, S>(
    config: Config,
    connect: C,
) -> (Client, mpsc::Receiver<Event>, impl Future<Output = ()>)
where
    C: AsyncFn() -> io::Result<S>,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mux = Mux::new(config.service.mode(), config.identity.clone());
    let shared =
        Rc::new(Shared { mux: mux.into(), wishes: Notify::new(), deadlines: Notify::new() });
    let (sender, events) = mpsc::channel(EVENTS);
    let client = Client { shared: shared.clone() };
    let work = async move { worker::run(&shared, config, connect, sender).await };
    (client, events, work)
}
