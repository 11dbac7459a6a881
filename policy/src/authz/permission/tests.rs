//! Each test of a permission, with what Envoy 1.40 answered.

use super::*;
use crate::head::RequestHead;
use crate::matcher::{Regex, StringRule};

fn prefix(text: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Prefix(text.as_bytes().into()), false)
}

fn suffix(text: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Suffix(text.as_bytes().into()), false)
}

fn regex(text: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Regex(Regex::new(text).unwrap()), false)
}

/// Statuses observed on Envoy 1.40 with `url_path` in a DENY policy: 1 is denied.
#[test]
fn url_path_sees_raw_bytes_without_the_query() {
    let targets = [
        "/admin",
        "/admin?x=1",
        "/admin/",
        "/admin;a=b",
        "/%61dmin",
        "/Admin",
        "/admin%2f",
        "/x/../admin",
        "//admin",
        "/admin?",
        "/ad",
        "/admin%3fx",
        "/a?/admin",
    ];
    let no_case = StringMatcher::new(StringRule::Exact(b"/admin".as_slice().into()), true);
    for (matcher, expected) in [
        (StringMatcher::exact("/admin"), [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
        (no_case, [1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]),
        (prefix("/admin"), [1, 1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0]),
        (suffix("admin"), [1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]),
        (regex("/admin.*"), [1, 1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0]),
        (regex("/[a-z]+"), [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1]),
    ] {
        let test = PermissionTest::UrlPath(matcher);
        for (target, expected) in targets.iter().zip(expected) {
            let head = RequestHead::new(b"GET", b"a.com", target.as_bytes());
            let request = Request { head: Some(&head), ..Request::default() };
            assert_eq!(test.ask(&request), Some(expected == 1), "{test:?} {target}");
        }
    }
}

#[test]
fn addresses_ports_and_server_names() {
    let cidr = |net: &str| CidrSet::new([net.parse().unwrap()]);
    let at = |destination: &str, sni| Request {
        destination: Some(destination.parse().unwrap()),
        sni,
        ..Request::default()
    };
    for (test, request, expected) in [
        (PermissionTest::DestinationIp(cidr("127.9.9.9/8")), at("127.0.0.1:80", None), true),
        (PermissionTest::DestinationIp(cidr("10.0.0.0/8")), at("127.0.0.1:80", None), false),
        (PermissionTest::DestinationPort(PortRange::one(80)), at("[::1]:80", None), true),
        (PermissionTest::DestinationPort(PortRange::one(80)), at("[::1]:81", None), false),
        (PermissionTest::RequestedServerName(suffix(".com")), at("[::1]:1", Some("a.com")), true),
        (PermissionTest::RequestedServerName(suffix(".com")), at("[::1]:1", None), false),
        (PermissionTest::RequestedServerName(regex(".*")), at("[::1]:1", None), true),
    ] {
        assert_eq!(test.ask(&request), Some(expected), "{test:?} {request:?}");
    }
}

#[test]
fn port_ranges_are_half_open_and_checked() {
    let range = PortRange::new(80, 82).unwrap();
    assert_eq!([79, 80, 81, 82].map(|port| range.contains(port)), [false, true, true, false]);
    assert!(PortRange::new(0, 65_536).unwrap().contains(u16::MAX));
    for (start, end) in [(1, 1), (5, 1), (-1, 3), (1, 65_537), (i32::MIN, i32::MAX)] {
        assert_eq!(PortRange::new(start, end), Err(RuleError::PortRange(start, end)));
    }
    assert_eq!(PortRange::one(u16::MAX).to_string(), "65535");
    assert_eq!(range.to_string(), "80-81");
}

#[test]
fn tests_of_http_and_of_an_unknown_destination_cannot_be_asked() {
    for test in [
        PermissionTest::UrlPath(prefix("/")),
        PermissionTest::UriTemplate(PathTemplate::new("/**").unwrap()),
        PermissionTest::DestinationIp(CidrSet::default()),
        PermissionTest::DestinationPort(PortRange::one(80)),
    ] {
        assert_eq!(test.ask(&Request::default()), None, "{test:?}");
    }
}
