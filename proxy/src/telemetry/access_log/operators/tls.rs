//! The downstream's TLS: version, cipher, and the names of both certificates. There is no value without TLS, nor where a name is missing.

use std::fmt::Write;
use std::net::IpAddr;

use aws_lc_rs::digest::{self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Extension};

use super::{Operator, Row, Wrote, list, non_empty, text};
use crate::telemetry::access_log::Record;
use crate::telemetry::access_log::calendar::Moment;
use crate::telemetry::access_log::strftime::{TimeFormat, write_default};
use crate::telemetry::access_log::zone::Zone;
use crate::tls::{PeerCertificate, TlsInfo};

pub(super) const ROWS: &[Row] = &[
    Row::plain("DOWNSTREAM_TLS_VERSION", |record, out| {
        tls(record).map_or(Wrote::Nothing, |tls| non_empty(out, tls.version))
    }),
    Row::plain("DOWNSTREAM_TLS_CIPHER", |record, out| {
        tls(record).map_or(Wrote::Nothing, |tls| non_empty(out, tls.cipher))
    }),
    Row::plain("DOWNSTREAM_LOCAL_URI_SAN", |record, out| match tls(record) {
        Some(tls) => list(out, tls.local_uris.iter()),
        None => Wrote::Nothing,
    }),
    Row::plain("DOWNSTREAM_LOCAL_SUBJECT", |record, out| {
        tls(record).map_or(Wrote::Nothing, |tls| non_empty(out, &tls.local_subject))
    }),
    Row::plain("DOWNSTREAM_PEER_URI_SAN", |record, out| match peer(record) {
        Some(peer) => list(out, &peer.identity.uri_sans),
        None => Wrote::Nothing,
    }),
    Row::plain("DOWNSTREAM_PEER_DNS_SAN", |record, out| match peer(record) {
        Some(peer) => list(out, &peer.identity.dns_sans),
        None => Wrote::Nothing,
    }),
    Row::plain("DOWNSTREAM_PEER_EMAIL_SAN", |record, out| {
        list(out, names(record, |name| match name {
            GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        }))
    }),
    Row::plain("DOWNSTREAM_PEER_IP_SAN", |record, out| {
        list(out, names(record, |name| match name {
            GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| ip.to_string()),
            _ => None,
        }))
    }),
    Row::plain("DOWNSTREAM_PEER_SUBJECT", |record, out| {
        peer(record).map_or(Wrote::Nothing, |peer| non_empty(out, &peer.subject))
    }),
    Row::plain("DOWNSTREAM_PEER_ISSUER", |record, out| {
        peer(record).map_or(Wrote::Nothing, |peer| non_empty(out, &peer.issuer))
    }),
    Row::plain("DOWNSTREAM_PEER_SERIAL", |record, out| {
        peer(record).map_or(Wrote::Nothing, |peer| non_empty(out, &peer.serial))
    }),
    Row::plain("DOWNSTREAM_PEER_FINGERPRINT_256", |record, out| {
        peer(record).map_or(Wrote::Nothing, |peer| non_empty(out, &peer.sha256))
    }),
    Row::plain("DOWNSTREAM_PEER_FINGERPRINT_1", |record, out| {
        list(out, chain(record).take(1).map(|der| fingerprint(der, &SHA1_FOR_LEGACY_USE_ONLY)))
    }),
    Row::plain("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", |record, out| {
        list(out, chain(record).map(|der| fingerprint(der, &SHA256)))
    }),
    Row::plain("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", |record, out| {
        list(out, chain(record).map(|der| fingerprint(der, &SHA1_FOR_LEGACY_USE_ONLY)))
    }),
    Row::plain("DOWNSTREAM_PEER_CHAIN_SERIALS", |record, out| {
        list(out, chain(record).map(serial))
    }),
    Row::plain("DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", |record, out| {
        list(out, chain(record).skip(1).take(1).map(|der| fingerprint(der, &SHA256)))
    }),
    Row::plain("DOWNSTREAM_PEER_ISSUER_SERIAL", |record, out| {
        list(out, chain(record).skip(1).take(1).map(serial))
    }),
    Row::plain("DOWNSTREAM_PEER_CERT", |record, out| match peer(record) {
        Some(peer) => text(out, peer.pem_url_encoded().as_bytes()),
        None => Wrote::Nothing,
    }),
    Row::optional("DOWNSTREAM_PEER_CERT_V_START", |args| {
        Validity::compile(args, |peer| peer.valid_from)
    }),
    Row::optional("DOWNSTREAM_PEER_CERT_V_END", |args| {
        Validity::compile(args, |peer| peer.valid_until)
    }),
    // A handshake that fails ends its connection before there is a stream to tell of.
    Row::plain("DOWNSTREAM_TRANSPORT_FAILURE_REASON", |_, _| Wrote::Nothing),
];

fn tls<'a>(record: &Record<'a>) -> Option<&'a TlsInfo> {
    record.info.connection.tls.as_ref()
}

fn peer<'a>(record: &Record<'a>) -> Option<&'a PeerCertificate> {
    tls(record)?.peer.as_ref()
}

/// The peer's certificates in DER, leaf first.
fn chain<'a>(record: &Record<'a>) -> impl Iterator<Item = &'a [u8]> {
    peer(record).into_iter().flat_map(|peer| &peer.chain).map(Vec::as_slice)
}

fn fingerprint(der: &[u8], algorithm: &'static Algorithm) -> String {
    hex(digest::digest(algorithm, der).as_ref())
}

/// The certificate's number, two digits a byte.
fn serial(der: &[u8]) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return String::new() };
    let bytes = certificate.raw_serial();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    hex(bytes.get(zeros..).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// What `of` takes from the alternative names of the peer's leaf.
fn names(record: &Record<'_>, of: impl Fn(&GeneralName<'_>) -> Option<String>) -> Vec<String> {
    let Some(leaf) = chain(record).next() else { return Vec::new() };
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return Vec::new() };
    let extensions = certificate.extensions().iter().map(X509Extension::parsed_extension);
    let mut names = extensions.filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    names.next().map(|names| names.iter().filter_map(of).collect()).unwrap_or_default()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[derive(Debug)]
struct Validity {
    of: fn(&PeerCertificate) -> i64,
    format: Option<TimeFormat>,
}

impl Validity {
    fn compile(
        args: &str,
        of: fn(&PeerCertificate) -> i64,
    ) -> Result<Box<dyn Operator>, String> {
        let format = if args.is_empty() { None } else { Some(TimeFormat::compile(args)?) };
        Ok(Box::new(Self { of, format }))
    }
}

impl Operator for Validity {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let Some(peer) = peer(record) else { return Wrote::Nothing };
        let moment = Moment { seconds: (self.of)(peer), nanos: 0 };
        match &self.format {
            Some(format) => format.write(moment, Zone::utc(), out),
            None => write_default(moment, out),
        }
        Wrote::Text
    }
}
