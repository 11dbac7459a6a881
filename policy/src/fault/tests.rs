//! Requests and the faults that Envoy 1.40 injected. Ours alone are numbers that leave their type, which
//! Envoy wraps around, and durations that no message can hold.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::fraction::Denominator;
use crate::head::Name;
use crate::matcher::{HeaderRule, StringMatcher};

const ALWAYS: Fraction = Fraction::new(100, Denominator::Hundred);
const DELAY: &str = "x-envoy-fault-delay-request";
const DELAY_SHARE: &str = "x-envoy-fault-delay-request-percentage";
const ABORT: &str = "x-envoy-fault-abort-request";
const ABORT_GRPC: &str = "x-envoy-fault-abort-grpc-request";
const ABORT_SHARE: &str = "x-envoy-fault-abort-request-percentage";
const NODE: &str = "x-envoy-downstream-service-node";

fn head(lines: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new(b"GET", b"a.com", b"/");
    for (name, value) in lines {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    head
}

fn abort(with: AbortWith, percentage: Fraction) -> Option<Abort> {
    Some(Abort { with, percentage, body: ABORT_BODY.into() })
}

fn teapot() -> Fault {
    let with = AbortWith::Status(AbortStatus::Http(418));
    Fault { abort: abort(with, ALWAYS), ..Fault::default() }
}

fn delay(by: DelayBy, percentage: Fraction) -> Fault {
    Fault { delay: Some(Delay { by, percentage }), ..Fault::default() }
}

fn decide(fault: &Fault, lines: &[(&str, &str)]) -> Plan {
    fault.decide(&head(lines), Some("up"), &mut StdRng::seed_from_u64(1))
}

#[test]
fn a_fixed_abort_and_a_fixed_delay_ignore_headers() {
    let lines = [(ABORT, "503"), (ABORT_SHARE, "0"), (DELAY, "0"), (DELAY_SHARE, "0")];
    let fixed = delay(DelayBy::Fixed(Duration::from_micros(150_900)), ALWAYS);
    let both = Fault { delay: fixed.delay, ..teapot() };
    let expected =
        Plan { delay: Some(Duration::from_millis(150)), abort: Some(AbortStatus::Http(418)) };
    assert_eq!(decide(&both, &lines), expected);
    assert_eq!(decide(&both, &[]), expected);
}

#[test]
fn a_delay_below_a_millisecond_is_none() {
    let short = delay(DelayBy::Fixed(Duration::from_micros(500)), ALWAYS);
    assert!(decide(&short, &[]).is_empty());
    let endless = delay(DelayBy::Fixed(Duration::MAX), ALWAYS);
    assert_eq!(decide(&endless, &[]).delay, Some(Duration::from_millis(MAX_DELAY_MS)));
}

#[test]
fn a_delay_by_header() {
    let by_header = delay(DelayBy::Header, ALWAYS);
    for (lines, expected_ms) in [
        (&[] as &[_], None),
        (&[(DELAY, "150")], Some(150)),
        (&[(DELAY, "0")], None),
        (&[(DELAY, "bad")], None),
        (&[(DELAY, "-5")], None),
        (&[(DELAY, "0.15")], None),
        (&[(DELAY, "150ms")], None),
        (&[(DELAY, "150"), (DELAY_SHARE, "0")], None),
        (&[(DELAY, "150"), (DELAY_SHARE, "bad")], Some(150)),
        (&[(DELAY, "18446744073709551615")], Some(MAX_DELAY_MS)),
    ] {
        let expected = expected_ms.map(Duration::from_millis);
        assert_eq!(decide(&by_header, lines).delay, expected, "{lines:?}");
    }
}

#[test]
fn an_abort_by_header() {
    let by_header = Fault { abort: abort(AbortWith::Header, ALWAYS), ..Fault::default() };
    let (http, grpc) = (|s| Some(AbortStatus::Http(s)), |s| Some(AbortStatus::Grpc(s)));
    for (lines, expected) in [
        (&[] as &[_], None),
        (&[(ABORT, "418")], http(418)),
        (&[(ABORT, "199")], None),
        (&[(ABORT, "200")], http(200)),
        (&[(ABORT, "599")], http(599)),
        (&[(ABORT, "600")], None),
        (&[(ABORT, "abc")], None),
        (&[(ABORT, "418x")], None),
        (&[(ABORT, "+418")], http(418)),
        (&[(ABORT, "0418")], http(418)),
        (&[(ABORT, "65954")], None),
        (&[(ABORT, "418"), (ABORT, "419")], http(418)),
        (&[(ABORT_GRPC, "14")], grpc(14)),
        (&[(ABORT_GRPC, "17")], grpc(17)),
        (&[(ABORT_GRPC, "0")], grpc(0)),
        (&[(ABORT_GRPC, "-1")], None),
        (&[(ABORT, "418"), (ABORT_GRPC, "14")], http(418)),
        (&[(ABORT, "bad"), (ABORT_GRPC, "14")], grpc(14)),
        (&[(ABORT, "418"), (ABORT_SHARE, "0")], None),
        (&[(ABORT, "418"), (ABORT_SHARE, "200")], http(418)),
        (&[(ABORT, "418"), (ABORT_SHARE, "bad")], http(418)),
        (&[(ABORT, "418"), (ABORT_SHARE, "-1")], http(418)),
    ] {
        assert_eq!(decide(&by_header, lines).abort, expected, "{lines:?}");
    }
}

#[test]
fn a_request_lowers_the_share_in_the_configured_unit_and_never_raises_it() {
    let of = |numerator, denominator, asked: Option<&str>| {
        let percentage = Fraction::new(numerator, denominator);
        let fault = Fault { abort: abort(AbortWith::Header, percentage), ..Fault::default() };
        let mut lines = vec![(ABORT, "418")];
        lines.extend(asked.map(|asked| (ABORT_SHARE, asked)));
        let (head, mut rng) = (head(&lines), StdRng::seed_from_u64(1));
        let aborted =
            (0..10_000).filter(|_| fault.decide(&head, None, &mut rng).abort.is_some()).count();
        aborted / 100
    };
    let (hundred, million) = (Denominator::Hundred, Denominator::Million);
    for (numerator, denominator, asked, expected) in [
        (50, hundred, None, 50),
        (50, hundred, Some("20"), 20),
        (50, hundred, Some("80"), 50),
        (50, hundred, Some("100"), 50),
        (500_000, million, Some("20"), 0),
        (500_000, million, Some("250000"), 25),
        (200, hundred, None, 100),
        (0, hundred, None, 0),
    ] {
        let percent = of(numerator, denominator, asked);
        assert!(percent.abs_diff(expected) <= 2, "{numerator} {asked:?}: {percent} not {expected}");
    }
}

#[test]
fn delay_and_abort_are_drawn_independently() {
    let half = Fraction::new(50, Denominator::Hundred);
    let both = Fault {
        abort: abort(AbortWith::Status(AbortStatus::Grpc(14)), half),
        ..delay(DelayBy::Fixed(Duration::from_secs(1)), half)
    };
    let (head, mut rng) = (head(&[]), StdRng::seed_from_u64(1));
    let mut seen = [0_u32; 4];
    for _ in 0..4_000 {
        let plan = both.decide(&head, None, &mut rng);
        seen[usize::from(plan.delay.is_some()) * 2 + usize::from(plan.abort.is_some())] += 1;
    }
    assert!(seen.iter().all(|count| (900..1_100).contains(count)), "{seen:?}");
}

#[test]
fn faults_are_kept_to_a_cluster() {
    for (only, cluster, hit) in [
        (None, Some("up"), true),
        (None, None, true),
        (Some("up"), Some("up"), true),
        (Some("up"), Some("other"), false),
        (Some("up"), None, false),
    ] {
        let fault = Fault { upstream_cluster: only.map(Into::into), ..teapot() };
        let plan = fault.decide(&head(&[]), cluster, &mut StdRng::seed_from_u64(1));
        assert_eq!(plan.abort.is_some(), hit, "{only:?} {cluster:?}");
    }
}

#[test]
fn faults_are_kept_to_nodes_and_headers() {
    let nodes = Fault { downstream_nodes: vec!["n1".into(), "n2".into()], ..teapot() };
    let rule = |value| HeaderRule::Value(StringMatcher::exact(value));
    let matcher = |invert| HeaderMatcher::new(Name::new("x-a"), rule("1"), invert, false);
    let matching = Fault { headers: vec![matcher(false)], ..teapot() };
    let inverted = Fault { headers: vec![matcher(true)], ..teapot() };
    let (one, two) = (("x-a", "1"), ("x-a", "2"));
    for (fault, lines, hit) in [
        (&nodes, &[] as &[_], false),
        (&nodes, &[(NODE, "n2")], true),
        (&nodes, &[(NODE, "n3")], false),
        (&nodes, &[(NODE, "n1"), (NODE, "n3")], false),
        (&matching, &[], false),
        (&matching, &[one], true),
        (&matching, &[one, two], true),
        (&matching, &[two, one], true),
        (&inverted, &[], false),
        (&inverted, &[one], false),
        (&inverted, &[two], true),
        (&inverted, &[one, two], false),
    ] {
        assert_eq!(decide(fault, lines).abort.is_some(), hit, "{fault:?} {lines:?}");
    }
}
