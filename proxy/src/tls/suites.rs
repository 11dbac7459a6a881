//! Versions and cipher suites, by the names that Envoy's configuration has for them.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, SupportedProtocolVersion};

/// A version of TLS that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2
    V12,
    /// TLS 1.3
    V13,
}

/// What is offered and accepted. (envoy: TlsParameters)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The oldest version.
    pub min: Version,
    /// The newest version.
    pub max: Version,
    /// Suites of TLS 1.2; empty for all that rustls has.
    pub suites: Vec<CipherSuite>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { min: Version::V12, max: Version::V13, suites: Vec::new() }
    }
}

/// OpenSSL's name of a suite, IANA's number.
const SUITES: &[(&str, CipherSuite)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
];

impl Parameters {
    /// The suites with these names (`[A|B]` groups included). Names of suites that are too weak for rustls, such as static RSA, are passed
    /// over; so is one that nobody knows, since a stricter list is still a safe one.
    #[must_use]
    pub fn suites_named<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<CipherSuite> {
        let known = |name: &str| SUITES.iter().find(|(known, _)| *known == name).map(|(_, s)| *s);
        names
            .into_iter()
            .flat_map(|group| group.trim_matches(['[', ']']).split('|'))
            .filter_map(known)
            .collect()
    }

    /// The versions, newest first.
    #[must_use]
    pub(super) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let all =
            [(Version::V13, &rustls::version::TLS13), (Version::V12, &rustls::version::TLS12)];
        let accepted = |v: &Version| (self.min..=self.max).contains(v);
        all.into_iter().filter(|(v, _)| accepted(v)).map(|(_, version)| version).collect()
    }

    /// The cryptography, limited to the suites.
    #[must_use]
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.suites.is_empty() {
            provider.cipher_suites.retain(|suite| {
                // The list is about TLS 1.2; suites of 1.3 are always offered, as in Envoy.
                suite.tls13().is_some() || self.suites.contains(&suite.suite())
            });
        }
        Arc::new(provider)
    }
}

/// OpenSSL's name of a suite, as logs and stats have it.
#[must_use]
pub(super) fn name_of(suite: CipherSuite) -> &'static str {
    SUITES.iter().find(|(_, known)| *known == suite).map_or("unknown", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_limited_by_name_and_weak_ones_passed_over() {
        let suites = Parameters::suites_named([
            "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
            "AES128-GCM-SHA256",
        ]);
        assert_eq!(suites.len(), 2);
        let provider = Parameters { suites, ..Parameters::default() }.provider();
        assert_eq!(provider.cipher_suites.iter().filter(|s| s.tls13().is_none()).count(), 2);
        assert_eq!(provider.cipher_suites.iter().filter(|s| s.tls13().is_some()).count(), 3);
    }

    #[test]
    fn versions_are_a_range() {
        let only_13 = Parameters { min: Version::V13, ..Parameters::default() };
        assert_eq!(only_13.versions().len(), 1);
        assert_eq!(Parameters::default().versions().len(), 2);
        let none = Parameters { min: Version::V13, max: Version::V12, suites: Vec::new() };
        assert!(none.versions().is_empty());
    }
}
