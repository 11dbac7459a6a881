//! Stats with labels that traffic makes, under a budget.
//!
//! A request decides its labels (who calls whom), so their number is bounded by nothing but this: a series
//! springs up on first use, is dropped when it was idle and nobody holds it, and beyond the cap all new
//! ones are counted in a single one whose labels all say `other`, so that sums stay right. Resolve labels
//! once for each connection or peer and keep the handle; a handle that is kept keeps its series.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::cells::cell;
use super::family::Family;
use super::instance::Source;
use super::own::Own;
use super::registry::Registry;
use super::stats::Stats;

/// Longer values are cut: a label may come from a client's header.
const MAX_VALUE_BYTES: usize = 256;

/// The series of family `F`.
pub struct Series<F: Family> {
    registry: Arc<Registry>,
    own: Arc<Own>,
    namespace: &'static str,
    labels: Box<[Arc<str>]>,
    cap: usize,
    living: Mutex<HashMap<Box<str>, Living<F>>>,
    other: OnceLock<Stats<F>>,
}

struct Living<F: Family> {
    stats: Stats<F>,
    /// Sum of all cells at the last sweep.
    activity: u64,
    idle_sweeps: u32,
}

impl<F: Family> Series<F> {
    /// At most `cap` series in `namespace`, with values for `labels` in this order.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        own: Arc<Own>,
        namespace: &'static str,
        labels: Box<[Arc<str>]>,
        cap: usize,
    ) -> Self {
        let living = Mutex::default();
        Self { registry, own, namespace, labels, cap, living, other: OnceLock::new() }
    }

    /// The series with these values, one for each label; a missing one is empty. Takes a lock.
    pub fn at(&self, values: &[&str]) -> Stats<F> {
        let values = values.iter().map(|value| cut(value)).chain(std::iter::repeat(""));
        let labels: Vec<_> = self.labels.iter().cloned().zip(values).collect();
        let mut key = String::new();
        for (_, value) in &labels {
            // With its length, since a value may hold whatever would part it from the next.
            let _ = write!(key, "{}:{value}", value.len());
        }
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = living.get(key.as_str()) {
            return known.stats.clone();
        }
        if living.len() >= self.cap {
            self.own.series_over_cap.increment(1);
            return self.other.get_or_init(|| self.other()).clone();
        }
        let stats = self.registry.labelled::<F>(self.namespace, &labels);
        let known = Living { stats: stats.clone(), activity: 0, idle_sweeps: 0 };
        living.insert(key.into(), known);
        self.own.series.increment(1.0);
        stats
    }

    fn other(&self) -> Stats<F> {
        let labels: Vec<_> = self.labels.iter().map(|label| (label.clone(), "other")).collect();
        self.registry.labelled::<F>(self.namespace, &labels)
    }

    /// Drops every series that nobody holds and that saw nothing for `idle_sweeps` calls in a row; to be
    /// called by the control runtime at a fixed interval.
    pub fn sweep(&self, idle_sweeps: u32) {
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        let before = living.len();
        living.retain(|_, known| {
            let activity = activity(&*known.stats.0);
            // New handles are given out under the lock that is held here.
            let held = Arc::strong_count(&known.stats.0) > 1;
            if held || activity != known.activity {
                known.idle_sweeps = 0;
            } else {
                known.idle_sweeps += 1;
            }
            known.activity = activity;
            known.idle_sweeps < idle_sweeps
        });
        let expired = before - living.len();
        if expired > 0 {
            self.own.series.decrement(expired as f64);
            self.own.series_expired.increment(expired as u64);
        }
    }
}

impl<F: Family> Drop for Series<F> {
    fn drop(&mut self) {
        let living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        self.own.series.decrement(living.len() as f64);
    }
}

fn cut(value: &str) -> &str {
    value.get(..value.floor_char_boundary(MAX_VALUE_BYTES)).unwrap_or_default()
}

/// A sum that changes whenever a cell does (but for a gauge that is back where it was).
fn activity(source: &dyn Source) -> u64 {
    let mut sum = 0_u64;
    for (words, lines) in (0..=source.workers()).filter_map(|index| source.shard(index)) {
        for word in words {
            sum = sum.wrapping_add(word.load(Relaxed));
        }
        for at in 0.. {
            let Some(cell) = cell(lines, at) else { break };
            sum = sum.wrapping_add(cell.load(Relaxed));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{RbacStat, StatsQuery, StatsSpec, write_prometheus};

    fn series(cap: usize) -> Series<RbacStat> {
        let registry = Registry::new(StatsSpec::default(), 1).unwrap();
        Series::new(
            registry,
            Arc::new(Own::detached()),
            "istiocustom",
            ["from".into(), "to".into()].into(),
            cap,
        )
    }

    fn dump(series: &Series<RbacStat>) -> String {
        let mut out = Vec::new();
        write_prometheus(&series.registry, &StatsQuery::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn beyond_the_cap_the_sum_stays_right() {
        let series = series(2);
        for to in ["a", "b", "c", "d", "a"] {
            series.at(&["x", to]).inc(RbacStat::allowed);
        }
        let dump = dump(&series);
        for line in [
            "allowed{from=\"x\",to=\"a\"} 2",
            "allowed{from=\"x\",to=\"b\"} 1",
            "allowed{from=\"other\",to=\"other\"} 2",
        ] {
            assert!(dump.contains(line), "{line}\n{dump}");
        }
        assert!(!dump.contains("\"c\""));
    }

    #[test]
    fn an_idle_series_goes_when_nobody_holds_it() {
        let series = series(10);
        let held = series.at(&["x", "held"]);
        series.at(&["x", "idle"]).inc(RbacStat::allowed);
        for _ in 0..3 {
            series.at(&["x", "busy"]).inc(RbacStat::allowed);
            series.sweep(2);
        }
        let dump = dump(&series);
        assert!(dump.contains("to=\"held\"") && dump.contains("to=\"busy\""), "{dump}");
        assert!(!dump.contains("to=\"idle\""), "{dump}");
        drop(held);
        assert!(
            series.own.text(&StatsQuery::default()).contains("outrigger_metrics_series 2"),
            "{}",
            series.own.text(&StatsQuery::default())
        );
        assert!(
            series
                .own
                .text(&StatsQuery::default())
                .contains("outrigger_metrics_series_expired_total 1")
        );
    }

    #[test]
    fn values_cannot_run_into_each_other_nor_grow() {
        let series = series(10);
        for values in [["1:a", "b"], ["1", ":ab"]] {
            series.at(&values).inc(RbacStat::allowed);
        }
        let long = "é".repeat(200);
        series.at(&[&long]).inc(RbacStat::allowed);
        let dump = dump(&series);
        assert_eq!(dump.matches("allowed{").count(), 3);
        assert!(dump.contains(&format!("from=\"{}\",to=\"\"", "é".repeat(128))), "{dump}");
    }
}
