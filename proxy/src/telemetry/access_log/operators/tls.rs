//! The downstream's TLS: version, cipher, and the names of both certificates. There is no value without TLS, nor where a name is missing.

use super::{Operator, Row, Wrote, list, non_empty, text};
use crate::telemetry::access_log::Record;
use crate::telemetry::access_log::calendar::Moment;
use crate::telemetry::access_log::strftime::{TimeFormat, write_default};
use crate::telemetry::access_log::zone::Zone;
use crate::tls::{PeerCertificate, TlsInfo, der};

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
    Row::plain("DOWNSTREAM_PEER_EMAIL_SAN", |record, out| match peer(record) {
        Some(peer) => list(out, &peer.email_sans),
        None => Wrote::Nothing,
    }),
    Row::plain("DOWNSTREAM_PEER_IP_SAN", |record, out| match peer(record) {
        Some(peer) => list(out, peer.ip_sans.iter().map(ToString::to_string)),
        None => Wrote::Nothing,
    }),
    Row::plain("DOWNSTREAM_LOCAL_DNS_SAN", |record, out| match tls(record) {
        Some(tls) => list(out, tls.local_dns.iter()),
        None => Wrote::Nothing,
    }),
    Row::plain("DOWNSTREAM_LOCAL_IP_SAN", |record, out| match tls(record) {
        Some(tls) => list(out, tls.local_ips.iter().map(ToString::to_string)),
        None => Wrote::Nothing,
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
        list(out, chain(record).take(1).map(der::sha1))
    }),
    Row::plain("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", |record, out| {
        list(out, chain(record).map(der::sha256))
    }),
    Row::plain("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", |record, out| {
        list(out, chain(record).map(der::sha1))
    }),
    Row::plain("DOWNSTREAM_PEER_CHAIN_SERIALS", |record, out| {
        list(out, chain(record).map(der::serial))
    }),
    Row::plain("DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", |record, out| {
        list(out, chain(record).skip(1).take(1).map(der::sha256))
    }),
    Row::plain("DOWNSTREAM_PEER_ISSUER_SERIAL", |record, out| {
        list(out, chain(record).skip(1).take(1).map(der::serial))
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
