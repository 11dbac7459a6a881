//! Decisions compared with what Envoy 1.40 did with the same policy, request and upstream.

use std::time::{Duration, SystemTime};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::breaker::{CircuitBreakers, RoutingPriority, Thresholds};
use crate::head::{Name, RequestHead};
use crate::matcher::{HeaderMatcher, HeaderRule, StringMatcher};

const ALL: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

fn request(lines: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new(b"GET", b"a.com", b"/");
    for (name, value) in lines {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    head
}

fn response(status: u16, lines: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(status);
    for (name, value) in lines {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    head
}

fn header(name: &str, rule: HeaderRule) -> HeaderMatcher {
    HeaderMatcher::new(Name::new(name), rule, false, false)
}

fn policy(retry_on: &str, num_retries: u32) -> RetryPolicy {
    let retry_on = Conditions::configured(retry_on.as_bytes());
    RetryPolicy { retry_on, num_retries, ..RetryPolicy::default() }
}

/// A breaker that admits everything.
fn open_breakers() -> CircuitBreakers {
    let thresholds = Thresholds { max_retries: 100, ..Thresholds::default() };
    CircuitBreakers::new(&thresholds, &thresholds)
}

fn decide(state: &mut RetryState, policy: &RetryPolicy, outcome: Outcome<'_>) -> Decision {
    let breakers = open_breakers();
    let breaker = breakers.of(RoutingPriority::Default);
    state.decide(policy, outcome, breaker, SystemTime::now(), &mut StdRng::seed_from_u64(1))
}

/// Attempts until a decision is final, if each ends with `outcome`, and that decision.
fn attempts(
    policy: &RetryPolicy,
    request: &mut RequestHead,
    outcome: Outcome<'_>,
) -> (u32, Decision) {
    let Some(mut state) = policy.begin(request) else { return (1, Decision::No) };
    let mut attempts = 1;
    loop {
        match decide(&mut state, policy, outcome) {
            Decision::Retry(_) => attempts += 1,
            last => return (attempts, last),
        }
    }
}

/// Conditions that retry `outcome`, in the order of [`ALL`].
fn retried_by(outcome: Outcome<'_>) -> Vec<&'static str> {
    let is_retried = |name: &str| {
        let mut policy = policy(name, 1);
        policy.retriable_status_codes = Box::new([418, 425]);
        let again = HeaderRule::Value(StringMatcher::exact("yes"));
        policy.retriable_headers = Box::new([header("x-again", again)]);
        match attempts(&policy, &mut request(&[]), outcome) {
            (1, Decision::No) => false,
            (2, Decision::Exhausted) => true,
            other => panic!("{name}: {other:?}"),
        }
    };
    ALL.into_iter().filter(|name| is_retried(name)).collect()
}

#[test]
fn each_condition_retries_the_responses_that_envoy_retries() {
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (500, &[], &["5xx"]),
        (501, &[], &["5xx"]),
        (502, &[], &["5xx", "gateway-error"]),
        (503, &[], &["5xx", "gateway-error"]),
        (504, &[], &["5xx", "gateway-error"]),
        (505, &[], &["5xx"]),
        (409, &[], &["retriable-4xx"]),
        (404, &[], &[]),
        (429, &[], &[]),
        (418, &[], &["retriable-status-codes"]),
        (425, &[], &["retriable-status-codes"]),
        (503, &[("x-envoy-ratelimited", "true")], &["envoy-ratelimited"]),
        (429, &[("x-envoy-ratelimited", "true")], &["envoy-ratelimited"]),
        (503, &[("x-envoy-overloaded", "true")], &["5xx", "gateway-error"]),
        (200, &[("x-again", "yes")], &["retriable-headers"]),
        (200, &[("x-again", "no")], &[]),
        (200, &[("grpc-status", "1")], &["cancelled"]),
        (200, &[("grpc-status", "4")], &["deadline-exceeded"]),
        (200, &[("grpc-status", "13")], &["internal"]),
        (200, &[("grpc-status", "8")], &["resource-exhausted"]),
        (200, &[("grpc-status", "14")], &["unavailable"]),
        (200, &[("grpc-status", "2")], &[]),
    ];
    for (status, lines, expected) in rows {
        let head = response(*status, lines);
        assert_eq!(retried_by(Outcome::Response(&head)), *expected, "{status} {lines:?}");
    }
}

#[test]
fn each_condition_retries_the_resets_that_envoy_retries() {
    use ResetReason::{ConnectFailure, Other, Overflow, RefusedStream};
    let any = ["5xx", "gateway-error", "reset"];
    for (reason, request_started, also) in [
        // RST or FIN after the request, garbage, timeout of the attempt, RST_STREAM INTERNAL_ERROR.
        (Other, true, &[][..]),
        (Other, false, &["reset-before-request"]),
        (ConnectFailure, false, &["reset-before-request", "connect-failure"]),
        (RefusedStream, true, &["refused-stream"]),
    ] {
        let outcome = Outcome::Reset(Reset { reason, request_started });
        let expected: Vec<_> = any.iter().chain(also).copied().collect();
        assert_eq!(retried_by(outcome), expected, "{reason:?} {request_started}");
    }
    let overflow = Reset { reason: Overflow, request_started: false };
    assert!(retried_by(Outcome::Reset(overflow)).is_empty());
}

#[test]
fn headers_of_the_request_are_merged_as_in_envoy() {
    let on_5xx: &[(&str, &str)] = &[("x-envoy-retry-on", "5xx")];
    type Row<'a> = (&'a str, u32, &'a [(&'a str, &'a str)], u32, Decision);
    use Decision::{Exhausted, No};
    let rows: &[Row<'_>] = &[
        ("", 1, &[], 1, No),
        ("", 1, on_5xx, 2, Exhausted),
        ("", 1, &[("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "3")], 4, Exhausted),
        ("", 1, &[("x-envoy-max-retries", "3")], 1, No),
        ("5xx", 2, &[], 3, Exhausted),
        ("5xx", 2, &[("x-envoy-max-retries", "0")], 1, Exhausted),
        ("5xx", 2, &[("x-envoy-max-retries", "4")], 5, Exhausted),
        ("5xx", 2, &[("x-envoy-max-retries", " +4 ")], 5, Exhausted),
        ("5xx", 2, &[("x-envoy-max-retries", "-1")], 3, Exhausted),
        ("5xx", 2, &[("x-envoy-max-retries", "x")], 3, Exhausted),
        ("5xx,foo, gateway-error ,503", 1, &[], 2, Exhausted),
        ("foo, gateway-error ", 1, &[], 2, Exhausted),
        ("", 1, &[("x-envoy-retry-on", "foo , gateway-error ")], 2, Exhausted),
        ("", 1, &[("x-envoy-retry-grpc-on", "5xx")], 1, No),
        ("retriable-status-codes", 1, &[], 1, No),
        (
            "retriable-status-codes",
            1,
            &[("x-envoy-retriable-status-codes", "418, 503")],
            2,
            Exhausted,
        ),
        ("reset", 1, &[("x-envoy-retriable-status-codes", "503")], 1, No),
        (
            "retriable-headers",
            1,
            &[("x-envoy-retriable-header-names", "x-bar, X-Foo")],
            2,
            Exhausted,
        ),
        ("retriable-headers", 1, &[("x-envoy-retriable-header-names", ":status")], 2, Exhausted),
        ("retriable-headers", 1, &[], 1, No),
    ];
    let answer = response(503, &[("x-foo", "a")]);
    for (retry_on, num_retries, lines, expected, last) in rows {
        let policy = policy(retry_on, *num_retries);
        let seen = attempts(&policy, &mut request(lines), Outcome::Response(&answer));
        assert_eq!(seen, (*expected, *last), "{retry_on} {lines:?}");
    }
}

#[test]
fn a_grpc_condition_comes_by_its_own_header_only() {
    let answer = response(200, &[("grpc-status", "1")]);
    for (name, expected) in [("x-envoy-retry-on", 1), ("x-envoy-retry-grpc-on", 2)] {
        let mut request = request(&[(name, "cancelled")]);
        let (attempts, _) = attempts(&policy("", 1), &mut request, Outcome::Response(&answer));
        assert_eq!(attempts, expected);
    }
}

#[test]
fn retry_headers_never_reach_the_upstream_and_other_lines_stay() {
    let lines = [
        ("x-envoy-retry-on", "5xx"),
        ("x-a", "1"),
        ("x-envoy-max-retries", "3"),
        ("x-envoy-retry-grpc-on", "cancelled"),
        ("x-envoy-retriable-status-codes", "1"),
        ("x-envoy-retriable-header-names", "a"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "100"),
        ("x-envoy-hedge-on-per-try-timeout", "false"),
        ("x-b", "2"),
    ];
    let mut all = request(&lines);
    assert!(policy("", 1).begin(&mut all).is_some());
    let mut unused = request(&lines[2..]);
    assert!(policy("", 1).begin(&mut unused).is_some());
    let mut only_max = request(&[("x-envoy-max-retries", "3"), ("x-a", "1")]);
    assert!(policy("", 1).begin(&mut only_max).is_none());
    let left = |head: &RequestHead| head.headers.iter().map(|l| l.0.to_vec()).collect::<Vec<_>>();
    assert_eq!(left(&all), [b"x-a", b"x-b"]);
    assert_eq!(left(&unused), [b"x-b"]);
    assert_eq!(left(&only_max), [b"x-a"]);
}

#[test]
fn only_requests_that_match_are_retried_if_the_policy_says_so() {
    let mut policy = policy("5xx", 1);
    policy.retriable_request_headers = Box::new([header("x-ok", HeaderRule::Present(true))]);
    let begins = |lines| policy.begin(&mut request(lines)).is_some();
    assert!(!begins(&[]));
    assert!(!begins(&[("x-envoy-retry-on", "5xx")]));
    assert!(begins(&[("x-ok", "1")]));
}

#[test]
fn the_status_is_a_header_of_a_response() {
    let mut policy = policy("retriable-headers", 1);
    let rule = HeaderRule::Value(StringMatcher::exact("502"));
    policy.retriable_headers = Box::new([header(":status", rule)]);
    for (status, expected) in [(502, 2), (503, 1)] {
        let head = response(status, &[]);
        assert_eq!(attempts(&policy, &mut request(&[]), Outcome::Response(&head)).0, expected);
    }
}

#[test]
fn too_early_is_retried_at_once_but_not_for_early_data() {
    let mut policy = policy("retriable-status-codes", 1);
    policy.retriable_status_codes = Box::new([425]);
    let answer = response(425, &[]);
    let once = |policy: &RetryPolicy, lines| {
        let mut state = policy.begin(&mut request(lines)).unwrap();
        decide(&mut state, policy, Outcome::Response(&answer))
    };
    assert_eq!(once(&policy, &[]), Decision::Retry(Wait::None));
    assert_eq!(once(&policy, &[("early-data", "1")]), Decision::No);
    let rule = HeaderRule::Value(StringMatcher::exact("425"));
    policy.retry_on = Conditions::configured(b"retriable-headers");
    policy.retriable_headers = Box::new([header(":status", rule)]);
    assert!(matches!(once(&policy, &[]), Decision::Retry(Wait::Exponential(_))));
}

#[test]
fn the_breaker_counts_a_retry_until_its_answer_or_the_end_of_the_request() {
    let one = Thresholds { max_retries: 1, ..Thresholds::default() };
    let breakers = CircuitBreakers::new(&one, &one);
    let breaker = breakers.of(RoutingPriority::Default);
    let policy = policy("5xx", 2);
    let (bad, good) = (response(503, &[]), response(200, &[]));
    let mut rng = StdRng::seed_from_u64(1);
    let mut decide = |state: &mut RetryState, head| {
        state.decide(&policy, Outcome::Response(head), breaker, SystemTime::now(), &mut rng)
    };
    let begin = || policy.begin(&mut request(&[])).unwrap();
    let (mut first, mut second) = (begin(), begin());
    assert!(matches!(decide(&mut first, &bad), Decision::Retry(_)));
    assert_eq!(decide(&mut second, &bad), Decision::Overflow);
    // A state's own retry is answered when it asks again.
    assert!(matches!(decide(&mut first, &bad), Decision::Retry(_)));
    assert_eq!(decide(&mut first, &good), Decision::No);
    assert!(matches!(decide(&mut second, &bad), Decision::Retry(_)));
    drop(second);
    assert!(matches!(decide(&mut begin(), &bad), Decision::Retry(_)));
}

#[test]
fn a_wait_that_the_upstream_asks_for_does_not_move_the_back_off() {
    let mut policy = policy("5xx", 3);
    let ms = Duration::from_millis;
    policy.back_off = BackOff::new(ms(1), Some(ms(1000)));
    policy.rate_limited_back_off = Some(RateLimitedBackOff {
        reset_headers: Box::new([(Name::new("retry-after"), ResetFormat::Seconds)]),
        max_interval: Duration::from_secs(300),
    });
    let (limited, plain) = (response(503, &[("retry-after", "2")]), response(503, &[]));
    let mut state = policy.begin(&mut request(&[])).unwrap();
    for _ in 0..2 {
        let Decision::Retry(Wait::RateLimited(wait)) =
            decide(&mut state, &policy, Outcome::Response(&limited))
        else {
            panic!("the header is believed")
        };
        assert!((2.0..3.0).contains(&wait.as_secs_f64()));
    }
    let Decision::Retry(Wait::Exponential(wait)) =
        decide(&mut state, &policy, Outcome::Response(&plain))
    else {
        panic!("one retry is left")
    };
    assert!(wait < ms(1), "the first of the back-off");
}

#[test]
fn hostile_lists_are_harmless() {
    let long = "5xx,".repeat(10_000);
    let policy = policy("5xx", 1);
    let answer = response(503, &[]);
    let mut request = request(&[
        ("x-envoy-retry-on", &long),
        ("x-envoy-retriable-status-codes", "0,65536,-1,99999999999999999999,\u{ff}"),
        ("x-envoy-retriable-header-names", ",, ,\u{e9},:status"),
        ("x-envoy-max-retries", "18446744073709551615"),
    ]);
    let mut state = policy.begin(&mut request).unwrap();
    for _ in 0..200 {
        assert!(matches!(
            decide(&mut state, &policy, Outcome::Response(&answer)),
            Decision::Retry(_)
        ));
    }
}
