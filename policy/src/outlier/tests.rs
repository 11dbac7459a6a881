//! Clusters under fire, compared with the counters and times of Envoy 1.40 under the same requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// A cluster whose requests go to the hosts that are in, in turn.
struct Cluster {
    policy: Arc<OutlierPolicy>,
    detector: Detector<u32>,
    monitors: BTreeMap<u32, Arc<HostMonitor>>,
    turn: usize,
    now: Instant,
    rng: StdRng,
}

impl Cluster {
    fn new(hosts: u32, policy: OutlierPolicy) -> Self {
        let policy = Arc::new(policy);
        let mut detector = Detector::new(Arc::clone(&policy));
        let monitors = (0..hosts).map(|host| (host, detector.add(host))).collect();
        let rng = StdRng::seed_from_u64(1);
        Self { policy, detector, monitors, turn: 0, now: Instant::now(), rng }
    }

    /// One request to `host`.
    fn report(&mut self, host: u32, report: Report) {
        let detected = self.monitors[&host].report(&self.policy, report);
        for outlier in detected.into_iter().flatten() {
            let _ = self.detector.detected(&host, outlier, self.now, &mut self.rng);
        }
    }

    /// Requests in turn; those for which no host is in are lost.
    fn requests(&mut self, count: usize, report: Report) {
        for _ in 0..count {
            let is_in = |host: &&u32| !self.detector.is_ejected(host);
            let hosts: Vec<u32> = self.monitors.keys().filter(is_in).copied().collect();
            let Some(host) = hosts.get(self.turn % hosts.len().max(1)) else { return };
            self.turn += 1;
            self.report(*host, report);
        }
    }

    fn after(&mut self, time: Duration) {
        self.now += time;
    }

    fn sweep(&mut self) -> Vec<Action> {
        let events = self.detector.sweep(self.now, &mut self.rng);
        events.into_iter().map(|event| event.action).collect()
    }

    /// Counters that are not zero, named as in Envoy without `ejections_`.
    fn stats(&self) -> Vec<(String, u64)> {
        let stats = self.detector.stats();
        let single = [
            ("active", stats.active()),
            ("enforced_total", stats.enforced_total()),
            ("overflow", stats.overflow()),
            ("total", stats.total()),
        ];
        let single = single.into_iter().map(|(name, count)| (name.to_owned(), count));
        let by_kind = Outlier::ALL.into_iter().flat_map(|kind| {
            let name = kind.as_str();
            [
                (format!("detected_{name}"), stats.detected(kind)),
                (format!("enforced_{name}"), stats.enforced(kind)),
            ]
        });
        single.chain(by_kind).filter(|(_, count)| *count > 0).collect()
    }

    fn assert_stats(&self, name: &str, expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
        assert_eq!(self.stats(), expected, "{name}");
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The quick policy of the measurements.
fn quick() -> OutlierPolicy {
    OutlierPolicy {
        interval: seconds(1),
        base_ejection_time: seconds(1),
        max_ejection_percent: 100,
        ..OutlierPolicy::default()
    }
}

const BAD: Report = Report::Answered(503);
const GOOD: Report = Report::Answered(200);

#[test]
fn no_more_hosts_are_ejected_than_the_percentage_allows() {
    let defaults = OutlierPolicy::default;
    let always = OutlierPolicy { always_eject_one_host: true, ..defaults() };
    let never = OutlierPolicy { max_ejection_percent: 0, ..defaults() };
    type Row<'a> = (&'a str, u32, usize, OutlierPolicy, &'a [(&'a str, u64)]);
    let rows: [Row<'_>; 5] = [
        (
            "one host",
            1,
            6,
            defaults(),
            &[
                ("overflow", 2),
                ("detected_consecutive_5xx", 1),
                ("detected_consecutive_gateway_failure", 1),
            ],
        ),
        (
            "four hosts",
            4,
            24,
            defaults(),
            &[
                ("overflow", 8),
                ("detected_consecutive_5xx", 4),
                ("detected_consecutive_gateway_failure", 4),
            ],
        ),
        (
            "ten hosts",
            10,
            60,
            defaults(),
            &[
                ("active", 1),
                ("enforced_total", 1),
                ("overflow", 18),
                ("total", 1),
                ("detected_consecutive_5xx", 10),
                ("enforced_consecutive_5xx", 1),
                ("detected_consecutive_gateway_failure", 10),
            ],
        ),
        (
            "always one",
            4,
            30,
            always,
            &[
                ("active", 1),
                ("enforced_total", 1),
                ("overflow", 6),
                ("total", 1),
                ("detected_consecutive_5xx", 4),
                ("enforced_consecutive_5xx", 1),
                ("detected_consecutive_gateway_failure", 4),
            ],
        ),
        (
            "none at all",
            4,
            30,
            never,
            &[
                ("overflow", 8),
                ("detected_consecutive_5xx", 4),
                ("detected_consecutive_gateway_failure", 4),
            ],
        ),
    ];
    for (name, hosts, requests, policy, expected) in rows {
        let mut cluster = Cluster::new(hosts, policy);
        cluster.requests(requests, BAD);
        cluster.assert_stats(name, expected);
    }
}

