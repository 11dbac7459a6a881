//! Whether a peer's certificate is accepted: its chain by webpki, its names and hashes by ours.
//!
//! webpki knows hosts, not SPIFFE IDs, so the chain is checked without a name and the subject alternative names are matched here, each
//! only against matchers of its own kind. (envoy: CertificateValidationContext)

use std::net::IpAddr;
use std::sync::Arc;

use outrigger_policy::matcher::{StringMatcher, StringRule};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::{TlsError, chain_of, names_of};

/// The kind of a subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanKind {
    /// A URI: a SPIFFE ID.
    Uri,
    /// A DNS name.
    Dns,
    /// An e-mail address.
    Email,
    /// An IP address.
    Ip,
}

/// A name that the certificate may have.
#[derive(Clone, Debug)]
pub struct SanMatcher {
    /// The kind of name.
    pub kind: SanKind,
    /// What the name looks like.
    pub matcher: StringMatcher,
}

/// How a certificate is checked.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// Roots in PEM; `None` accepts every chain, as Envoy does without `trusted_ca`.
    pub roots_pem: Option<Vec<u8>>,
    /// One of these names must be there; empty accepts every name.
    pub sans: Vec<SanMatcher>,
    /// One of these SHA-256 hashes of the certificate; empty accepts every hash.
    /// (envoy: verify_certificate_hash)
    pub hashes: Vec<[u8; 32]>,
    /// One of these SHA-256 hashes of the public key. (envoy: verify_certificate_spki)
    pub spki_hashes: Vec<[u8; 32]>,
}

/// Why a peer's certificate was refused, in the classes that stats have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyFailure {
    /// There was none.
    Missing,
    /// Its chain does not lead to a root, or it is expired, or not fit.
    Chain,
    /// It has none of the names.
    San,
    /// It has none of the hashes.
    Hash,
}

/// The class of a failed handshake; `None` if the certificate was not the reason.
#[must_use]
pub fn verify_failure(error: &std::io::Error) -> Option<VerifyFailure> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::NoCertificatesPresented => Some(VerifyFailure::Missing),
        Error::InvalidCertificate(CertificateError::NotValidForName) => Some(VerifyFailure::San),
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            Some(VerifyFailure::Hash)
        }
        Error::InvalidCertificate(_) => Some(VerifyFailure::Chain),
        _ => None,
    }
}

#[derive(Debug)]
struct Checks {
    sans: Vec<SanMatcher>,
    hashes: Vec<[u8; 32]>,
    spki_hashes: Vec<[u8; 32]>,
}

impl Validation {
    fn roots(&self) -> Result<Option<Arc<RootCertStore>>, TlsError> {
        let Some(pem) = &self.roots_pem else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        let certificates = chain_of(pem)?;
        let given = certificates.len();
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 || added != given {
            return Err(TlsError(format!(
                "trusted_ca: {added} of {given} certificates can be used"
            )));
        }
        Ok(Some(Arc::new(roots)))
    }

    fn checks(&self) -> Checks {
        Checks {
            sans: self.sans.clone(),
            hashes: self.hashes.clone(),
            spki_hashes: self.spki_hashes.clone(),
        }
    }

    /// The check of a client's certificate.
    ///
    /// # Errors
    /// If the roots do not parse.
    pub(super) fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        is_required: bool,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let chain = match self.roots()? {
            None => None,
            Some(roots) => {
                let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
                let builder = if is_required { builder } else { builder.allow_unauthenticated() };
                Some(builder.build().map_err(|error| TlsError(error.to_string()))?)
            }
        };
        Ok(Arc::new(ClientVerifier {
            chain,
            checks: self.checks(),
            provider: provider.clone(),
            is_required,
        }))
    }

    /// The check of a server's certificate.
    ///
    /// # Errors
    /// If the roots do not parse.
    pub(super) fn server_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        Ok(Arc::new(ServerVerifier {
            roots: self.roots()?,
            checks: self.checks(),
            provider: provider.clone(),
        }))
    }
}

impl Checks {
    fn verify(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let refuse = |error| Err(Error::InvalidCertificate(error));
        let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
            return refuse(CertificateError::BadEncoding);
        };
        let sha256 = |bytes: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let is_listed = |list: &[[u8; 32]], digest: &[u8]| list.iter().any(|hash| hash == digest);
        if !self.hashes.is_empty() || !self.spki_hashes.is_empty() {
            // Either list is enough, as in Envoy.
            let by_hash = is_listed(&self.hashes, sha256(leaf).as_ref());
            let by_spki =
                is_listed(&self.spki_hashes, sha256(certificate.public_key().raw).as_ref());
            if !by_hash && !by_spki {
                return refuse(CertificateError::ApplicationVerificationFailure);
            }
        }
        if !self.sans.is_empty() && !self.sans.iter().any(|san| san.matches(&certificate)) {
            return refuse(CertificateError::NotValidForName);
        }
        Ok(())
    }
}

impl SanMatcher {
    fn matches(&self, certificate: &X509Certificate<'_>) -> bool {
        let names = names_of(certificate);
        let any = |list: &[Box<str>]| list.iter().any(|name| self.matcher.matches(name.as_bytes()));
        match self.kind {
            SanKind::Uri => any(&names.uris),
            SanKind::Email => any(&names.emails),
            SanKind::Dns => names.dns.iter().any(|name| self.matches_dns(name)),
            SanKind::Ip => {
                let text = |ip: &IpAddr| ip.to_string();
                names.ips.iter().any(|ip| self.matcher.matches(text(ip).as_bytes()))
            }
        }
    }

    /// An exact name is also matched by a wildcard in the certificate, for one label.
    fn matches_dns(&self, name: &str) -> bool {
        if self.matcher.matches(name.as_bytes()) {
            return true;
        }
        let (StringRule::Exact(wanted), Some(parent)) =
            (self.matcher.rule(), name.strip_prefix("*."))
        else {
            return false;
        };
        let rest =
            memchr::memchr(b'.', wanted).filter(|at| *at > 0).and_then(|at| wanted.get(at + 1..));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(parent.as_bytes()))
    }
}

#[derive(Debug)]
struct ClientVerifier {
    /// `None` accepts every chain.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    checks: Checks,
    provider: Arc<CryptoProvider>,
    is_required: bool,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map(|chain| chain.root_hint_subjects()).unwrap_or_default()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(end_entity, intermediates, now)?;
        }
        self.checks.verify(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug)]
struct ServerVerifier {
    /// `None` accepts every chain.
    roots: Option<Arc<RootCertStore>>,
    checks: Checks,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
            rustls::client::verify_server_cert_signed_by_trust_anchor(
                &parsed,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        self.checks.verify(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
