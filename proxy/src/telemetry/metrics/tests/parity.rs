use std::collections::BTreeSet;

use outrigger_policy::matcher::{Regex, StringMatcher, StringRule};
use pretty::assert_same_lines;

use super::fed::{LEFT_OUT, Recorded, STATS, USED, details, split};
use crate::telemetry::metrics::prometheus::series_of;
use crate::telemetry::metrics::tags::TagRules;
use crate::telemetry::metrics::*;

mod pretty {
    /// Compares line by line, since the whole is too long to be read.
    pub(super) fn assert_same_lines(ours: &[String], envoy: &[String]) {
        for (index, (ours, envoy)) in ours.iter().zip(envoy).enumerate() {
            assert_eq!(ours, envoy, "line {index}");
        }
        assert_eq!(ours.len(), envoy.len());
    }
}

/// Lines of `/stats`, without the quantiles, which we estimate from coarser buckets.
fn lines(text: &str, keep: impl Fn(&str) -> bool) -> Vec<String> {
    let kept = text.lines().filter(|line| keep(split(line).0));
    kept.map(|line| line.split(": P0(").next().unwrap().to_owned()).collect()
}

#[test]
fn every_stat_of_envoy_is_ours_or_left_out_for_a_reason() {
    let recorded = Recorded::new(StatsMatcher::All);
    let reasons: Vec<_> = LEFT_OUT.iter().map(|one| regex::Regex::new(one).unwrap()).collect();
    for name in &recorded.left_out {
        assert!(reasons.iter().any(|reason| reason.is_match(name)), "not fed: {name}");
    }
    assert!(recorded.ours.len() > 500, "{}", recorded.ours.len());
    for reason in &reasons {
        let needed = recorded.left_out.iter().any(|name| reason.is_match(name));
        assert!(needed, "a reason for nothing: {reason}");
    }
}

#[test]
fn text_is_envoys() {
    let recorded = Recorded::new(StatsMatcher::All);
    let envoy = lines(STATS, |name| recorded.ours.contains(name));
    assert_same_lines(&lines(&recorded.text(&[]), |_| true), &envoy);
}

#[test]
fn used_stats_are_envoys() {
    let recorded = Recorded::new(StatsMatcher::All);
    // Envoy takes a counter for used if 0 was added to it; ours is used if it is not 0.
    let zero_counter = |line: &str| {
        let (name, value) = split(line);
        value == "0" && !recorded.text(&[("type", "Gauges")]).contains(&format!("{name}: "))
    };
    let envoy: String =
        USED.lines().filter(|line| !zero_counter(line)).map(|line| format!("{line}\n")).collect();
    let keep = |name: &str| recorded.ours.contains(name);
    // A text that was set to nothing counts as used there.
    let envoy: Vec<_> =
        lines(&envoy, keep).into_iter().filter(|line| !line.ends_with(": \"\"")).collect();
    assert_same_lines(&lines(&recorded.text(&[("usedonly", "")]), |_| true), &envoy);
}

#[test]
fn buckets_are_envoys() {
    let recorded = Recorded::new(StatsMatcher::All);
    // The first of each two numbers is that of the interval in which the recording was made.
    let interval = regex::Regex::new(r"\(\d+,").unwrap();
    let clean = |text: &str| -> Vec<String> {
        let kept = text.lines().filter(|line| recorded.ours.contains(split(line).0));
        kept.map(|line| interval.replace_all(line, "(").into_owned()).collect()
    };
    for (mode, envoy) in [
        ("cumulative", include_str!("../testdata/envoy/cumulative.txt")),
        ("disjoint", include_str!("../testdata/envoy/disjoint.txt")),
    ] {
        let ours = recorded.text(&[("type", "Histograms"), ("histogram_buckets", mode)]);
        assert_same_lines(&clean(&ours), &clean(envoy));
    }
    assert!(details().len() > 10);
}

