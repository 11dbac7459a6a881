//! Histograms' samples between two flushes: the first of the two numbers that Envoy's admin prints.
//! (envoy: config.bootstrap.v3.Bootstrap.stats_flush_interval)
//!
//! The control runtime calls [`flush`] at each interval. A histogram that was never used costs nothing;
//! one that was keeps two copies of its buckets. If nobody flushes, intervals stay empty, as Envoy shows
//! them before the first flush.

use std::sync::PoisonError;

use super::instance::Source;
use super::read::{Samples, samples};

/// One histogram's last interval.
pub(super) struct Interval {
    /// Its index.
    histogram: usize,
    /// What stood there at the last flush.
    total: Samples,
    /// What came between the last two flushes.
    between: Samples,
}

/// Ends an interval and begins the next.
pub(super) fn flush(source: &dyn Source) {
    let mut intervals = source.core().intervals.lock().unwrap_or_else(PoisonError::into_inner);
    for (histogram, layout) in source.core().histograms.iter().enumerate() {
        let Some(layout) = layout else { continue };
        let total = samples(source, layout);
        if total.count() == 0 {
            continue;
        }
        match intervals.iter_mut().find(|interval| interval.histogram == histogram) {
            Some(interval) => {
                interval.between = difference(&total, &interval.total);
                interval.total = total;
            }
            None => intervals.push(Interval { histogram, between: total.clone(), total }),
        }
    }
}

/// The samples of the last whole interval.
pub(super) fn last(source: &dyn Source, histogram: usize) -> Option<Samples> {
    let intervals = source.core().intervals.lock().unwrap_or_else(PoisonError::into_inner);
    let interval = intervals.iter().find(|interval| interval.histogram == histogram)?;
    Some(interval.between.clone())
}

fn difference(after: &Samples, before: &Samples) -> Samples {
    let pairs = after.counts.iter().zip(&before.counts);
    Samples {
        bounds: after.bounds.clone(),
        counts: pairs.map(|(after, before)| after.wrapping_sub(*before)).collect(),
        sum: after.sum.wrapping_sub(before.sum),
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::{
        ListenerStat, Registry, StatsQuery, StatsSpec, write_prometheus, write_text,
    };

    #[test]
    fn an_interval_holds_what_came_between_two_flushes() {
        let registry = Registry::new(StatsSpec::default(), 1).unwrap();
        let stats = registry.stats::<ListenerStat>("listener.a.");
        let buckets = || {
            let pairs = [("histogram_buckets", "disjoint")];
            let query = StatsQuery::parse(false, pairs).unwrap();
            let mut out = Vec::new();
            write_text(&registry, &query, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let line = text.lines().find(|line| line.contains("length_ms")).unwrap().to_owned();
            line.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(buckets(), "No recorded values");
        for (value, before, after) in [
            (0, "B0.5(0,1) B1(0,0) B5(0,0)", "B0.5(1,1) B1(0,0) B5(0,0)"),
            (1, "B0.5(1,1) B1(0,1) B5(0,0)", "B0.5(0,1) B1(1,1) B5(0,0)"),
            (4, "B0.5(0,1) B1(1,1) B5(0,1)", "B0.5(0,1) B1(0,1) B5(1,1)"),
        ] {
            stats.record(ListenerStat::downstream_cx_length_ms, value);
            assert_eq!(buckets(), before);
            registry.flush();
            assert_eq!(buckets(), after);
        }
        let query = StatsQuery::parse(true, [("histogram_buckets", "summary")]).unwrap();
        let mut out = Vec::new();
        write_prometheus(&registry, &query, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("length_ms_sum{envoy_listener_address=\"a\"} 4\n"), "{text}");
        assert!(text.contains("length_ms_count{envoy_listener_address=\"a\"} 1\n"), "{text}");
    }
}
