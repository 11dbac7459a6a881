//! Versions, cipher suites and key exchanges, by the names that Envoy's configuration has for them. (envoy: TlsParameters)
//!
//! What is too weak for rustls is passed over where something stronger is left, and an error where nothing is: a list never makes the
//! choice wider than it says.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{CipherSuite, SupportedProtocolVersion};

use super::certificate::TlsError;

/// A version of TLS that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2
    V12,
    /// TLS 1.3
    V13,
}

/// What is offered and accepted.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// The oldest version.
    pub min: Version,
    /// The newest version.
    pub max: Version,
    /// Suites of TLS 1.2, the preferred one first; `None` for all that rustls has.
    pub suites: Option<Vec<CipherSuite>>,
    /// Key exchanges, the preferred one first; `None` for all that rustls has.
    pub groups: Option<Vec<&'static dyn SupportedKxGroup>>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { min: Version::V12, max: Version::V13, suites: None, groups: None }
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
];

/// Names of suites of TLS 1.3, which are not configured.
const SUITES_13: &[(&str, CipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Suites that Envoy has and rustls thinks too weak.
const WEAK_SUITES: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA",
];

const GROUPS: &[(&str, &dyn SupportedKxGroup)] = &[
    ("X25519MLKEM768", kx_group::X25519MLKEM768),
    ("X25519", kx_group::X25519),
    ("P-256", kx_group::SECP256R1),
    ("prime256v1", kx_group::SECP256R1),
    ("P-384", kx_group::SECP384R1),
    ("secp384r1", kx_group::SECP384R1),
];

/// Key exchanges that Envoy has and rustls has not.
const FOREIGN_GROUPS: &[&str] =
    &["P-521", "secp521r1", "P-224", "secp224r1", "X25519Kyber768Draft00"];

/// The suites that a list of cipher suites names, `[A|B]` groups included.
///
/// # Errors
/// For a name that Envoy has not, and for expressions such as `-ALL`.
pub fn suites_named(names: &[String]) -> Result<Vec<CipherSuite>, TlsError> {
    let mut suites = Vec::new();
    let groups = names.iter().flat_map(|name| name.split(':'));
    for name in groups.flat_map(|group| group.trim_matches(['[', ']']).split('|')) {
        match SUITES.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) if suites.contains(suite) => {}
            Some((_, suite)) => suites.push(*suite),
            None if WEAK_SUITES.contains(&name) => {}
            None => return Err(TlsError(format!("'{name}' is no cipher suite"))),
        }
    }
    Ok(suites)
}

/// The key exchanges that a list of curves names.
///
/// # Errors
/// For a name that Envoy has not, and if rustls has none of them.
pub fn groups_named(names: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>, TlsError> {
    let mut groups = Vec::new();
    for name in names.iter().flat_map(|name| name.split(':')) {
        match GROUPS.iter().find(|(known, _)| known == &name) {
            Some((_, group)) => groups.push(*group),
            None if FOREIGN_GROUPS.contains(&name) => {}
            None => return Err(TlsError(format!("'{name}' is no curve"))),
        }
    }
    if groups.is_empty() {
        Err(TlsError("none of the curves is supported".to_owned()))
    } else {
        Ok(groups)
    }
}

impl Parameters {
    /// The versions, newest first: 1.2 only if a suite is left for it.
    ///
    /// # Errors
    /// If none is left.
    pub(super) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let all = [
            (Version::V13, &rustls::version::TLS13, true),
            (
                Version::V12,
                &rustls::version::TLS12,
                self.suites.as_ref().is_none_or(|s| !s.is_empty()),
            ),
        ];
        let accepted = all
            .into_iter()
            .filter(|(v, _, has_suites)| (self.min..=self.max).contains(v) && *has_suites);
        let versions: Vec<_> = accepted.map(|(_, version, _)| version).collect();
        if versions.is_empty() {
            return Err(TlsError(
                "no version of TLS is left, or no cipher suite for it".to_owned(),
            ));
        }
        Ok(versions)
    }

    /// The cryptography, limited to suites and key exchanges.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(suites) = &self.suites {
            // The list is about TLS 1.2; suites of 1.3 are always offered, as in Envoy.
            provider
                .cipher_suites
                .retain(|suite| suite.tls13().is_some() || suites.contains(&suite.suite()));
            provider.cipher_suites.sort_by_key(|suite| {
                suites
                    .iter()
                    .position(|listed| *listed == suite.suite())
                    .map_or(0, |place| place + 1)
            });
        }
        if let Some(groups) = &self.groups {
            provider.kx_groups.clone_from(groups);
        }
        Arc::new(provider)
    }
}

/// OpenSSL's name of a suite, as logs and stats have it.
pub(super) fn name_of(suite: CipherSuite) -> &'static str {
    let mut all = SUITES.iter().chain(SUITES_13);
    all.find(|(_, known)| *known == suite).map_or("unknown", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Result<Vec<CipherSuite>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        suites_named(&names).map_err(|error| error.0)
    }

    #[test]
    fn suites_are_limited_and_ordered_by_name_and_weak_ones_passed_over() {
        let suites = named(&[
            "[ECDHE-ECDSA-CHACHA20-POLY1305|ECDHE-ECDSA-AES128-GCM-SHA256]",
            "AES128-GCM-SHA256",
            "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
        ]);
        let parameters = Parameters { suites: Some(suites.unwrap()), ..Parameters::default() };
        let provider = parameters.provider();
        let offered = provider.cipher_suites.iter().map(|suite| name_of(suite.suite()));
        let offered: Vec<_> = offered.collect();
        assert_eq!(
            offered[3..],
            [
                "ECDHE-ECDSA-CHACHA20-POLY1305",
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES256-GCM-SHA384"
            ]
        );
        assert!(offered[..3].iter().all(|name| name.starts_with("TLS_")), "{offered:?}");
    }

    #[test]
    fn a_list_of_nothing_but_weak_suites_leaves_no_tls_1_2() {
        let suites = Some(named(&["AES128-GCM-SHA256"]).unwrap());
        let parameters = Parameters { suites, ..Parameters::default() };
        assert_eq!(parameters.versions().unwrap(), [&rustls::version::TLS13]);
        let parameters = Parameters { max: Version::V12, ..parameters };
        assert!(parameters.versions().is_err());
    }

    #[test]
    fn names_that_nobody_knows_are_refused() {
        for name in ["foo", "-ALL", "ALL", "TLS_AES_128_GCM_SHA256", ""] {
            assert_eq!(named(&[name]), Err(format!("'{name}' is no cipher suite")));
        }
        let groups = |names: &[&str]| {
            groups_named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(groups(&["P-384", "P-521", "X25519"]).unwrap().len(), 2);
        assert_eq!(groups(&["P-521"]).unwrap_err().0, "none of the curves is supported");
        assert_eq!(groups(&["foo"]).unwrap_err().0, "'foo' is no curve");
    }

    #[test]
    fn versions_are_a_range() {
        let only_13 = Parameters { min: Version::V13, ..Parameters::default() };
        assert_eq!(only_13.versions().unwrap().len(), 1);
        assert_eq!(Parameters::default().versions().unwrap().len(), 2);
        let none = Parameters { min: Version::V13, max: Version::V12, ..Parameters::default() };
        assert!(none.versions().is_err());
    }
}
