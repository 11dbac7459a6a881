//! Certificates as the admin server shows them: what is in use, and until when.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::der::serial_of;
use super::names::Names;
use super::{Certificate, Roots};

/// What is told of a certificate. (envoy: admin.v3.CertificateDetails)
#[derive(Clone, Debug)]
pub struct Shown {
    /// The file that it came from.
    pub path: Arc<str>,
    /// Serial number in lower-case hex.
    pub serial: String,
    /// DNS names.
    pub dns: Vec<Box<str>>,
    /// URIs.
    pub uris: Vec<Box<str>>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
    /// Seconds since 1970 from which it is valid.
    pub valid_from: i64,
    /// Seconds since 1970 until which it is valid.
    pub valid_until: i64,
}

/// The certificates of one side of TLS.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    pub(super) roots: Option<Roots>,
    pub(super) certificates: Vec<Certificate>,
}

impl InUse {
    /// Those that others are trusted by; Envoy tells of the first.
    #[must_use]
    pub fn authorities(&self) -> Vec<Shown> {
        let first = |roots: &Roots| shown(roots.first()?, roots.path());
        self.roots.iter().filter_map(first).collect()
    }

    /// Our own.
    #[must_use]
    pub fn own(&self) -> Vec<Shown> {
        let leaf = |own: &Certificate| shown(own.key.cert.first()?, &own.path);
        self.certificates.iter().filter_map(leaf).collect()
    }

    /// Seconds since 1970 until which all of them are valid.
    #[must_use]
    pub fn valid_until(&self) -> Option<i64> {
        let own = self.certificates.iter().map(Certificate::valid_until);
        own.chain(self.roots.iter().map(Roots::valid_until)).min()
    }
}

fn shown(der: &CertificateDer<'_>, path: &Arc<str>) -> Option<Shown> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let Names { dns, uris, ips, .. } = Names::of(&certificate);
    Some(Shown {
        path: path.clone(),
        serial: serial_of(&certificate),
        dns,
        uris,
        ips,
        valid_from: certificate.validity().not_before.timestamp(),
        valid_until: certificate.validity().not_after.timestamp(),
    })
}
