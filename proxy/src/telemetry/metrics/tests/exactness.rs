use std::sync::atomic::{AtomicBool, Ordering};

use crate::telemetry::metrics::*;

const ROUNDS: u64 = 50_000;

/// Runs `each` on four threads, of which two are workers.
fn on_four_threads(each: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let each = &each;
            scope.spawn(move || {
                enter_worker(worker);
                for round in 0..ROUNDS {
                    each(round);
                }
            });
        }
    });
}

#[test]
fn nothing_is_lost_when_workers_and_others_count_at_once() {
    let registry = Registry::new(StatsSpec::default(), 2).unwrap();
    let stats = registry.stats::<ClusterStat>("cluster.a.");
    let reading = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while reading.load(Ordering::Relaxed) {
                let mut out = Vec::new();
                write_text(&registry, &StatsQuery::default(), &mut out).unwrap();
                write_prometheus(&registry, &StatsQuery::default(), &mut out).unwrap();
                registry.flush();
            }
        });
        on_four_threads(|round| {
            stats.inc(ClusterStat::upstream_cx_total);
            stats.add(ClusterStat::upstream_cx_rx_bytes_total, 3);
            stats.up(ClusterStat::upstream_cx_active);
            stats.completed(if round % 5 == 0 { 503 } else { 200 });
            stats.record(ClusterStat::upstream_rq_time, round % 7);
            if round % 2 == 0 {
                stats.down(ClusterStat::upstream_cx_active);
            }
            drop(stats.active(ClusterStat::upstream_rq_active));
        });
        reading.store(false, Ordering::Relaxed);
    });
    assert_eq!(stats.count(ClusterStat::upstream_cx_total), 4 * ROUNDS);
    assert_eq!(stats.count(ClusterStat::upstream_cx_rx_bytes_total), 12 * ROUNDS);
    assert_eq!(stats.level(ClusterStat::upstream_cx_active), 2 * ROUNDS);
    assert_eq!(stats.level(ClusterStat::upstream_rq_active), 0);
    assert_eq!(stats.count(ClusterStat::upstream_rq_completed), 4 * ROUNDS);
    assert_eq!(stats.count(ClusterStat::upstream_rq_5xx), 4 * ROUNDS / 5);
    assert_eq!(stats.code_count(ClusterStat::upstream_rq_code, 200), 4 * ROUNDS / 5 * 4);
    let samples = stats.samples(ClusterStat::upstream_rq_time).unwrap();
    assert_eq!(samples.count(), 4 * ROUNDS);
    assert_eq!(samples.sum, 4 * (0..ROUNDS).map(|round| round % 7).sum::<u64>());
    let [zeros, ones] = [0, 1].map(|value| (0..ROUNDS).filter(|round| round % 7 == value).count());
    assert_eq!(samples.counts[..2], [4 * zeros as u64, 4 * ones as u64]);
}

#[test]
fn a_gauge_may_rise_on_one_worker_and_fall_on_another() {
    let stats = ClusterStats::detached(2);
    let guard = std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            enter_worker(0);
            stats.up(ClusterStat::upstream_rq_active);
            stats.active(ClusterStat::upstream_cx_active)
        });
        opened.join().unwrap()
    });
    assert_eq!(stats.level(ClusterStat::upstream_cx_active), 1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            enter_worker(1);
            drop(guard);
            stats.down(ClusterStat::upstream_rq_active);
            stats.down(ClusterStat::upstream_rq_active);
        });
    });
    assert_eq!(stats.level(ClusterStat::upstream_cx_active), 0);
    assert_eq!(stats.level(ClusterStat::upstream_rq_active), 0, "never shown below zero");
}

#[test]
fn a_gauge_that_is_set_keeps_all_its_bits() {
    let stats = SubscriptionStats::detached(1);
    stats.set(SubscriptionStat::version, 17_241_709_254_077_376_921);
    assert_eq!(stats.level(SubscriptionStat::version), 17_241_709_254_077_376_921);
    stats.set(SubscriptionStat::version, 7);
    assert_eq!(stats.level(SubscriptionStat::version), 7);
}