#[test]
fn gateway_failures_count_apart_from_other_errors() {
    let mut policy = quick();
    policy.consecutive_gateway_failure = 3;
    policy.enforcing.consecutive_gateway_failure = 100;
    policy.enforcing.consecutive_5xx = 0;
    let mut cluster = Cluster::new(1, policy);
    cluster.requests(4, Report::Answered(500));
    cluster.assert_stats("four 500", &[]);
    cluster.requests(2, BAD);
    let detected = [("total", 1), ("detected_consecutive_5xx", 1)];
    cluster.assert_stats("and two 503", &detected);
    cluster.requests(1, Report::Answered(500));
    cluster.requests(2, BAD);
    cluster.assert_stats("a 500 interrupts", &detected);
    cluster.requests(1, BAD);
    cluster.assert_stats(
        "three 503",
        &[
            ("active", 1),
            ("enforced_total", 1),
            ("total", 1),
            ("detected_consecutive_5xx", 1),
            ("detected_consecutive_gateway_failure", 1),
            ("enforced_consecutive_gateway_failure", 1),
        ],
    );
}

#[test]
fn a_good_answer_starts_the_count_anew() {
    let mut cluster = Cluster::new(1, quick());
    cluster.requests(4, BAD);
    cluster.requests(1, GOOD);
    cluster.requests(4, BAD);
    assert!(!cluster.detector.is_ejected(&0));
    cluster.requests(1, BAD);
    assert!(cluster.detector.is_ejected(&0));
}

#[test]
fn failures_of_the_proxys_side_count_as_envoy_counts_them() {
    let together = OutlierPolicy { consecutive_5xx: 2, ..quick() };
    let apart =
        OutlierPolicy { splits_local_origin: true, consecutive_local_origin_failure: 2, ..quick() };
    let ejected_by = |policy: &OutlierPolicy, reports: &[Report]| {
        let mut cluster = Cluster::new(1, policy.clone());
        for report in reports {
            cluster.requests(1, *report);
        }
        let stats = cluster.stats();
        let name = stats.iter().find_map(|(name, _)| name.strip_prefix("enforced_consecutive_"));
        name.map(str::to_owned)
    };
    use Report::{Connected, ConnectedForGood, Failed, TimedOut};
    for (reports, when_together, when_apart) in [
        (&[Failed, Failed][..], Some("5xx"), Some("local_origin_failure")),
        (&[TimedOut, TimedOut], Some("5xx"), Some("local_origin_failure")),
        (&[Failed, TimedOut], Some("5xx"), Some("local_origin_failure")),
        (&[Failed, Connected, Failed], Some("5xx"), None),
        (&[Failed, ConnectedForGood, Failed], None, None),
        (&[Failed, BAD, BAD, BAD, BAD], Some("5xx"), None),
        (&[Report::Answered(501), Report::Answered(599)], Some("5xx"), None),
        (&[Report::Answered(499), Report::Answered(600)], None, None),
    ] {
        assert_eq!(ejected_by(&together, reports).as_deref(), when_together, "{reports:?}");
        assert_eq!(ejected_by(&apart, reports).as_deref(), when_apart, "{reports:?}");
    }
    // Answers between failures to connect do not interrupt these, nor the other way round.
    assert_eq!(
        ejected_by(&apart, &[Failed, GOOD, Failed]).as_deref(),
        Some("local_origin_failure")
    );
    let answers = OutlierPolicy { consecutive_5xx: 2, ..apart };
    assert_eq!(ejected_by(&answers, &[BAD, Failed, BAD]).as_deref(), Some("5xx"));
}

#[test]
fn a_threshold_of_zero_never_detects() {
    let mut cluster = Cluster::new(1, OutlierPolicy { consecutive_5xx: 0, ..quick() });
    cluster.requests(1000, Report::Answered(500));
    cluster.assert_stats("zero", &[]);
}

