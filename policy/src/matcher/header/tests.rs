//! Header rules beside the answers of Envoy 1.40 to the same lines. Routes were asked there; other users
//! of the rules share the code, here as in Envoy.

use super::*;
use crate::head::{RequestHead, ResponseHead};
use crate::matcher::{Regex, StringRule};

fn head(values: &[&[u8]]) -> RequestHead {
    let mut head = RequestHead::new(b"GET", b"a.com", b"/");
    for value in values {
        head.headers.append(b"X-N", value);
    }
    head
}

fn matcher(rule: HeaderRule, invert: bool, missing_as_empty: bool) -> HeaderMatcher {
    HeaderMatcher::new(Name::new("x-n"), rule, invert, missing_as_empty)
}

fn exact(text: &str) -> HeaderRule {
    HeaderRule::Value(StringMatcher::exact(text))
}

/// Pairs observed on Envoy 1.40; the columns are no line, `1`, `1` and `2`, `1,2`, empty.
#[test]
fn answers_as_envoy_does() {
    let heads: [&[&[u8]]; 5] = [&[], &[b"1"], &[b"1", b"2"], &[b"1,2"], &[b""]];
    let rules = [
        (exact("1"), false, false, [0, 1, 1, 0, 0]),
        (exact("2"), false, false, [0, 0, 1, 0, 0]),
        (exact("1,2"), false, false, [0, 0, 0, 1, 0]),
        (exact("1"), true, false, [0, 0, 0, 1, 1]),
        (exact("1"), true, true, [1, 0, 0, 1, 1]),
        (exact(""), false, true, [1, 0, 0, 0, 1]),
        (HeaderRule::Present(true), false, false, [0, 1, 1, 1, 1]),
        (HeaderRule::Present(true), true, false, [1, 0, 0, 0, 0]),
        (HeaderRule::Present(true), false, true, [1, 1, 1, 1, 1]),
        (HeaderRule::Present(true), true, true, [0, 0, 0, 0, 0]),
        (HeaderRule::Present(false), false, false, [1, 0, 0, 0, 0]),
        (HeaderRule::Present(false), true, false, [0, 1, 1, 1, 1]),
        (HeaderRule::Present(false), false, true, [0, 0, 0, 0, 0]),
        (HeaderRule::Present(false), true, true, [1, 1, 1, 1, 1]),
        (HeaderRule::Range(2..3), false, false, [0, 0, 1, 0, 0]),
        (HeaderRule::Range(0..2), true, true, [1, 0, 0, 1, 1]),
    ];
    for (rule, invert, missing_as_empty, expected) in rules {
        let matcher = matcher(rule, invert, missing_as_empty);
        for (values, expected) in heads.iter().zip(expected) {
            assert_eq!(matcher.matches(&head(values)), expected == 1, "{matcher:?} {values:?}");
        }
    }
}

#[test]
fn a_range_wants_a_whole_decimal_number() {
    let one_to_ten = matcher(HeaderRule::Range(1..10), false, false);
    for value in ["5", "+5", "05", "1"] {
        assert!(one_to_ten.matches(&head(&[value.as_bytes()])), "{value}");
    }
    for value in ["-5", "5.0", "0x5", "10", "9223372036854775808", "5 5", "5,6", ""] {
        assert!(!one_to_ten.matches(&head(&[value.as_bytes()])), "{value}");
    }
}

#[test]
fn pseudo_headers_are_matched_as_received() {
    let head = RequestHead::new(b"GET", b"a.com:80", b"/q?x=1");
    for (name, value, expected) in [
        (":path", "/q?x=1", true),
        (":path", "/q", false),
        (":authority", "a.com:80", true),
        ("Host", "a.com:80", true),
        ("host", "A.com:80", false),
        (":scheme", "http", true),
        (":method", "GET", true),
        (":protocol", "", false),
    ] {
        let matcher = HeaderMatcher::new(Name::new(name), exact(value), false, false);
        assert_eq!(matcher.matches(&head), expected, "{name} {value}");
    }
}

#[test]
fn a_value_that_is_not_utf8_is_denied_by_an_inverted_regex() {
    let rule = StringRule::Regex(Regex::new("[a-z]+").unwrap());
    let rule = HeaderRule::Value(StringMatcher::new(rule, false));
    assert!(matcher(rule, true, false).matches(&head(&[b"\xff"])));
}

#[test]
fn a_response_is_matched_by_its_lines_and_its_status() {
    let exact = |name: &str, value: &str| {
        let rule = HeaderRule::Value(StringMatcher::exact(value));
        HeaderMatcher::new(Name::new(name), rule, false, false)
    };
    assert!(exact(":status", "503").matches(&ResponseHead::new(503)));
    assert!(!exact(":status", "503").matches(&ResponseHead::new(502)));
    let mut answer = ResponseHead::new(200);
    answer.headers.append(b"x-role", b"admin");
    assert!(exact("x-role", "admin").matches(&answer));
}
