//! Which subject alternative names a peer's certificate may have: each matcher looks only at names of its own kind.
//! (envoy: extensions.transport_sockets.tls.v3.SubjectAltNameMatcher)

use std::net::IpAddr;

use outrigger_policy::matcher::{StringMatcher, StringRule};
use rustls::pki_types::ServerName;

use super::names::Names;

/// The kind of a subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanKind {
    /// A URI: a SPIFFE ID.
    Uri,
    /// A DNS name.
    Dns,
    /// An e-mail address.
    Email,
    /// An IP address.
    Ip,
}

/// A name that the certificate may have.
#[derive(Clone, Debug)]
pub struct SanMatcher {
    /// The kind of name.
    pub kind: SanKind,
    /// What the name looks like.
    pub matcher: StringMatcher,
}

impl SanMatcher {
    /// True if one of the names fits.
    pub(super) fn matches(&self, names: &Names) -> bool {
        let any = |list: &[Box<str>]| list.iter().any(|name| self.matcher.matches(name.as_bytes()));
        match self.kind {
            SanKind::Uri => any(&names.uris),
            SanKind::Email => any(&names.emails),
            SanKind::Dns => match self.matcher.rule() {
                StringRule::Exact(wanted) => names.dns.iter().any(|name| is_named(name, wanted)),
                _ => any(&names.dns),
            },
            SanKind::Ip => {
                let text = |ip: &IpAddr| ip.to_string();
                names.ips.iter().any(|ip| self.matcher.matches(text(ip).as_bytes()))
            }
        }
    }
}

/// True if a certificate with these names is the server's that was asked for.
pub(super) fn is_server(names: &Names, server: &ServerName<'_>) -> bool {
    match server {
        ServerName::DnsName(wanted) => {
            names.dns.iter().any(|name| is_named(name, wanted.as_ref().as_bytes()))
        }
        ServerName::IpAddress(wanted) => {
            let wanted = IpAddr::from(*wanted);
            // The unspecified address stands for no name.
            !wanted.is_unspecified() && names.ips.contains(&wanted)
        }
        _ => false,
    }
}

/// True if `wanted` is the certificate's DNS name, whose first label may be `*` for any one label. Case does not matter. (RFC 6125 §6.4)
pub(super) fn is_named(name: &str, wanted: &[u8]) -> bool {
    if name.as_bytes().eq_ignore_ascii_case(wanted) {
        return true;
    }
    let Some(parent) = name.strip_prefix("*.") else { return false };
    let rest =
        memchr::memchr(b'.', wanted).filter(|at| *at > 0).and_then(|at| wanted.get(at + 1..));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(parent.as_bytes()))
}

#[cfg(test)]
mod tests {
    use outrigger_policy::matcher::StringRule;

    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, wanted, expected) in [
            ("a.example.com", "a.example.com", true),
            ("A.example.com", "a.EXAMPLE.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "A.Example.Com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "", false),
            ("a*.example.com", "ab.example.com", false),
            ("*", "com", false),
            ("*.", "com.", true),
        ] {
            assert_eq!(is_named(name, wanted.as_bytes()), expected, "{name} {wanted}");
        }
    }

    #[test]
    fn a_matcher_sees_names_of_its_kind_only() {
        let names = Names {
            uris: vec!["spiffe://td/a".into()],
            dns: vec!["*.example.com".into()],
            emails: vec!["a@example.com".into()],
            ips: vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        };
        let matches = |kind, rule| {
            SanMatcher { kind, matcher: StringMatcher::new(rule, false) }.matches(&names)
        };
        let exact = |text: &str| StringRule::Exact(text.as_bytes().into());
        assert!(matches(SanKind::Uri, exact("spiffe://td/a")));
        assert!(!matches(SanKind::Dns, exact("spiffe://td/a")));
        assert!(matches(SanKind::Dns, exact("x.example.com")));
        assert!(!matches(SanKind::Uri, exact("x.example.com")));
        assert!(matches(SanKind::Dns, StringRule::Suffix(b".example.com".as_slice().into())));
        assert!(!matches(SanKind::Dns, StringRule::Prefix(b"x.".as_slice().into())));
        assert!(matches(SanKind::Email, exact("a@example.com")));
        assert!(!matches(SanKind::Dns, exact("a@example.com")));
        assert!(matches(SanKind::Ip, exact("2001:db8::1")));
        assert!(!matches(SanKind::Ip, exact("2001:DB8::1")));
    }
}
