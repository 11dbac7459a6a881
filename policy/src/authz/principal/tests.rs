//! Each test of a principal, with what Envoy 1.40 answered.

use super::super::PeerIdentity;
use super::*;
use crate::matcher::{Regex, StringRule};

fn peer(uris: &[&str], names: &[&str], subject: &str) -> PeerIdentity {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
    PeerIdentity { uri_sans: own(uris), dns_sans: own(names), subject: subject.into() }
}

fn regex(text: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Regex(Regex::new(text).unwrap()), false)
}

/// Observed on Envoy 1.40; the columns are a plain connection, TLS without a client certificate, a
/// certificate with all names, with a DNS name and a subject, with a subject, with one URI name, and
/// with names of other kinds only.
#[test]
fn a_peer_answers_to_each_of_its_names() {
    let (one, two) = ("spiffe://td/ns/a/sa/one", "spiffe://td/ns/a/sa/two");
    let all = peer(&[one, two], &["d1.example", "d2.example"], r"CN=subj,O=Org\, Inc");
    let dns = peer(&[], &["d1.example"], "CN=subj");
    let (subject, uri) = (peer(&[], &[], "CN=subj"), peer(&[one], &[], ""));
    let (none, other) = (PeerIdentity::default(), PeerIdentity::default());
    let peers =
        [None, Some(&none), Some(&all), Some(&dns), Some(&subject), Some(&uri), Some(&other)];
    let exact = |text| PrincipalTest::AuthenticatedAs(StringMatcher::exact(text));
    let no_case =
        StringMatcher::new(StringRule::Exact(one.to_ascii_uppercase().as_bytes().into()), true);
    for (test, expected) in [
        (PrincipalTest::Authenticated, [0, 1, 1, 1, 1, 1, 1]),
        (exact(one), [0, 0, 1, 0, 0, 1, 0]),
        (exact(two), [0, 0, 1, 0, 0, 0, 0]),
        (exact("d1.example"), [0, 0, 1, 1, 0, 0, 0]),
        (exact("d2.example"), [0, 0, 1, 0, 0, 0, 0]),
        (exact("CN=subj"), [0, 0, 0, 1, 1, 0, 0]),
        (exact(r"CN=subj,O=Org\, Inc"), [0, 0, 1, 0, 0, 0, 0]),
        (exact(&format!("{one},{two}")), [0, 0, 0, 0, 0, 0, 0]),
        (PrincipalTest::AuthenticatedAs(regex(".*")), [0, 1, 1, 1, 1, 1, 1]),
        (PrincipalTest::AuthenticatedAs(regex(".+")), [0, 0, 1, 1, 1, 1, 0]),
        (PrincipalTest::AuthenticatedAs(no_case), [0, 0, 1, 0, 0, 1, 0]),
    ] {
        for (peer, expected) in peers.into_iter().zip(expected) {
            let request = Request { peer, ..Request::default() };
            assert_eq!(test.ask(&request), Some(expected == 1), "{test:?} {peer:?}");
        }
    }
}

#[test]
fn each_address_is_tested_by_its_own_name() {
    let of = |net: &str| CidrSet::new([net.parse().unwrap()]);
    let request = Request {
        source: "127.0.0.1".parse().ok(),
        direct_remote: "127.0.0.2".parse().ok(),
        remote: "9.9.9.9".parse().ok(),
        ..Request::default()
    };
    for (test, expected) in [
        (PrincipalTest::SourceIp(of("127.0.0.1/32")), Some(true)),
        (PrincipalTest::SourceIp(of("9.9.9.9/32")), Some(false)),
        (PrincipalTest::DirectRemoteIp(of("127.0.0.2/32")), Some(true)),
        (PrincipalTest::RemoteIp(of("9.9.9.9/32")), Some(true)),
        (PrincipalTest::RemoteIp(of("::/0")), Some(false)),
    ] {
        assert_eq!(test.ask(&request), expected, "{test:?}");
        assert_eq!(test.ask(&Request::default()), None, "{test:?}");
    }
}
