//! TLS, both ways. The only module that knows rustls.
//!
//! Configurations are compiled once from certificates, roots and matchers and shared by `Arc`; each has session tickets of its own, so a
//! session never outlives the trust settings under which it was made. Whatever is missing or does not verify refuses the handshake.

mod certificate;
mod client;
mod info;
mod server;
mod suites;
mod verify;

pub use certificate::{CertificateSpec, TlsError, expiry_of};
pub use client::{ClientSpec, ClientTls};
pub use info::{PeerCertificate, TlsInfo};
pub use server::{ServerSpec, ServerTls};
pub use suites::{Parameters, Version};
pub use verify::{SanKind, SanMatcher, Validation, VerifyFailure, verify_failure};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// What one side of a connection is.
#[derive(Debug, Default)]
pub struct CommonSpec {
    /// Our certificates.
    pub certificates: Vec<CertificateSpec>,
    /// How the peer's certificate is checked; `None`: it is not asked for.
    pub validation: Option<Validation>,
    /// Protocols for ALPN, in our order.
    pub alpn: Vec<Vec<u8>>,
    /// Versions and cipher suites.
    pub parameters: Parameters,
}

impl CommonSpec {
    fn provider(&self) -> Arc<CryptoProvider> {
        self.parameters.provider()
    }
}
