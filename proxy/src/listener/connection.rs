//! What is known of a downstream connection. Made when its filter chain is chosen; shared by all its streams.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::net::Address;
use crate::tls::TlsInfo;

/// A connection from a client.
#[derive(Debug)]
pub struct Connection {
    /// Unique in the process. (`%CONNECTION_ID%`)
    pub id: u64,
    /// When it was accepted.
    pub start: Instant,
    /// The client's address as the socket says. (`%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%`)
    pub direct_remote: Address,
    /// The client's address after listener filters. (`%DOWNSTREAM_REMOTE_ADDRESS%` of TCP)
    pub remote: Address,
    /// The address that the client meant: the socket's, or the one before an interception.
    pub local: Address,
    /// The address of the socket. (`%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%`)
    pub direct_local: Address,
    /// `local` is what the kernel told of a redirected connection: a cluster of original destinations connects there.
    pub is_restored: bool,
    /// When TLS was set up. (`%DOWNSTREAM_HANDSHAKE_DURATION%`)
    pub handshake_end: Option<Instant>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Name of the filter chain.
    pub filter_chain: Arc<str>,
    /// SNI that the client sent. (`%REQUESTED_SERVER_NAME%`)
    pub server_name: Option<Box<str>>,
    /// The encryption, if there is one.
    pub tls: Option<TlsInfo>,
    /// Requests that it has carried.
    pub requests: Cell<u64>,
}

impl Connection {
    /// Where the client was going before it was redirected here; `None` if nobody asked or nobody knows.
    #[must_use]
    pub fn original_destination(&self) -> Option<SocketAddr> {
        self.local.socket().filter(|_| self.is_restored)
    }
}
