//! The metrics of one kind of stream, by the labels that they have: most often all have the same, and are one series.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use super::label::{Changes, Label};
use crate::telemetry::metrics::{
    Family, IstioGrpcStat, IstioHttpStat, IstioTcpStat, Own, Registry, Series, Stats,
};

/// Whose names Prometheus does not see. (envoy: istio_stats, `CustomStatNamespace`)
const NAMESPACE: &str = "istiocustom";
/// Series of one kind of stream with the same labels. Clients can choose some of the values.
const MAX_SERIES: usize = 10_000;

/// Metrics of a family, as a set of places in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places(u8);

impl Places {
    /// True if the metric at `place` is one of them.
    #[must_use]
    pub const fn has(self, place: u8) -> bool {
        self.0 & (1 << place) != 0
    }
}

/// Where the metrics of a stream are counted.
pub(super) type Handles<F> = SmallVec<[(Places, Stats<F>); 1]>;

/// The metrics of a family, in groups that have the same labels.
pub struct Metrics<F: Family> {
    groups: Vec<(Places, Vec<Label>, Arc<Series<F>>)>,
}

impl<F: Family> std::fmt::Debug for Metrics<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let groups = self.groups.iter().map(|(places, labels, _)| (places, labels));
        f.debug_list().entries(groups).finish()
    }
}

impl<F: Family> Metrics<F> {
    /// The metrics with `changes`, one for each of them, to their `standard` labels.
    #[must_use]
    pub fn new(standard: &[usize], changes: &[&Changes], all: &AllSeries<F>) -> Self {
        let mut groups: Vec<(Places, Vec<Label>, Arc<Series<F>>)> = Vec::new();
        for (place, changes) in changes.iter().enumerate() {
            if changes.is_dropped {
                continue;
            }
            let labels = changes.labels(standard);
            let bit = Places(1 << place);
            match groups.iter_mut().find(|(_, held, _)| *held == labels) {
                Some((places, ..)) => places.0 |= bit.0,
                None => {
                    let series = all.of(labels.iter().map(|label| label.name.clone()).collect());
                    groups.push((bit, labels, series));
                }
            }
        }
        Self { groups }
    }

    /// Where a stream is counted whose labels have these values. Takes a lock for each group.
    pub fn resolve<'a>(&self, value: impl Fn(&Label) -> Cow<'a, str>) -> Handles<F> {
        let resolve = |(places, labels, series): &(Places, Vec<Label>, Arc<Series<F>>)| {
            let values: Vec<_> = labels.iter().map(&value).collect();
            let values: Vec<_> = values.iter().map(|value| &**value).collect();
            (*places, series.at(&values))
        };
        self.groups.iter().map(resolve).collect()
    }
}

/// By the names of labels.
type ByLabels<F> = HashMap<Box<[Arc<str>]>, Arc<Series<F>>>;

/// The series of a family, by the names of their labels; shared by all filters, so that a listener that goes takes no counter along.
pub struct AllSeries<F: Family> {
    registry: Arc<Registry>,
    own: Arc<Own>,
    by_labels: Mutex<ByLabels<F>>,
}

impl<F: Family> AllSeries<F> {
    /// None yet.
    #[must_use]
    pub fn new(registry: Arc<Registry>, own: Arc<Own>) -> Self {
        Self { registry, own, by_labels: Mutex::default() }
    }

    fn of(&self, labels: Box<[Arc<str>]>) -> Arc<Series<F>> {
        let mut all = self.by_labels.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (registry, own) = (self.registry.clone(), self.own.clone());
            Arc::new(Series::new(registry, own, NAMESPACE, labels.clone(), MAX_SERIES))
        };
        all.entry(labels.clone()).or_insert_with(new).clone()
    }
}

/// Names of the metrics of each family, in its order, as configuration spells them.
pub trait Named {
    /// Their names.
    const METRICS: &'static [&'static str];
}

impl Named for IstioHttpStat {
    const METRICS: &'static [&'static str] =
        &["requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes"];
}

impl Named for IstioGrpcStat {
    const METRICS: &'static [&'static str] = &["request_messages_total", "response_messages_total"];
}

impl Named for IstioTcpStat {
    const METRICS: &'static [&'static str] = &[
        "tcp_connections_opened_total",
        "tcp_connections_closed_total",
        "tcp_received_bytes_total",
        "tcp_sent_bytes_total",
    ];
}
