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
