//! What is known about one stream: filled by every stage, read by access logs, metrics and causes.
//! (envoy: `StreamInfo::StreamInfo`)

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use outrigger_policy::head::{Headers, Protocol};
use outrigger_policy::verdict::{Cause, Flags, ResponseFlag};
use tokio::time::Instant;

use crate::clock;
use crate::listener::Connection;
use crate::net::Address;
use crate::peer::Peer;
use crate::upstream::{Cluster, Host, Metadata};

/// One stream: an HTTP exchange, or a TCP connection that is relayed.
#[derive(Debug)]
pub struct StreamInfo {
    /// The connection that it came by.
    pub connection: Rc<Connection>,
    /// The address that counts as the client's. (`%DOWNSTREAM_REMOTE_ADDRESS%`)
    pub remote: Address,
    /// When it began, by the wall clock.
    pub start_time: SystemTime,
    /// When it began.
    pub start: Instant,
    /// Version of HTTP; `None` for TCP.
    pub protocol: Option<Protocol>,
    /// Status sent to the client; 0 until there is one. (`%RESPONSE_CODE%`)
    pub response_code: u16,
    /// Why the response has this status. (`%RESPONSE_CODE_DETAILS%`)
    pub details: Cow<'static, str>,
    /// Why the connection was ended. (`%CONNECTION_TERMINATION_DETAILS%`)
    pub termination_details: Cow<'static, str>,
    /// Response flags.
    pub flags: Flags,
    /// Why it failed, in our words.
    pub cause: Option<Cause>,
    /// Body bytes from the client. (`%BYTES_RECEIVED%`)
    pub bytes_received: u64,
    /// Body bytes to the client. (`%BYTES_SENT%`)
    pub bytes_sent: u64,
    /// The route's name. (`%ROUTE_NAME%`)
    pub route_name: Arc<str>,
    /// What the control plane says of the route. (`%METADATA(ROUTE:X)%`)
    pub route_metadata: Option<Arc<Metadata>>,
    /// The virtual host's name.
    pub virtual_host: Option<Arc<str>>,
    /// The cluster that was chosen, whether or not it exists. (`%UPSTREAM_CLUSTER_RAW%`)
    pub cluster_name: Option<Arc<str>>,
    /// The upstream's side of the story.
    pub upstream: Rc<RefCell<UpstreamInfo>>,
    /// Moments of the stream.
    pub timing: Timing,
    /// Trailers sent to the client. (`%TRAILER(X)%`)
    pub response_trailers: Option<Headers>,
    /// An id of a stream that no header names, made when it is first asked for. (`%STREAM_ID%`)
    pub stream_id: OnceCell<Box<[u8]>>,
    /// Dynamic metadata: (filter, key, value).
    pub metadata: Vec<(&'static str, Arc<str>, Arc<str>)>,
    /// What the client's proxy says of itself.
    pub downstream_peer: Told,
    /// Bytes of the request as they came, with heads and framing.
    pub wire_received: u64,
    /// Bytes of the response as they went.
    pub wire_sent: u64,
    /// Messages of a gRPC call, if somebody counts them.
    pub grpc_messages: Option<Rc<GrpcMessages>>,
}

/// What the proxy at the other end has said of itself.
#[derive(Clone, Debug, Default)]
pub enum Told {
    /// Nothing yet.
    #[default]
    NotYet,
    /// Nothing, and it never will.
    Nothing,
    /// This.
    Peer(Rc<Peer>),
}

impl Told {
    /// The peer, if it has said who it is.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Peer(peer) => Some(peer),
            Self::NotYet | Self::Nothing => None,
        }
    }

    /// True if nothing more will be said.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        !matches!(self, Self::NotYet)
    }
}

/// Messages of a gRPC call so far.
#[derive(Debug, Default)]
pub struct GrpcMessages {
    /// From the client.
    pub requests: Cell<u64>,
    /// From the upstream.
    pub responses: Cell<u64>,
}

/// What a handshake with an upstream has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The first URI in its certificate; empty if there is none.
    pub peer_uri: Box<str>,
    /// The first URI in ours.
    pub local_uri: Box<str>,
    /// The protocol that ALPN chose.
    pub alpn: Option<Box<str>>,
}

/// The upstream's side, filled by attempts while the exchange waits for them.
#[derive(Debug, Default)]
pub struct UpstreamInfo {
    /// The cluster of the last attempt.
    pub cluster: Option<Arc<Cluster>>,
    /// The host of the last attempt. (`%UPSTREAM_HOST%`)
    pub host: Option<Arc<Host>>,
    /// Our end of its connection. (`%UPSTREAM_LOCAL_ADDRESS%`)
    pub local_address: Option<Address>,
    /// What the transport said when it failed. (`%UPSTREAM_TRANSPORT_FAILURE_REASON%`)
    pub transport_failure: Cow<'static, str>,
    /// Version of HTTP spoken to it.
    pub protocol: Option<Protocol>,
    /// Attempts made. (`%UPSTREAM_REQUEST_ATTEMPT_COUNT%`)
    pub attempts: u32,
    /// First byte of the request sent.
    pub first_tx: Option<Instant>,
    /// Last byte of the request sent.
    pub last_tx: Option<Instant>,
    /// First byte of the response received.
    pub first_rx: Option<Instant>,
    /// Last byte of the response received.
    pub last_rx: Option<Instant>,
    /// What its proxy says of itself.
    pub peer: Told,
    /// What the handshake with it has told.
    pub tls: Option<Rc<UpstreamTls>>,
}

/// Moments of a stream, as far as they were reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// The request was complete.
    pub request_end: Option<Instant>,
    /// The response's head was handed to the client's connection.
    pub response_start: Option<Instant>,
    /// The stream ended.
    pub end: Option<Instant>,
}

impl StreamInfo {
    /// A stream that begins now.
    #[must_use]
    pub fn new(connection: Rc<Connection>, protocol: Option<Protocol>) -> Self {
        Self {
            remote: connection.remote.clone(),
            connection,
            start_time: clock::wall(),
            start: clock::now(),
            protocol,
            response_code: 0,
            details: Cow::Borrowed(""),
            termination_details: Cow::Borrowed(""),
            flags: Flags::default(),
            cause: None,
            bytes_received: 0,
            bytes_sent: 0,
            route_name: Arc::default(),
            route_metadata: None,
            virtual_host: None,
            cluster_name: None,
            upstream: Rc::default(),
            timing: Timing::default(),
            response_trailers: None,
            stream_id: OnceCell::new(),
            metadata: Vec::new(),
            downstream_peer: Told::default(),
            wire_received: 0,
            wire_sent: 0,
            grpc_messages: None,
        }
    }

    /// Notes a finding of a filter; a later one under the same key replaces it.
    pub fn set_metadata(&mut self, filter: &'static str, key: &Arc<str>, value: Arc<str>) {
        let is_same = |(f, k, _): &&mut (&str, Arc<str>, _)| *f == filter && k == key;
        match self.metadata.iter_mut().find(is_same) {
            Some((_, _, held)) => *held = value,
            None => self.metadata.push((filter, key.clone(), value)),
        }
    }

    /// Records why the stream failed. The first cause stays: what follows is its consequence.
    pub fn fail(&mut self, flag: Option<ResponseFlag>, cause: impl Into<Cause>) {
        if let Some(flag) = flag {
            self.flags.insert(flag);
        }
        self.cause.get_or_insert_with(|| cause.into());
    }
}
