//! Which of a server's certificates a client is shown.
//!
//! Envoy's order, as observed: the one whose name the client asks for, exactly before by wildcard, elliptic curves before RSA. A client that
//! asks for no name may get any that it can use. One that asks for a name that nobody has gets the first, or with `scans_all` any that it
//! can use.

use rustls::server::ClientHello;
use rustls::{SignatureAlgorithm, SupportedCipherSuite};

use super::certificate::Certificate;
use super::san::is_named;

/// The position of the certificate for a client; 0 if none fits, so that the handshake fails as it should.
pub(super) fn choose(
    certificates: &[Certificate],
    suites: &[SupportedCipherSuite],
    hello: &ClientHello<'_>,
    scans_all: bool,
) -> usize {
    let usable: Vec<_> = certificates
        .iter()
        .enumerate()
        .filter(|(_, certificate)| is_usable(certificate, suites, hello))
        .collect();
    let best = |fits: &dyn Fn(&str) -> bool| {
        let mut named = usable.iter().filter(|(_, c)| c.server_names.iter().any(|name| fits(name)));
        let is_curve = |c: &Certificate| c.key.key.algorithm() != SignatureAlgorithm::RSA;
        named.clone().find(|(_, c)| is_curve(c)).or_else(|| named.next()).map(|(place, _)| *place)
    };
    let any = || best(&|_| true);
    let Some(wanted) = hello.server_name() else { return any().unwrap_or(0) };
    let exact = best(&|name| name.eq_ignore_ascii_case(wanted));
    let named = exact.or_else(|| best(&|name| is_named(name, wanted.as_bytes())));
    named.or_else(|| if scans_all { any() } else { None }).unwrap_or(0)
}

/// True if the client can check a signature of the certificate's key, and has a suite for it.
fn is_usable(
    certificate: &Certificate,
    suites: &[SupportedCipherSuite],
    hello: &ClientHello<'_>,
) -> bool {
    let key = &certificate.key.key;
    let is_offered = |suite: &SupportedCipherSuite| hello.cipher_suites().contains(&suite.suite());
    let has_suite = suites.iter().filter(|suite| is_offered(suite)).any(|suite| match suite {
        SupportedCipherSuite::Tls12(suite) => key.choose_scheme(suite.sign).is_some(),
        SupportedCipherSuite::Tls13(_) => true,
    });
    has_suite && key.choose_scheme(hello.signature_schemes()).is_some()
}
