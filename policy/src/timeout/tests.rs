//! Every line of `envoy.txt`, and what Envoy's source says beyond it.

use super::*;

/// How far a timer of Envoy may fire from its time, in ms: the machine was busy.
const JITTER_MS: u64 = 60;

/// The response of the measured upstream took so long.
const ANSWER_MS: u64 = 5000;

fn limits(max: Option<u64>, grpc_max: Option<u64>, grpc_offset: Option<u64>) -> MaxStreamDuration {
    MaxStreamDuration {
        max_stream_duration_ms: max,
        grpc_timeout_header_max_ms: grpc_max,
        grpc_timeout_header_offset_ms: grpc_offset,
    }
}

/// The routes of the measurement: `t` timeout, `p` per try, `m` stream, `g` gRPC header, `o` the old
/// gRPC timeout, each with seconds.
fn route(name: &str) -> (TimeoutPolicy, RouterOptions) {
    let mut options = RouterOptions::default();
    let name = match name.split_once('-') {
        Some(("respect", route)) => {
            options.respect_expected_rq_timeout = true;
            route
        }
        Some(("suppress", route)) => {
            options.suppress_envoy_headers = true;
            route
        }
        _ => name,
    };
    let new = |timeout_ms, per_try_timeout_ms, max_stream_duration| TimeoutPolicy {
        timeout_ms,
        per_try_timeout_ms,
        max_stream_duration,
        ..TimeoutPolicy::default()
    };
    let old = |timeout_ms, per_try_timeout_ms, max, grpc_timeout_offset_ms| TimeoutPolicy {
        timeout_ms,
        per_try_timeout_ms,
        max_grpc_timeout_ms: Some(max),
        grpc_timeout_offset_ms,
        ..TimeoutPolicy::default()
    };
    let policy = match name {
        "def" => TimeoutPolicy::default(),
        // Half a millisecond is none.
        "t0" | "subms" => new(0, 0, None),
        "t2p1" => new(2000, 1000, None),
        "t1p2" => new(1000, 2000, None),
        "t0p1" => new(0, 1000, None),
        "m3" => new(15_000, 0, Some(limits(Some(3000), None, None))),
        "t1m3" => new(1000, 0, Some(limits(Some(3000), None, None))),
        "t3m1" => new(3000, 0, Some(limits(Some(1000), None, None))),
        "mempty" => new(1000, 0, Some(limits(None, None, None))),
        "mg0" => new(2000, 0, Some(limits(None, Some(0), None))),
        "mg2" => new(4000, 0, Some(limits(None, Some(2000), Some(500)))),
        "m3g2" => new(4000, 0, Some(limits(Some(3000), Some(2000), None))),
        "m0g0" => new(0, 0, Some(limits(Some(0), Some(0), None))),
        "og0" => old(2000, 0, 0, None),
        "og2" => old(4000, 0, 2000, Some(500)),
        "og2p1" => old(4000, 1000, 2000, None),
        // 1.5 ms is 1 ms, 1.0009 s is 1 s.
        "ms15" => new(1, 0, None),
        "n1" => new(1000, 0, None),
        other => panic!("no route {other}"),
    };
    (policy, options)
}

/// The requests of the measurement: `rq` x-envoy-upstream-rq-timeout-ms, `p` the per-try one, `exp`
/// x-envoy-expected-rq-timeout-ms, `g` a gRPC request with this grpc-timeout, `h` not gRPC but with one.
fn request(name: &str) -> RequestHead {
    let mut head = RequestHead::new(b"GET", b"a.com", b"/");
    let mut set = |name: &str, value: &str| head.headers.append(name.as_bytes(), value.as_bytes());
    let (route, attempt) =
        ("x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms");
    match name {
        "-" => {}
        "rq700p300" => {
            set(route, "700");
            set(attempt, "300");
        }
        "exp600rq700" => {
            set("x-envoy-expected-rq-timeout-ms", "600");
            set(route, "700");
        }
        "exp600" => set("x-envoy-expected-rq-timeout-ms", "600"),
        "h1S" => set("grpc-timeout", "1S"),
        _ if name.starts_with("rq") => set(route, &name[2..]),
        _ if name.starts_with('p') => set(attempt, &name[1..]),
        _ if name.starts_with('g') => {
            set("content-type", "application/grpc");
            let value = match name {
                "gbad" => "1x",
                "g99H" => "99999999H",
                _ => &name[1..],
            };
            if !value.is_empty() {
                set("grpc-timeout", value);
            }
        }
        other => panic!("no request {other}"),
    }
    head
}

