//! Our certificates and their keys, from PEM to what handshakes are signed with.
//!
//! Parsed once, where configuration arrives, and shared: a secret that a thousand clusters name is one certificate.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::info::LocalCertificate;
use super::names::{Names, common_name, rfc2253};

/// Why a TLS configuration does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

/// A certificate chain and its key. Cloning is cheap.
#[derive(Clone)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// Names by which clients ask for it: DNS names, or else the subject's common name.
    pub(super) server_names: Arc<[Box<str>]>,
    pub(super) local: LocalCertificate,
    valid_until: i64,
    pub(super) path: Arc<str>,
}

impl std::fmt::Debug for Certificate {
    /// Never prints the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Certificate {
    /// The certificate of a chain in PEM, leaf first, and of a private key in PEM: PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// For PEM that does not parse, and for a key that does not belong to the certificate.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates_of(chain_pem)
            .map_err(|error| TlsError(format!("certificate_chain: {error}")))?;
        let leaf = chain.first().cloned();
        let leaf =
            leaf.ok_or_else(|| TlsError("certificate_chain: holds no certificate".to_owned()))?;
        let (_, parsed) = X509Certificate::from_der(&leaf)
            .map_err(|error| TlsError(format!("certificate_chain: {error}")))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| TlsError(format!("private_key: {error}")))?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|error| TlsError(format!("private_key: {error}")))?;
        let names = Names::of(&parsed);
        let server_names = match &*names.dns {
            [] => common_name(parsed.subject()).into_iter().collect(),
            dns => dns.iter().cloned().collect(),
        };
        Ok(Self {
            key: Arc::new(key),
            server_names,
            local: LocalCertificate {
                uris: names.uris.into(),
                dns: names.dns.into(),
                ips: names.ips.into(),
                subject: rfc2253(parsed.subject()).into(),
            },
            valid_until: parsed.validity().not_after.timestamp(),
            path: Arc::default(),
        })
    }

    /// Says which file the chain came from.
    #[must_use]
    pub fn from_path(self, path: &str) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Seconds since 1970 until which it is valid.
    #[must_use]
    pub const fn valid_until(&self) -> i64 {
        self.valid_until
    }
}

/// The certificates of a PEM text.
pub(super) fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError(error.to_string()))
}
