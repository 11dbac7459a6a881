//! What a finished handshake has told: read by XFCC, authorization, logs and metrics.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use outrigger_policy::authz::PeerIdentity;
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::der::{serial_of, sha256};
use super::names::{Names, rfc2253};
use crate::telemetry::metrics::{Settled, TlsParameter};

/// A handshake's outcome.
#[derive(Debug, Default)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's name as OpenSSL spells it.
    pub cipher: &'static str,
    /// What is counted of it.
    pub settled: Settled,
    /// The protocol that ALPN chose.
    pub alpn: Option<Box<str>>,
    /// URIs of our own certificate.
    pub local_uris: Arc<[Box<str>]>,
    /// DNS names of our own certificate.
    pub local_dns: Arc<[Box<str>]>,
    /// IP addresses of our own certificate.
    pub local_ips: Arc<[IpAddr]>,
    /// Subject of our own certificate.
    pub local_subject: Arc<str>,
    /// The peer's certificate, verified.
    pub peer: Option<PeerCertificate>,
}

/// What the handshake of this session has settled.
pub(super) fn settled(session: &CommonState) -> Settled {
    let version = session.protocol_version();
    let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
    let group = session.negotiated_key_exchange_group().map(SupportedKxGroup::name);
    Settled {
        parameters: [
            version.map(|version| TlsParameter::Version(version.into())),
            suite.map(|suite| TlsParameter::Cipher(suite.into())),
            group.map(|group| TlsParameter::Group(group.into())),
        ],
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}

/// Names of our own certificate.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalCertificate {
    pub(super) uris: Arc<[Box<str>]>,
    pub(super) dns: Arc<[Box<str>]>,
    pub(super) ips: Arc<[IpAddr]>,
    pub(super) subject: Arc<str>,
}

/// A verified certificate of a peer.
#[derive(Debug, Default)]
pub struct PeerCertificate {
    /// Names that authorization looks at.
    pub identity: PeerIdentity,
    /// E-mail addresses.
    pub email_sans: Box<[Box<str>]>,
    /// IP addresses.
    pub ip_sans: Box<[IpAddr]>,
    /// Subject, as RFC 2253 writes it.
    pub subject: Box<str>,
    /// Issuer, likewise.
    pub issuer: Box<str>,
    /// Serial number in lower-case hex, two digits a byte.
    pub serial: Box<str>,
    /// SHA-256 of the certificate in lower-case hex.
    pub sha256: Box<str>,
    /// Seconds since 1970 from which it is valid.
    pub valid_from: i64,
    /// Seconds since 1970 until which it is valid.
    pub valid_until: i64,
    /// The chain in DER, leaf first.
    pub chain: Vec<Vec<u8>>,
}

impl PeerCertificate {
    /// Reads a verified chain; `None` if there is none.
    pub(super) fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = chain.first()?;
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        let subject: Box<str> = rfc2253(certificate.subject()).into();
        let names = Names::of(&certificate);
        Some(Self {
            identity: PeerIdentity {
                uri_sans: names.uris.into(),
                dns_sans: names.dns.into(),
                subject: subject.clone(),
            },
            email_sans: names.emails.into(),
            ip_sans: names.ips.into(),
            subject,
            issuer: rfc2253(certificate.issuer()).into(),
            serial: serial_of(&certificate).into(),
            sha256: sha256(leaf).into(),
            valid_from: certificate.validity().not_before.timestamp(),
            valid_until: certificate.validity().not_after.timestamp(),
            chain: chain.iter().map(|der| der.to_vec()).collect(),
        })
    }

    /// The leaf as PEM, percent-encoded. (`%DOWNSTREAM_PEER_CERT%`, XFCC `Cert`)
    #[must_use]
    pub fn pem_url_encoded(&self) -> String {
        self.chain.first().map(|der| url_encode(&pem(der))).unwrap_or_default()
    }

    /// The whole chain as PEM, percent-encoded. (XFCC `Chain`)
    #[must_use]
    pub fn chain_url_encoded(&self) -> String {
        let chain: String = self.chain.iter().map(|der| pem(der)).collect();
        url_encode(&chain)
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while let Some((line, tail)) = rest.split_at_checked(64) {
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