#[test]
fn grpc_answers_are_judged_by_their_status() {
    let answer = |grpc_status: u32| {
        let mut head = ResponseHead::new(200);
        head.headers.append(b"grpc-status", grpc_status.to_string().as_bytes());
        head
    };
    for (grpc_status, is_error) in [
        (0, false),
        (1, false),
        (2, true),
        (4, true),
        (8, false),
        (12, true),
        (13, true),
        (14, true),
        (15, true),
        (99, true),
    ] {
        let Report::Answered(status) = Report::of(&answer(grpc_status), true) else { panic!() };
        assert_eq!((500..600).contains(&status), is_error, "{grpc_status}: {status}");
        assert_eq!(Report::of(&answer(grpc_status), false), GOOD, "not a gRPC request");
    }
    assert_eq!(Report::of(&ResponseHead::new(503), true), BAD);
}

/// Envoy with sweeps each second and a host that fails as soon as it is back: it was out for 3.0, 3.99,
/// 4.0, 3.99, 3.99 s after the first time, with `max_ejection_time` 3 s. It comes back at a sweep.
#[test]
fn each_ejection_is_longer_up_to_the_longest() {
    let mut cluster = Cluster::new(1, OutlierPolicy { max_ejection_time: seconds(3), ..quick() });
    let tick = Duration::from_millis(5);
    let mut out_for = Vec::new();
    for _ in 0..6 {
        cluster.after(tick);
        cluster.requests(5, BAD);
        assert!(cluster.detector.is_ejected(&0));
        cluster.after(seconds(1) - tick);
        let mut sweeps = 1;
        while cluster.sweep().is_empty() {
            cluster.after(seconds(1));
            sweeps += 1;
        }
        out_for.push(sweeps);
    }
    assert_eq!(out_for, [2, 3, 4, 4, 4, 4]);
    // Three intervals in which it stays in: the next time counts as the second.
    for _ in 0..3 {
        cluster.after(seconds(1));
        assert!(cluster.sweep().is_empty());
    }
    cluster.after(tick);
    cluster.requests(5, BAD);
    let ejected_at = cluster.now;
    while cluster.sweep().is_empty() {
        cluster.after(seconds(1));
    }
    assert_eq!(cluster.now - ejected_at, seconds(2));
}

#[test]
fn jitter_lengthens_an_ejection_within_its_bound() {
    let policy = OutlierPolicy { max_ejection_time_jitter: seconds(10), ..quick() };
    let mut cluster = Cluster::new(40, policy);
    for host in 0..40 {
        (0..5).for_each(|_| cluster.report(host, BAD));
    }
    let mut back = 0;
    let mut per_second = Vec::new();
    while back < 40 {
        cluster.after(seconds(1));
        let now_back = cluster.sweep().len();
        back += now_back;
        per_second.push(now_back);
    }
    assert!((9..=11).contains(&per_second.len()), "{per_second:?}");
    assert!(per_second.iter().all(|hosts| *hosts < 15), "{per_second:?}");
}

#[test]
fn a_returning_host_is_not_ejected_by_errors_of_before() {
    let mut cluster = Cluster::new(1, quick());
    cluster.requests(5, BAD);
    // Requests in flight go on failing while the host is out.
    (0..4).for_each(|_| cluster.report(0, BAD));
    cluster.after(seconds(1));
    assert_eq!(cluster.sweep(), [Action::Uneject]);
    cluster.requests(4, BAD);
    assert!(!cluster.detector.is_ejected(&0));
}

#[test]
fn a_passed_check_brings_a_host_back_if_the_policy_says_so() {
    for (check_unejects, comes_back) in [(true, true), (false, false)] {
        let mut cluster = Cluster::new(1, OutlierPolicy { check_unejects, ..quick() });
        assert!(cluster.detector.check_passed(&0, cluster.now).is_none(), "it is in");
        cluster.requests(5, BAD);
        cluster.after(Duration::from_millis(300));
        let event = cluster.detector.check_passed(&0, cluster.now);
        let expected = Event {
            host: 0,
            action: Action::Uneject,
            num_ejections: 1,
            since_last_action: Some(Duration::from_millis(300)),
        };
        assert_eq!(event, comes_back.then_some(expected));
        assert_eq!(cluster.detector.stats().active(), u64::from(!comes_back));
    }
}

/// Rates of 100, 100, 100, 100 and 50 % have the threshold 52; Envoy ejected the last host too.
#[test]
fn hosts_whose_success_rate_stands_out_are_ejected_at_the_sweep() {
    let mut policy = OutlierPolicy { success_rate_request_volume: 10, ..quick() };
    policy.enforcing.consecutive_5xx = 0;
    let mut cluster = Cluster::new(5, policy);
    let load = |cluster: &mut Cluster, bad: [usize; 5]| {
        for (host, bad) in (0..).zip(bad) {
            (0..20).for_each(|at| cluster.report(host, if at % 20 < bad { BAD } else { GOOD }));
        }
    };
    load(&mut cluster, [0, 0, 0, 0, 10]);
    assert_eq!(cluster.sweep(), [Action::Eject(Outlier::SuccessRate)]);
    assert!(cluster.detector.is_ejected(&4));
    let [Some(spread), None] = cluster.detector.spreads() else { panic!("answers only") };
    assert!((spread.average - 90.0).abs() < 1e-9 && (spread.threshold - 52.0).abs() < 1e-9);

    // Four hosts with rates are too few, whatever these are.
    load(&mut cluster, [0, 0, 0, 20, 0]);
    assert_eq!(cluster.sweep(), []);
    assert_eq!(cluster.detector.spreads(), [None, None]);
}

