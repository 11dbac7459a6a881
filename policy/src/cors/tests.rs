//! Requests and what Envoy 1.40 did with them.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::fraction::Denominator;
use crate::matcher::{Regex, StringRule};

const A: &str = "https://a.example";

fn prefix(text: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Prefix(text.as_bytes().into()), false)
}

fn regex(pattern: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Regex(Regex::new(pattern).unwrap()), false)
}

fn full() -> CorsLevel {
    CorsLevel {
        allow_origins: [
            StringMatcher::exact(A),
            regex(r"https://.*\.b\.example"),
            prefix("http://localhost"),
        ]
        .into(),
        allow_methods: "GET,POST".into(),
        allow_headers: "x-foo".into(),
        expose_headers: "x-bar".into(),
        max_age: "86400".into(),
        allow_credentials: Some(true),
        ..CorsLevel::default()
    }
}

fn share(numerator: u32) -> Option<Fraction> {
    Some(Fraction::new(numerator, Denominator::Hundred))
}

fn policy(levels: impl IntoIterator<Item = CorsLevel>) -> CorsPolicy {
    CorsPolicy::new(levels).unwrap().unwrap()
}

fn request(method: &str, lines: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new(method.as_bytes(), b"a.com", b"/");
    for (name, value) in lines {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    head
}

fn preflight(origin: &str, more: &[(&str, &str)]) -> RequestHead {
    let mut lines = vec![("origin", origin), ("access-control-request-method", "PUT")];
    lines.extend_from_slice(more);
    request("OPTIONS", &lines)
}

fn get(origin: &str) -> RequestHead {
    request("GET", &[("origin", origin)])
}

fn decide(policy: &CorsPolicy, head: &RequestHead) -> CorsDecision {
    policy.decide(head, &mut StdRng::seed_from_u64(1))
}

/// The headers of an answer without `access-control-`, as `allow-origin: https://a.example`.
fn lines(headers: &Headers) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let line = |(name, value)| format!("{}: {}", text(name), text(value));
    headers.iter().map(line).map(|line| line.replace("access-control-", "")).collect()
}

fn answer(policy: &CorsPolicy, head: &RequestHead) -> Vec<String> {
    match decide(policy, head).action {
        CorsAction::Answer(response) => {
            assert_eq!(response.status, 200);
            lines(&response.headers)
        }
        other => panic!("{other:?}"),
    }
}

/// The marks on the response of an upstream that has headers of its own.
fn marked(policy: &CorsPolicy, head: &RequestHead) -> Option<Vec<String>> {
    let CorsAction::Mark(granted) = decide(policy, head).action else { return None };
    let mut response = ResponseHead::new(200);
    for (name, value) in [
        ("x-up", "1"),
        ("access-control-allow-origin", "https://upstream"),
        ("x-up2", "2"),
        ("access-control-expose-headers", "up"),
        ("content-length", "2"),
    ] {
        response.headers.append(name.as_bytes(), value.as_bytes());
    }
    policy.mark(&granted, &mut response);
    Some(lines(&response.headers))
}

#[test]
fn a_preflight_request_of_an_allowed_origin_is_answered() {
    let policy = policy([full()]);
    for origin in [A, "https://x.b.example", "http://localhost:80"] {
        let expected = [
            &format!("allow-origin: {origin}"),
            "allow-credentials: true",
            "allow-methods: GET,POST",
            "allow-headers: x-foo",
            "max-age: 86400",
            "expose-headers: x-bar",
        ];
        assert_eq!(answer(&policy, &preflight(origin, &[])), expected);
    }
}

#[test]
fn the_response_to_an_allowed_origin_is_marked() {
    let full = policy([full()]);
    let expected = [
        "x-up: 1",
        &format!("allow-origin: {A}"),
        "x-up2: 2",
        "expose-headers: x-bar",
        "content-length: 2",
        "allow-credentials: true",
    ];
    let no_method = request("OPTIONS", &[("origin", A)]);
    let empty_method = request("OPTIONS", &[("origin", A), ("access-control-request-method", "")]);
    let no_preflight = request("GET", &[("origin", A), ("access-control-request-method", "PUT")]);
    for head in [get(A), no_method, empty_method, no_preflight] {
        assert_eq!(marked(&full, &head).unwrap(), expected, "{head:?}");
    }
    let bare =
        policy([CorsLevel { allow_origins: [prefix("https")].into(), ..CorsLevel::default() }]);
    let lines = marked(&bare, &get(A)).unwrap();
    assert_eq!(lines[1], format!("allow-origin: {A}"));
    assert_eq!(lines.len(), 5, "nothing else is touched: {lines:?}");
}

#[test]
fn other_requests_and_origins_pass() {
    let policy = policy([full()]);
    let two = request("GET", &[("origin", A), ("origin", "https://evil")]);
    let without = request("OPTIONS", &[("access-control-request-method", "PUT")]);
    for (head, origin_valid) in [
        (preflight("https://evil", &[]), Some(false)),
        (preflight("*", &[]), Some(false)),
        (get("https://evil"), Some(false)),
        (get("HTTPS://A.example"), Some(false)),
        (get("null"), Some(false)),
        (two, Some(false)),
        (get(""), None),
        (preflight("", &[]), None),
        (without, None),
        (request("GET", &[]), None),
    ] {
        let decision = decide(&policy, &head);
        assert!(matches!(decision.action, CorsAction::Pass), "{head:?}");
        assert_eq!(decision.origin_valid, origin_valid, "{head:?}");
    }
    assert_eq!(decide(&policy, &get(A)).origin_valid, Some(true));
}

