//! Where a socket is: an IP address with port, or a path. (envoy: config.core.v3.Address)

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The address of a socket. Prints as Envoy does: `127.0.0.1:80`, `[::1]:80`, the path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address with port.
    Ip(SocketAddr),
    /// A Unix socket; empty for the unnamed end of one.
    Pipe(Arc<str>),
}

impl Address {
    /// The IP address without the port.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Pipe(_) => None,
        }
    }

    /// The port; `None` for a Unix socket.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => Some(address.port()),
            Self::Pipe(_) => None,
        }
    }

    /// The address and port of an IP socket.
    #[must_use]
    pub const fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Pipe(_) => None,
        }
    }

    /// The address of one end of a Unix socket.
    #[must_use]
    pub fn of_unix(address: &tokio::net::unix::SocketAddr) -> Self {
        let path = address.as_pathname().map(|p| p.to_string_lossy().into_owned());
        Self::Pipe(path.unwrap_or_default().into())
    }
}

impl From<SocketAddr> for Address {
    /// An IPv4 address in IPv6 clothes, as a dual-stack socket shows it, becomes plain IPv4.
    fn from(address: SocketAddr) -> Self {
        Self::Ip(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Pipe(path) => f.write_str(path),
        }
    }
}