fn text(head: &RequestHead, id: Id) -> String {
    head.headers.get(id).map_or_else(|| "-".into(), |v| String::from_utf8_lossy(v).into_owned())
}

#[test]
fn routes_and_requests_get_the_timeouts_that_envoy_gives_them() {
    let rows = include_str!("envoy.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seen = 0;
    for row in rows {
        let [route_name, request_name, expected, grpc, timer, after] =
            row.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let ((policy, options), mut head) = (route(route_name), request(request_name));
        let stream = policy.stream_duration(&mut head, None);
        let timeouts = policy.resolve(&mut head, options);
        timeouts.tell_upstream(&mut head, Duration::ZERO, false);
        // Some requests were over before the upstream could tell what it got.
        if expected != "?" {
            assert_eq!(text(&head, Id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS), expected, "{row}");
            assert_eq!(text(&head, Id::GRPC_TIMEOUT), grpc, "{row}");
        }
        let timers = [("try", timeouts.per_try()), ("route", timeouts.route()), ("stream", stream)];
        let first = timers
            .into_iter()
            .filter_map(|(name, timer)| Some((timer?.as_millis() as u64, name)))
            .filter(|(ms, _)| *ms < ANSWER_MS)
            .min();
        match first {
            None => assert_eq!(timer, "-", "{row}"),
            Some((ms, name)) => {
                assert_eq!(name, timer, "{row}");
                assert!(ms.abs_diff(after.parse().unwrap()) <= JITTER_MS, "{row}: {ms}");
            }
        }
        seen += 1;
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn headers_for_this_proxy_are_taken_off_as_in_envoy() {
    for (name, options, left) in [
        ("def", RouterOptions::default(), "-"),
        ("def", RouterOptions { respect_expected_rq_timeout: true, ..Default::default() }, "700"),
    ] {
        let mut head = request("exp600rq700");
        head.headers.append_id(Id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS, b"5");
        let _ = route(name).0.resolve(&mut head, options);
        assert_eq!(text(&head, Id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS), left);
        assert_eq!(text(&head, Id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS), "-");
    }
}

#[test]
fn later_attempts_are_told_what_is_left() {
    for (route_name, elapsed_ms, hedged, expected) in [
        ("t2p1", 0, false, "1000"),
        ("t2p1", 500, false, "1000"),
        ("t2p1", 1800, false, "200"),
        ("t2p1", 2000, false, "1"),
        ("t2p1", 1_000_000, false, "1"),
        ("t2p1", 500, true, "1500"),
        ("t0p1", 1_000_000, false, "1000"),
        ("t0p1", 0, true, "-"),
        ("t0", 0, false, "-"),
    ] {
        let mut head = request("-");
        let (policy, options) = route(route_name);
        let timeouts = policy.resolve(&mut head, options);
        timeouts.tell_upstream(&mut head, Duration::from_millis(elapsed_ms), hedged);
        assert_eq!(text(&head, Id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS), expected, "{route_name}");
    }
}

#[test]
fn the_connection_managers_limit_holds_for_routes_that_set_none() {
    for (name, expected_ms) in
        [("def", Some(9)), ("mempty", Some(9)), ("m3", Some(3000)), ("m0g0", None)]
    {
        let duration = route(name).0.stream_duration(&mut request("-"), Some(9));
        assert_eq!(duration, expected_ms.map(Duration::from_millis), "{name}");
    }
    assert_eq!(route("def").0.stream_duration(&mut request("-"), Some(0)), None);
    // A gRPC upstream is told only by a route that sets limits of its own.
    let mut head = request("g1S");
    let _ = route("def").0.stream_duration(&mut head, Some(9));
    assert_eq!(text(&head, Id::GRPC_TIMEOUT), "1S");
}

#[test]
fn timers_of_any_size_can_be_set() {
    let mut head = request("-");
    head.headers.append_id(Id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS, b"18446744073709551615");
    let policy = TimeoutPolicy { per_try_idle_timeout_ms: u64::MAX, ..TimeoutPolicy::default() };
    let timeouts = policy.resolve(&mut head, RouterOptions::default());
    timeouts.tell_upstream(&mut head, Duration::MAX, false);
    let year = Some(Duration::from_millis(LONGEST_MS));
    assert_eq!((timeouts.route(), timeouts.per_try_idle(), timeouts.per_try()), (year, year, None));
    assert_eq!(text(&head, Id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS), "1");
}
