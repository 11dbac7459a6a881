//! Authorities beside the virtual host that Envoy 1.40 was seen to choose among the same domains, and
//! authorities that no sane client sends.

use super::*;

const NAMES: [&str; 12] = [
    "A.foo.com",
    "a.foo.com:81",
    "*.foo.com",
    "*.b.foo.com",
    "*-x.foo.com",
    "a.foo.*",
    "a.foo.c*",
    "*.mid.*",
    "m.*.com",
    "[::1]",
    "[::1]:80",
    "*",
];

fn domains(names: &[&str]) -> Result<Domains, DomainError> {
    Domains::new(names.iter().enumerate().map(|(index, name)| (*name, index)))
}

/// Pairs observed on Envoy 1.40: the domain for the authority as it is, and without its port.
#[test]
fn finds_the_domain_that_envoy_finds() {
    let domains = domains(&NAMES).unwrap();
    let find = |authority: &[u8]| NAMES[domains.find(authority).unwrap()];
    for (authority, expected, expected_without_port) in [
        ("a.foo.com", "A.foo.com", "A.foo.com"),
        ("A.FOO.com", "A.foo.com", "A.foo.com"),
        ("a.foo.com:81", "a.foo.com:81", "A.foo.com"),
        ("a.foo.com:82", "a.foo.c*", "A.foo.com"),
        ("a.foo.com:", "a.foo.c*", "A.foo.com"),
        ("a.foo.com:abc", "a.foo.c*", "A.foo.com"),
        ("a.foo.com:8:1", "a.foo.c*", "a.foo.c*"),
        ("b.foo.com", "*.foo.com", "*.foo.com"),
        ("X.B.foo.com", "*.b.foo.com", "*.b.foo.com"),
        (".foo.com", "*", "*"),
        ("foo.com", "*", "*"),
        ("q-x.foo.com", "*-x.foo.com", "*-x.foo.com"),
        ("-x.foo.com", "*.foo.com", "*.foo.com"),
        ("a.foo.net", "a.foo.*", "a.foo.*"),
        ("a.foo.", "*", "*"),
        ("a.foo.c", "a.foo.*", "a.foo.*"),
        ("a.foo.com.", "a.foo.c*", "a.foo.c*"),
        ("x.mid.y", "*", "*"),
        ("x.mid.*", "*.mid.*", "*.mid.*"),
        ("m.*.com", "m.*.com", "m.*.com"),
        ("m.z.com", "*", "*"),
        ("[::1]", "[::1]", "[::1]"),
        ("[::1]:80", "[::1]:80", "[::1]"),
        ("[::1]:81", "*", "[::1]"),
        ("[::1", "*", "*"),
        ("", "*", "*"),
        ("*.foo.com", "*.foo.com", "*.foo.com"),
    ] {
        assert_eq!(find(authority.as_bytes()), expected, "{authority}");
        let without = without_port(authority.as_bytes());
        assert_eq!(find(without), expected_without_port, "{authority} without its port");
    }
}

#[test]
fn without_an_asterisk_of_its_own_an_unknown_authority_has_no_host() {
    let domains = domains(&["", "*o*", "a.com"]).unwrap();
    assert_eq!(domains.find(b""), Some(0));
    assert_eq!(domains.find(b"xo*"), Some(1));
    assert_eq!(domains.find(b"zzz"), None);
}

#[test]
fn authorities_longer_than_any_domain_match_wildcards_only() {
    let longest = "a".repeat(MAX_LEN);
    let domains = domains(&[&longest, "*.foo.com", "foo.*"]).unwrap();
    assert_eq!(domains.find(longest.as_bytes()), Some(0));
    assert_eq!(domains.find("a".repeat(MAX_LEN + 1).as_bytes()), None);
    assert_eq!(domains.find(format!("{longest}.FOO.com").as_bytes()), Some(1));
    assert_eq!(domains.find(format!("Foo.{longest}").as_bytes()), Some(2));
    assert_eq!(domains.find(&vec![0xff; 100_000]), None);
}

#[test]
fn a_domain_that_stands_twice_or_is_too_long_is_refused() {
    for (names, twice) in [
        (["a.com", "A.com"], "a.com"),
        (["*.a", "*.A"], "*.a"),
        (["a.*", "A.*"], "a.*"),
        (["*", "*"], "*"),
    ] {
        assert_eq!(domains(&names).unwrap_err(), DomainError::Duplicate(twice.to_owned()));
    }
    let long = "a".repeat(MAX_LEN + 1);
    assert_eq!(domains(&[&long]).unwrap_err(), DomainError::TooLong(long));
}
