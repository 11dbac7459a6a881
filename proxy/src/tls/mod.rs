//! TLS, both ways. The only module that knows rustls.
//!
//! Configurations are compiled once from certificates, roots and matchers and shared by `Arc`; each has session tickets of its own, so a
//! session never outlives the trust settings under which it was made. Whatever is missing or does not verify refuses the handshake.

mod certificate;
mod choice;
mod client;
pub mod der;
mod discovered;
mod info;
mod names;
mod parameters;
mod roots;
mod san;
mod server;
mod shown;
mod tickets;
mod verify;

#[cfg(test)]
mod tests;

pub use certificate::{Certificate, TlsError};
pub use client::{Alpn, ClientSpec, ClientTls, PeerName, Spoken};
pub use discovered::{Discovered, Secret, SecretCell, SecretCells, Side, Unavailable};
pub use info::{PeerCertificate, TlsInfo};
pub use parameters::{Parameters, Version, groups_named, suites_named};
pub use roots::Roots;
pub use san::{SanKind, SanMatcher};
pub use server::{ServerSpec, ServerTls};
pub use shown::{InUse, Shown};
pub use verify::{Validation, VerifyFailure, verify_failure};

/// The stream of a server.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;
/// The stream of a client.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// What one side of a connection is.
#[derive(Clone, Debug, Default)]
pub struct CommonSpec {
    /// Our certificates.
    pub certificates: Vec<Certificate>,
    /// How the peer's certificate is checked. Without it a client is asked for none, and a server's is accepted whatever it is, as in
    /// Envoy.
    pub validation: Option<Validation>,
    /// Protocols for ALPN, in our order.
    pub alpn: Vec<Vec<u8>>,
    /// Versions, cipher suites and key exchanges.
    pub parameters: Parameters,
}

impl CommonSpec {
    fn in_use(&self) -> InUse {
        let roots = self.validation.as_ref().and_then(|validation| validation.roots.clone());
        InUse { roots, certificates: self.certificates.clone() }
    }
}