#[test]
fn prometheus_is_envoys() {
    let recorded = Recorded::new(StatsMatcher::All);
    let rules = TagRules::compile(false, &tags::tests::istio()).unwrap();
    let left_out: BTreeSet<_> =
        recorded.left_out.iter().map(|name| series_of(&rules, name)).collect();
    let suffix = regex::Regex::new(r"_(bucket|sum|count)\{").unwrap();
    let bucket = regex::Regex::new(r#",?le="[^"]*""#).unwrap();
    let mut envoy: Vec<String> = Vec::new();
    for line in include_str!("../testdata/envoy/prometheus.txt").lines() {
        let series = line.rsplit_once(' ').unwrap().0;
        let histogram = bucket.replace(&suffix.replace(series, "{"), "").into_owned();
        if !left_out.contains(series) && !left_out.contains(&histogram) {
            envoy.push(line.to_owned());
        }
    }
    // A type without series is one of which all were left out.
    let empty = |pair: &[String]| pair[0].starts_with('#') && pair[1].starts_with('#');
    let mut kept: Vec<String> =
        envoy.windows(2).filter(|pair| !empty(pair)).map(|pair| pair[0].clone()).collect();
    kept.extend(envoy.last().filter(|line| !line.starts_with('#')).cloned());
    // Envoy estimates the sum from its buckets; ours is exact.
    let sum = regex::Regex::new(r"(_sum\{.*\}) .*").unwrap();
    let clean = |line: &str| sum.replace(line, "$1").into_owned();
    let ours: Vec<_> = recorded
        .text(&[("format", "prometheus"), ("text_readouts", "")])
        .lines()
        .map(clean)
        .collect();
    let envoy: Vec<_> = kept.iter().map(|line| clean(line)).collect();
    assert_same_lines(&ours, &envoy);
}

#[test]
fn queries_are_answered_as_envoy_does() {
    let recorded = Recorded::new(StatsMatcher::All);
    let mut queries = 0;
    for case in include_str!("../testdata/envoy/queries.txt").split("> ").skip(1) {
        let (query, envoy) = case.split_once('\n').unwrap();
        let pairs: Vec<_> =
            query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        let ours = recorded.text(&pairs);
        // Envoy takes a text for used once it was set, to nothing too.
        let set_to_nothing =
            |line: &&str| !(query.contains("usedonly") && line.contains("version_text"));
        let envoy: Vec<_> = envoy.lines().filter(set_to_nothing).collect();
        assert_eq!(ours.lines().collect::<Vec<_>>(), envoy, "{query}");
        queries += 1;
    }
    assert_eq!(queries, 11);
}

/// The inclusion list of Istio's sidecar bootstrap.
fn istio_matcher() -> StatsMatcher {
    let prefixes = [
        "reporter=",
        "cluster_manager",
        "listener_manager",
        "server",
        "cluster.xds-grpc",
        "wasm",
        "component",
        "istio",
    ];
    let suffixes = ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"];
    let route = Regex::new(r"vhost\..*\.route\..*").unwrap();
    let new = |rule: fn(Box<[u8]>) -> StringRule, text: &str| {
        StringMatcher::new(rule(text.as_bytes().into()), false)
    };
    let mut list: Vec<_> = prefixes.iter().map(|text| new(StringRule::Prefix, text)).collect();
    list.extend(suffixes.iter().map(|text| new(StringRule::Suffix, text)));
    list.push(StringMatcher::new(StringRule::Regex(route), false));
    StatsMatcher::Only(list)
}

#[test]
fn istios_matcher_leaves_what_it_leaves_in_envoy() {
    let recorded = Recorded::new(istio_matcher());
    let envoy: Vec<_> = include_str!("../testdata/envoy/matched.txt")
        .lines()
        .filter(|name| recorded.ours.contains(*name))
        .map(str::to_owned)
        .collect();
    let text = recorded.text(&[]);
    let ours: Vec<_> = text.lines().map(|line| split(line).0.to_owned()).collect();
    assert_same_lines(&ours, &envoy);
    assert!(recorded.shards() < Recorded::new(StatsMatcher::All).shards() / 3);
}
