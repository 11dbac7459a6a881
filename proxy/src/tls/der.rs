//! What logs and dumps tell of a certificate that lies there in DER.

use std::fmt::Write;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Its number, in hex of two digits a byte; empty for what is no certificate.
#[must_use]
pub fn serial(der: &[u8]) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return String::new() };
    serial_of(&certificate)
}

pub(super) fn serial_of(certificate: &X509Certificate<'_>) -> String {
    let bytes = certificate.raw_serial();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    hex(bytes.get(zeros..).unwrap_or_default())
}

/// Its SHA-256, in hex.
#[must_use]
pub fn sha256(der: &[u8]) -> String {
    hex(digest::digest(&SHA256, der).as_ref())
}

/// Its SHA-1, in hex. Logs only: nothing is decided by it.
#[must_use]
pub fn sha1(der: &[u8]) -> String {
    hex(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
