//! Certificates and keys, from PEM to what rustls signs with, and what is read out of a certificate.

use std::fmt::Write;
use std::sync::Arc;

use outrigger_policy::authz::PeerIdentity;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::info::PeerCertificate;

/// A certificate chain and its key, as configured.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateSpec {
    /// The chain in PEM, leaf first.
    pub chain_pem: Vec<u8>,
    /// The private key in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key_pem: Vec<u8>,
}

impl std::fmt::Debug for CertificateSpec {
    /// Never prints the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateSpec")
            .field("chain_bytes", &self.chain_pem.len())
            .finish_non_exhaustive()
    }
}

/// Why a TLS configuration does not compile.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

/// Compiles a chain and its key.
///
/// # Errors
/// For PEM that does not parse, and for a key that does not belong to the certificate.
pub(super) fn certified_key(
    spec: &CertificateSpec,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = chain_of(&spec.chain_pem)?;
    if chain.is_empty() {
        return Err(TlsError("certificate_chain holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&spec.key_pem)
        .map_err(|error| TlsError(format!("private_key: {error}")))?;
    let key = CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| TlsError(format!("certificate and private key: {error}")))?;
    Ok(Arc::new(key))
}

/// The certificates in a PEM text.
pub(super) fn chain_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError(format!("invalid PEM: {error}")))
}

/// Seconds since 1970 until which the first certificate of a PEM text is valid.
#[must_use]
pub fn expiry_of(pem: &[u8]) -> Option<i64> {
    let chain = chain_of(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Reads what policies and logs want to know of a verified chain.
pub(super) fn read_peer(chain: &[CertificateDer<'_>]) -> Option<PeerCertificate> {
    let leaf = chain.first()?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
    let subject: Box<str> = rfc2253(certificate.subject()).into();
    let names = names_of(&certificate);
    Some(PeerCertificate {
        identity: PeerIdentity {
            uri_sans: names.uris.into(),
            dns_sans: names.dns.into(),
            subject: subject.clone(),
        },
        subject,
        issuer: rfc2253(certificate.issuer()).into(),
        serial: hex(certificate.raw_serial()).trim_start_matches('0').into(),
        sha256: hex(digest.as_ref()).into(),
        valid_from: certificate.validity().not_before.timestamp(),
        valid_until: certificate.validity().not_after.timestamp(),
        chain: chain.iter().map(|der| der.to_vec()).collect(),
    })
}

/// Subject alternative names of a certificate.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) uris: Vec<Box<str>>,
    pub(super) dns: Vec<Box<str>>,
    pub(super) emails: Vec<Box<str>>,
    pub(super) ips: Vec<std::net::IpAddr>,
}

/// Names with a NUL or other control character are left out: they match nothing.
pub(super) fn names_of(certificate: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
    let is_clean = |text: &str| text.bytes().all(|b| (0x21..0x7f).contains(&b));
    for name in &extension.value.general_names {
        match name {
            GeneralName::URI(uri) if is_clean(uri) => names.uris.push((*uri).into()),
            GeneralName::DNSName(dns) if is_clean(dns) => names.dns.push((*dns).into()),
            GeneralName::RFC822Name(email) if is_clean(email) => names.emails.push((*email).into()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
                let v6 = <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
                names.ips.extend(v4.or(v6));
            }
            _ => {}
        }
    }
    names
}

/// Names of our own certificate.
pub(super) fn own_names(key: &CertifiedKey) -> (Vec<Box<str>>, Box<str>) {
    let Some((_, certificate)) =
        key.cert.first().and_then(|leaf| X509Certificate::from_der(leaf).ok())
    else {
        return (Vec::new(), Box::default());
    };
    (names_of(&certificate).uris, rfc2253(certificate.subject()).into())
}

/// A distinguished name as RFC 2253 writes it: most specific part first.
fn rfc2253(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        if index > 0 {
            out.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                out.push('+');
            }
            let oid = attribute.attr_type();
            match SHORT_NAMES.iter().find(|(dotted, _)| *dotted == oid.to_id_string()) {
                Some((_, short)) => out.push_str(short),
                None => out.push_str(&oid.to_id_string()),
            }
            out.push('=');
            escape_value(&mut out, attribute.as_str().unwrap_or_default());
        }
    }
    out
}

/// Short names of the attributes that RFC 2253 and OpenSSL name.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

fn escape_value(out: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        let is_edge = (index == 0 && matches!(c, ' ' | '#')) || (index == last && c == ' ');
        if is_edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
            out.push(c);
        } else if c.is_control() {
            let _ = write!(out, "\\{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
