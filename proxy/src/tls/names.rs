//! What is written in a certificate, as text: subject alternative names and distinguished names.
//!
//! Text of a certificate is hostile: it ends up in logs, headers and policies. Compared with Envoy 1.40, whose texts are BoringSSL's.

use std::fmt::Write;
use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{X509Certificate, X509Name};

/// Subject alternative names of a certificate.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) uris: Vec<Box<str>>,
    pub(super) dns: Vec<Box<str>>,
    pub(super) emails: Vec<Box<str>>,
    pub(super) ips: Vec<IpAddr>,
}

impl Names {
    /// Names with a NUL or another byte that no such name has are left out: they match nothing and are shown nowhere.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
        let is_clean = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        for name in &extension.value.general_names {
            match name {
                GeneralName::URI(uri) if is_clean(uri) => names.uris.push((*uri).into()),
                GeneralName::DNSName(dns) if is_clean(dns) => names.dns.push((*dns).into()),
                GeneralName::RFC822Name(mail) if is_clean(mail) => {
                    names.emails.push((*mail).into());
                }
                GeneralName::IPAddress(bytes) => {
                    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                    let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
                    names.ips.extend(v4.or(v6));
                }
                _ => {}
            }
        }
        names
    }
}

/// The first common name of a subject.
pub(super) fn common_name(subject: &X509Name<'_>) -> Option<Box<str>> {
    subject.iter_common_name().next().and_then(|name| name.as_str().ok()).map(Into::into)
}

/// A distinguished name as RFC 2253 writes it: most specific part first.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.iter().rev() {
        let attributes: Vec<_> = part.iter().collect();
        let mut separator = ',';
        for attribute in attributes.iter().rev() {
            if !out.is_empty() {
                out.push(separator);
            }
            separator = '+';
            let oid = attribute.attr_type().to_id_string();
            match SHORT_NAMES.iter().find(|(dotted, _)| *dotted == oid) {
                Some((_, short)) => {
                    let _ = write!(out, "{short}=");
                    match text_of(attribute.attr_value()) {
                        Some(text) => escape(&mut out, &text),
                        None => dump(&mut out, attribute.attr_value()),
                    }
                }
                None => {
                    let _ = write!(out, "{oid}=");
                    dump(&mut out, attribute.attr_value());
                }
            }
        }
    }
    out
}

/// Names of the attributes that BoringSSL names; a value of any other is shown as bytes.
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
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.16", "postalAddress"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
];

/// A string of whatever ASN.1 type.
fn text_of(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::T61String => {
            Some(bytes.iter().copied().map(char::from).collect())
        }
        Tag::BmpString => {
            let units = bytes
                .chunks_exact(2)
                .map(|unit| u16::from_be_bytes(unit.try_into().unwrap_or_default()));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        Tag::UniversalString => {
            let units = bytes
                .chunks_exact(4)
                .map(|unit| u32::from_be_bytes(unit.try_into().unwrap_or_default()));
            units.map(char::from_u32).collect()
        }
        _ => None,
    }
}

/// Escapes what is special, what is no printable character, and every byte of what is not ASCII.
fn escape(out: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        let is_edge =
            (index == 0 && matches!(byte, b' ' | b'#')) || (index == last && byte == b' ');
        match byte {
            _ if is_edge => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
}

/// A value as the hex of its DER form.
fn dump(out: &mut String, value: &Any<'_>) {
    let tag = value.header.raw_tag().unwrap_or_default();
    out.push('#');
    let length = value.data.len();
    let mut header = tag.to_vec();
    match u8::try_from(length) {
        Ok(short @ 0..128) => header.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let bytes = bytes.get(bytes.iter().take_while(|b| **b == 0).count()..);
            let bytes = bytes.unwrap_or_default();
            header.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
            header.extend_from_slice(bytes);
        }
    }
    for byte in header.iter().chain(value.data) {
        let _ = write!(out, "{byte:02X}");
    }
}
