//! Certificates that others are trusted by, and the check of a chain against them.
//!
//! webpki looks for a path. What it leaves out and Envoy does is added: a root that has expired is no root, and a certificate that is itself
//! among the roots needs no path.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, TrustAnchor,
    UnixTime,
};
use rustls::{CertificateError, DistinguishedName, Error, OtherError};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::{TlsError, certificates_of};

/// Roots. Cloning is cheap.
#[derive(Clone)]
pub struct Roots(Arc<Inner>, Arc<str>);

struct Inner {
    anchors: Vec<TrustAnchor<'static>>,
    /// The anchors' certificates, in the same order.
    certificates: Vec<CertificateDer<'static>>,
    /// From and until when they are valid, likewise, in seconds since 1970.
    validities: Vec<(i64, i64)>,
}

/// What a peer's certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A client shows it.
    Client,
    /// A server shows it.
    Server,
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Roots").field(&self.0.anchors.len()).finish()
    }
}

impl Roots {
    /// The certificates of a PEM text. Those that cannot be used are passed over: nobody is trusted by them.
    ///
    /// # Errors
    /// For PEM that does not parse or holds no certificate of use, and for a revocation list, which nobody here would look at.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        if CertificateRevocationListDer::pem_slice_iter(pem).next().is_some() {
            return Err(TlsError("a revocation list is not supported".to_owned()));
        }
        let mut roots =
            Inner { anchors: Vec::new(), certificates: Vec::new(), validities: Vec::new() };
        for certificate in certificates_of(pem)? {
            let Ok(anchor) = anchor_from_trusted_cert(&certificate) else { continue };
            let Some(validity) = validity_of(&certificate) else { continue };
            roots.anchors.push(anchor.to_owned());
            roots.validities.push(validity);
            roots.certificates.push(certificate);
        }
        if roots.anchors.is_empty() {
            return Err(TlsError("holds no certificate that can be trusted".to_owned()));
        }
        Ok(Self(Arc::new(roots), Arc::default()))
    }

    /// Says which file they came from.
    #[must_use]
    pub fn from_path(self, path: &str) -> Self {
        Self(self.0, path.into())
    }

    /// The file that they came from.
    pub(super) const fn path(&self) -> &Arc<str> {
        &self.1
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<&CertificateDer<'static>> {
        self.0.certificates.first()
    }

    /// Seconds since 1970 until which all of them are valid.
    #[must_use]
    pub fn valid_until(&self) -> i64 {
        self.0.validities.iter().map(|(_, until)| *until).min().unwrap_or(i64::MAX)
    }

    /// Their names, to be told to clients.
    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        self.0
            .anchors
            .iter()
            .map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
            .collect()
    }

    /// Checks a chain.
    ///
    /// # Errors
    /// If it does not lead to a root within `max_depth` certificates, the root included, or is not meant for this use or time.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Use,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        max_depth: Option<u32>,
    ) -> Result<(), Error> {
        if self.0.certificates.iter().any(|root| root == leaf) {
            return verify_root(leaf, now, usage);
        }
        let is_short = |path: &VerifiedPath<'_>| {
            let depth = path.intermediate_certificates().count() as u64 + 1;
            max_depth.is_none_or(|max| depth <= u64::from(max))
        };
        let verify_path = |path: &VerifiedPath<'_>| match () {
            () if !is_short(path) => Err(webpki::Error::MaximumPathDepthExceeded),
            () if !self.is_valid(path.anchor(), now) => Err(webpki::Error::UnknownIssuer),
            () => Ok(()),
        };
        let key_usage = match usage {
            Use::Client => KeyUsage::client_auth(),
            Use::Server => KeyUsage::server_auth(),
        };
        let leaf = EndEntityCert::try_from(leaf).map_err(refusal)?;
        leaf.verify_for_usage(
            algorithms,
            &self.0.anchors,
            intermediates,
            now,
            key_usage,
            None,
            Some(&verify_path),
        )
        .map(|_| ())
        .map_err(refusal)
    }

    fn is_valid(&self, anchor: &TrustAnchor<'_>, now: UnixTime) -> bool {
        let held = self.0.anchors.iter().position(|held| std::ptr::eq(held, anchor));
        let validity = held.and_then(|place| self.0.validities.get(place));
        validity.is_some_and(|validity| is_within(*validity, now))
    }
}

/// The check of a certificate that is a root itself: there is nothing to find, only its own word counts.
fn verify_root(leaf: &CertificateDer<'_>, now: UnixTime, usage: Use) -> Result<(), Error> {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return Err(CertificateError::BadEncoding.into());
    };
    let validity = certificate.validity();
    if !is_within((validity.not_before.timestamp(), validity.not_after.timestamp()), now) {
        return Err(CertificateError::Expired.into());
    }
    let is_meant = match certificate.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(meant)) => match usage {
            Use::Client => meant.value.client_auth,
            Use::Server => meant.value.server_auth,
        },
        Err(_) => false,
    };
    if is_meant { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
}

fn is_within((from, until): (i64, i64), now: UnixTime) -> bool {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    (from..=until).contains(&now)
}

fn validity_of(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

fn refusal(error: webpki::Error) -> Error {
    use webpki::Error as E;
    let error = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertExpired { .. } | E::InvalidCertValidity => CertificateError::Expired,
        E::CertNotValidYet { .. } => CertificateError::NotValidYet,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    error.into()
}
