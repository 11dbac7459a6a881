//! What authorization is told about a request or a connection.

use std::net::{IpAddr, SocketAddr};

use crate::head::RequestHead;

/// One HTTP request, or one TCP connection if `head` is `None`. Borrowed from whoever owns it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The head after normalisation: what is routed is what is authorized.
    pub head: Option<&'a RequestHead>,
    /// The connection's remote address, after the PROXY protocol and before `x-forwarded-for`.
    pub source: Option<IpAddr>,
    /// The physical peer.
    pub direct_remote: Option<IpAddr>,
    /// The client as `x-forwarded-for` and the PROXY protocol tell it.
    pub remote: Option<IpAddr>,
    /// The address that the client connected to, restored if the connection was redirected.
    pub destination: Option<SocketAddr>,
    /// The server name of the TLS handshake or of an inspected ClientHello, as the client sent it in
    /// lower case.
    pub sni: Option<&'a str>,
    /// The peer of a TLS connection: an empty identity if the peer showed no certificate, and `None` only
    /// without TLS.
    pub peer: Option<&'a PeerIdentity>,
}

/// The names in a peer's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// URI subject alternative names, in order.
    pub uri_sans: Box<[Box<str>]>,
    /// DNS subject alternative names, in order.
    pub dns_sans: Box<[Box<str>]>,
    /// The subject, most specific attribute first (RFC 2253): `CN=a,O=Org\, Inc`. Empty if there is none.
    pub subject: Box<str>,
}

impl PeerIdentity {
    /// Every name that a principal may be matched against: URI names, DNS names, then the subject.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.uri_sans.iter().chain(&self.dns_sans).map(|name| &**name).chain([&*self.subject])
    }
}
