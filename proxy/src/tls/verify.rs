//! Whether a peer's certificate is accepted: its chain by webpki, its use, names and hashes by ours.
//! (envoy: extensions.transport_sockets.tls.v3.CertificateValidationContext)
//!
//! webpki knows hosts, not SPIFFE IDs, so the chain is checked without a name. Revocation lists are deliberately absent: a configuration with
//! one is refused.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names::Names;
use super::roots::{Roots, Use};
use super::san::{SanMatcher, is_server};

/// How a certificate is checked.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// Who is trusted; `None` accepts every chain, as Envoy does without `trusted_ca`.
    pub roots: Option<Roots>,
    /// Certificates between the leaf and the root, the root included. (envoy: max_verify_depth)
    pub max_depth: Option<u32>,
    /// One of these names must be there; empty accepts every name.
    pub sans: Vec<SanMatcher>,
    /// One of these SHA-256 hashes of the certificate; empty accepts every hash.
    /// (envoy: verify_certificate_hash)
    pub hashes: Vec<[u8; 32]>,
    /// One of these SHA-256 hashes of the public key. (envoy: verify_certificate_spki)
    pub spki_hashes: Vec<[u8; 32]>,
    /// Whatever is wrong with the certificate, it is accepted. Towards servers only. (envoy: ACCEPT_UNTRUSTED)
    pub accepts_untrusted: bool,
    /// Clients are not told whom we trust. (envoy: suppress_client_ca_list)
    pub hides_roots: bool,
}

impl Validation {
    /// This with what a secret adds: a list is longer then, and anything else is what the secret says if it says it.
    /// (envoy: CombinedCertificateValidationContext)
    #[must_use]
    pub fn completed_by(mut self, secret: &Self) -> Self {
        self.sans.extend(secret.sans.iter().cloned());
        self.hashes.extend(&secret.hashes);
        self.spki_hashes.extend(&secret.spki_hashes);
        Self {
            roots: secret.roots.clone().or(self.roots),
            max_depth: secret.max_depth.or(self.max_depth),
            accepts_untrusted: secret.accepts_untrusted || self.accepts_untrusted,
            hides_roots: secret.hides_roots || self.hides_roots,
            ..self
        }
    }

    /// True if it accepts every certificate.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.roots.is_none()
            && self.sans.is_empty()
            && self.hashes.is_empty()
            && self.spki_hashes.is_empty()
    }
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

/// What the server's name has to do with its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameCheck {
    /// Nothing.
    None,
    /// The certificate has it, besides one of the configured names. (envoy: auto_san_validation)
    Also,
    /// The certificate has it; configured names do not matter. (envoy: auto_sni_san_validation)
    Instead,
}

/// Checks certificates, of clients or of servers.
#[derive(Debug)]
pub(super) struct Verifier {
    validation: Validation,
    name_check: NameCheck,
    /// A client must present a certificate.
    is_mandatory: bool,
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub(super) fn of_clients(
        validation: Validation,
        is_mandatory: bool,
        provider: Arc<CryptoProvider>,
    ) -> Arc<Self> {
        let roots = validation.roots.as_ref().filter(|_| !validation.hides_roots);
        let hints = roots.map(Roots::subjects).unwrap_or_default();
        Arc::new(Self { validation, name_check: NameCheck::None, is_mandatory, hints, provider })
    }

    pub(super) fn of_servers(
        validation: Validation,
        name_check: NameCheck,
        provider: Arc<CryptoProvider>,
    ) -> Arc<Self> {
        let hints = Vec::new();
        Arc::new(Self { validation, name_check, is_mandatory: true, hints, provider })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Use,
        server: Option<&ServerName<'_>>,
    ) -> Result<(), Error> {
        let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
            return Err(CertificateError::BadEncoding.into());
        };
        if let Some(roots) = &self.validation.roots {
            let algorithms = self.provider.signature_verification_algorithms.all;
            roots.verify(leaf, intermediates, now, usage, algorithms, self.validation.max_depth)?;
        }
        verify_key_usage(&certificate)?;
        self.verify_names(&certificate, server)?;
        self.verify_hashes(leaf, &certificate)
    }

    fn verify_names(
        &self,
        certificate: &X509Certificate<'_>,
        server: Option<&ServerName<'_>>,
    ) -> Result<(), Error> {
        let sans = &self.validation.sans;
        let names = Names::of(certificate);
        let fits_config = || sans.is_empty() || sans.iter().any(|san| san.matches(&names));
        let fits_server = || server.is_some_and(|server| is_server(&names, server));
        let fits = match self.name_check {
            NameCheck::None => fits_config(),
            NameCheck::Also => fits_config() && fits_server(),
            NameCheck::Instead => fits_server(),
        };
        if fits { Ok(()) } else { Err(CertificateError::NotValidForName.into()) }
    }

    /// Either list is enough, as in Envoy.
    fn verify_hashes(
        &self,
        leaf: &CertificateDer<'_>,
        certificate: &X509Certificate<'_>,
    ) -> Result<(), Error> {
        let Validation { hashes, spki_hashes, .. } = &self.validation;
        let is_listed = |list: &[[u8; 32]], bytes: &[u8]| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
            list.iter().any(|hash| hash == digest.as_ref())
        };
        let fits = (hashes.is_empty() && spki_hashes.is_empty())
            || is_listed(hashes, leaf)
            || is_listed(spki_hashes, certificate.public_key().raw);
        if fits { Ok(()) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn forgive(&self, result: Result<(), Error>) -> Result<(), Error> {
        if self.validation.accepts_untrusted { Ok(()) } else { result }
    }
}

/// A key that signs handshakes must be meant to sign. (RFC 8446 §4.4.2.2, and BoringSSL for TLS 1.2 too)
fn verify_key_usage(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    match certificate.key_usage() {
        Ok(None) => Ok(()),
        Ok(Some(usage)) if usage.value.digital_signature() => Ok(()),
        Ok(Some(_)) => Err(CertificateError::InvalidPurpose.into()),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// The part that both traits have: signatures of handshakes are checked as rustls does.
macro_rules! signatures {
    () => {
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
    };
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now, Use::Client, None)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usage = Use::Server;
        self.forgive(self.verify(end_entity, intermediates, now, usage, Some(server_name)))?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}
