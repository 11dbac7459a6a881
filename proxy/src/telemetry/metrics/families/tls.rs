//! What TLS contexts count, on both sides.
//!
//! Envoy makes a counter for each cipher, curve and version that is negotiated; ours are those that rustls
//! can negotiate.

use super::super::family::{Counter, family};

family! {
    /// Scope `listener.ADDRESS.ssl.` or `cluster.NAME.ssl.`
    TlsStat as TlsStats {
        counters {
            connection_error,
            fail_verify_cert_hash,
            fail_verify_error,
            fail_verify_no_cert,
            fail_verify_san,
            handshake,
            no_certificate,
            session_reused,
        }
        rare_counters {
            aes128_gcm = "ciphers.TLS_AES_128_GCM_SHA256",
            aes256_gcm = "ciphers.TLS_AES_256_GCM_SHA384",
            chacha20 = "ciphers.TLS_CHACHA20_POLY1305_SHA256",
            ecdsa_aes128_gcm = "ciphers.ECDHE-ECDSA-AES128-GCM-SHA256",
            ecdsa_aes256_gcm = "ciphers.ECDHE-ECDSA-AES256-GCM-SHA384",
            ecdsa_chacha20 = "ciphers.ECDHE-ECDSA-CHACHA20-POLY1305",
            rsa_aes128_gcm = "ciphers.ECDHE-RSA-AES128-GCM-SHA256",
            rsa_aes256_gcm = "ciphers.ECDHE-RSA-AES256-GCM-SHA384",
            rsa_chacha20 = "ciphers.ECDHE-RSA-CHACHA20-POLY1305",
            p256 = "curves.P-256",
            p384 = "curves.P-384",
            p521 = "curves.P-521",
            x25519 = "curves.X25519",
            x25519_mlkem768 = "curves.X25519MLKEM768",
            tls12 = "versions.TLSv1.2",
            tls13 = "versions.TLSv1.3",
        }
    }
}

/// TLS code points of cipher suites, groups and versions, and what counts them. (IANA: tls-parameters)
const PARAMETERS: &[(TlsParameter, Counter<TlsStat>)] = &[
    (TlsParameter::Cipher(0x1301), TlsStat::aes128_gcm),
    (TlsParameter::Cipher(0x1302), TlsStat::aes256_gcm),
    (TlsParameter::Cipher(0x1303), TlsStat::chacha20),
    (TlsParameter::Cipher(0xc02b), TlsStat::ecdsa_aes128_gcm),
    (TlsParameter::Cipher(0xc02c), TlsStat::ecdsa_aes256_gcm),
    (TlsParameter::Cipher(0xcca9), TlsStat::ecdsa_chacha20),
    (TlsParameter::Cipher(0xc02f), TlsStat::rsa_aes128_gcm),
    (TlsParameter::Cipher(0xc030), TlsStat::rsa_aes256_gcm),
    (TlsParameter::Cipher(0xcca8), TlsStat::rsa_chacha20),
    (TlsParameter::Group(0x0017), TlsStat::p256),
    (TlsParameter::Group(0x0018), TlsStat::p384),
    (TlsParameter::Group(0x0019), TlsStat::p521),
    (TlsParameter::Group(0x001d), TlsStat::x25519),
    (TlsParameter::Group(0x11ec), TlsStat::x25519_mlkem768),
    (TlsParameter::Version(0x0303), TlsStat::tls12),
    (TlsParameter::Version(0x0304), TlsStat::tls13),
];

/// What a handshake has settled, by its code point on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsParameter {
    /// The cipher suite.
    Cipher(u16),
    /// The key exchange group.
    Group(u16),
    /// The version.
    Version(u16),
}

/// What a handshake has settled, as it is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settled {
    /// Version, cipher suite and key exchange group.
    pub parameters: [Option<TlsParameter>; 3],
    /// It went on with a session of before.
    pub resumed: bool,
}

impl TlsStats {
    /// Counts a handshake and what it has settled. A code point that rustls does not negotiate has no counter.
    pub fn shaken(&self, settled: &Settled) {
        self.inc(TlsStat::handshake);
        if settled.resumed {
            self.inc(TlsStat::session_reused);
        }
        for parameter in settled.parameters.into_iter().flatten() {
            if let Some((_, counter)) = PARAMETERS.iter().find(|(known, _)| *known == parameter) {
                self.inc(*counter);
            }
        }
    }
}

family! {
    /// Scope `listener.ADDRESS.ssl.certificate.NAME.` or `cluster.NAME.ssl.certificate.NAME.`
    CertificateStat as CertificateStats {
        gauges { expiration_unix_time_seconds }
    }
}

family! {
    /// Scope `listener.ADDRESS.server_ssl_socket_factory.` or `cluster.NAME.client_ssl_socket_factory.`
    TlsFactoryStat as TlsFactoryStats {
        counters {
            downstream_context_secrets_not_ready,
            ssl_context_update_by_sds,
            upstream_context_secrets_not_ready,
        }
    }
}