#[test]
fn hosts_that_fail_too_often_are_ejected_at_the_sweep() {
    let mut policy = OutlierPolicy {
        failure_percentage_threshold: 50,
        failure_percentage_request_volume: 10,
        splits_local_origin: true,
        ..quick()
    };
    policy.enforcing.success_rate = 0;
    policy.enforcing.consecutive_5xx = 0;
    policy.enforcing.consecutive_local_origin_failure = 0;
    policy.enforcing.failure_percentage = 100;
    let mut cluster = Cluster::new(5, policy);
    for (host, bad) in (0..).zip([0, 3, 4, 5, 10]) {
        (0..10).for_each(|at| cluster.report(host, if at < bad { BAD } else { GOOD }));
        // Too few to judge.
        (0..9).for_each(|_| cluster.report(host, Report::Failed));
    }
    let ejection = Action::Eject(Outlier::FailurePercentage);
    assert_eq!(cluster.sweep(), [ejection, ejection]);
    assert!(cluster.detector.is_ejected(&3) && cluster.detector.is_ejected(&4));
    // Connections are judged apart, and not enforced by default.
    for host in 0..3 {
        (0..10).for_each(|_| cluster.report(host, Report::Connected));
    }
    for _ in 0..10 {
        cluster.report(3, Report::Failed);
        cluster.report(4, Report::Failed);
    }
    cluster.after(seconds(1));
    let found = cluster.sweep();
    let local = Outlier::LocalOriginFailurePercentage;
    assert_eq!(
        found,
        [Action::Uneject, Action::Uneject, Action::Detect(local), Action::Detect(local)]
    );
}

#[test]
fn a_host_is_ejected_once_although_both_rates_stand_out() {
    let mut policy = quick();
    policy.success_rate_request_volume = 10;
    policy.failure_percentage_request_volume = 10;
    policy.failure_percentage_minimum_hosts = 1;
    policy.enforcing.failure_percentage = 100;
    policy.enforcing.consecutive_5xx = 0;
    let mut cluster = Cluster::new(5, policy);
    for host in 0..5 {
        (0..10).for_each(|_| cluster.report(host, if host == 2 { BAD } else { GOOD }));
    }
    assert_eq!(cluster.sweep(), [Action::Eject(Outlier::SuccessRate)]);
    assert_eq!(cluster.detector.stats().active(), 1);
    assert_eq!(cluster.detector.stats().detected(Outlier::FailurePercentage), 1);
}

#[test]
fn hosts_come_and_go_with_their_ejections() {
    let mut cluster = Cluster::new(2, quick());
    (0..5).for_each(|_| cluster.report(0, BAD));
    assert!(Arc::ptr_eq(&cluster.detector.add(0), &cluster.monitors[&0]), "same counters");
    assert!(cluster.detector.is_ejected(&0), "and still out");
    cluster.detector.remove(&0);
    cluster.detector.remove(&0);
    assert_eq!(cluster.detector.stats().active(), 0);
    let late =
        cluster.detector.detected(&0, Outlier::Consecutive5xx, cluster.now, &mut cluster.rng);
    assert_eq!(late, None);
}

#[test]
fn enforcing_in_part_ejects_in_part() {
    let mut policy = quick();
    policy.enforcing.consecutive_5xx = 30;
    let mut cluster = Cluster::new(1000, policy);
    for host in 0..1000 {
        (0..5).for_each(|_| cluster.report(host, Report::Answered(500)));
    }
    let ejected = cluster.detector.stats().enforced(Outlier::Consecutive5xx);
    assert!((240..360).contains(&ejected), "{ejected}");
    assert_eq!(cluster.detector.stats().total(), 1000);
}

#[test]
fn threads_detect_each_run_of_failures_once() {
    let (monitor, policy) = (HostMonitor::default(), OutlierPolicy::default());
    let detections: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let reports = (0..1000).map(|_| monitor.report(&policy, BAD));
                    reports.map(|detected| detected.iter().flatten().count()).sum::<usize>()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(detections, 2, "5xx and gateway failure, at the fifth of 4000");
    let (external, local) = monitor.take();
    assert_eq!((external.attempts(), external.percent(), local.percent()), (4000, Some(0.0), None));
}