#[test]
fn a_preflight_request_of_another_origin_is_answered_if_it_is_not_forwarded() {
    let stop = Some(false);
    let full = policy([CorsLevel { forward_not_matching_preflights: stop, ..full() }]);
    assert_eq!(
        answer(&full, &preflight("https://evil", &[])),
        [
            "allow-credentials: true",
            "allow-methods: GET,POST",
            "allow-headers: x-foo",
            "max-age: 86400"
        ]
    );
    assert!(matches!(decide(&full, &get("https://evil")).action, CorsAction::Pass));
    let allow_origins = [StringMatcher::exact(A)].into();
    let bare =
        CorsLevel { allow_origins, forward_not_matching_preflights: stop, ..CorsLevel::default() };
    let bare = policy([bare]);
    assert!(answer(&bare, &preflight("https://evil", &[])).is_empty());
    assert_eq!(answer(&bare, &preflight(A, &[])), [format!("allow-origin: {A}")]);
}

#[test]
fn stars_repeat_what_was_asked_for() {
    let star = || [StringMatcher::exact("*")].into();
    let policy = policy([CorsLevel {
        allow_origins: star(),
        allow_methods: "*".into(),
        allow_headers: "*".into(),
        expose_headers: "*".into(),
        max_age: "0".into(),
        ..CorsLevel::default()
    }]);
    let asked = "access-control-request-headers";
    for (more, methods, headers) in [
        (&[] as &[(&str, &str)], "PUT", ""),
        (&[(asked, "x-a, x-b")], "PUT", "x-a, x-b"),
        (&[(asked, "a"), (asked, "b")], "PUT", "a,b"),
        (&[("access-control-request-method", "DELETE")], "PUT,DELETE", ""),
    ] {
        let expected = [
            "allow-origin: https://any",
            &format!("allow-methods: {methods}"),
            &format!("allow-headers: {headers}"),
            "max-age: 0",
            "expose-headers: *",
        ];
        assert_eq!(answer(&policy, &preflight("https://any", more)), expected);
    }
}

#[test]
fn any_matcher_that_matches_a_star_allows_every_origin() {
    for matcher in [StringMatcher::exact("*"), regex(".*"), regex(r"\*")] {
        let level = CorsLevel { allow_origins: [matcher].into(), ..CorsLevel::default() };
        assert_eq!(decide(&policy([level]), &get("https://any")).origin_valid, Some(true));
    }
}

#[test]
fn a_private_network_is_allowed_only_if_asked_for_and_configured() {
    let asked = "access-control-request-private-network";
    let allowing = policy([CorsLevel { allow_private_network: Some(true), ..full() }]);
    let lines = answer(&allowing, &preflight(A, &[(asked, "true")]));
    assert_eq!(
        lines[4..],
        ["max-age: 86400", "allow-private-network: true", "expose-headers: x-bar"]
    );
    for (policy, asking) in [
        (&allowing, &[] as &[_]),
        (&allowing, &[(asked, "TRUE")]),
        (&policy([full()]), &[(asked, "true")]),
    ] {
        let lines = answer(policy, &preflight(A, asking));
        assert!(!lines.iter().any(|line| line.contains("private")), "{lines:?}");
    }
}

#[test]
fn a_level_inherits_what_it_leaves_open() {
    let route = || CorsLevel {
        allow_methods: "GET".into(),
        allow_credentials: Some(false),
        ..CorsLevel::default()
    };
    let forward_not_matching_preflights = Some(false);
    let host = CorsLevel { forward_not_matching_preflights, ..full() };
    let merged = policy([route(), host]);
    let allow_origin = format!("allow-origin: {A}");
    let rest = ["allow-methods: GET", "allow-headers: x-foo", "max-age: 86400"];
    assert_eq!(answer(&merged, &preflight("https://evil", &[])), rest);
    let lines = answer(&merged, &preflight(A, &[]));
    assert_eq!((&lines[0], &lines[1..4]), (&allow_origin, &rest.map(String::from)[..]));

    let own = CorsLevel { allow_origins: [prefix("https://r")].into(), ..CorsLevel::default() };
    let own = policy([own, full()]);
    assert_eq!(decide(&own, &get(A)).origin_valid, Some(false));
    assert_eq!(decide(&own, &get("https://r")).origin_valid, Some(true));
    assert!(CorsPolicy::new([]).unwrap().is_none());
}

#[test]
fn only_the_most_specific_level_switches_the_filter_off() {
    let off = || CorsLevel { filter_enabled: share(0), ..full() };
    let shadow = CorsLevel { shadow_enabled: share(100), ..off() };
    for (levels, origin_valid, marks) in [
        (vec![off()], None, false),
        (vec![shadow], Some(true), false),
        (vec![off(), full()], None, false),
        (vec![full(), off()], Some(true), true),
        (vec![CorsLevel { filter_enabled: share(100), ..full() }], Some(true), true),
    ] {
        let decision = decide(&policy(levels), &get(A));
        assert_eq!(decision.origin_valid, origin_valid);
        assert_eq!(matches!(decision.action, CorsAction::Mark(_)), marks);
    }
}

#[test]
fn a_text_that_would_split_the_response_is_refused() {
    let split = CorsLevel { max_age: "1\r\nset-cookie: a=b".into(), ..full() };
    let error = CorsPolicy::new([CorsLevel::default(), split]).unwrap_err();
    assert_eq!(error.to_string(), "max_age holds a control character");
}
