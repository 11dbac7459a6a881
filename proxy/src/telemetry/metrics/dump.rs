//! Walks all stats in Envoy's order: texts, then counters and gauges, then histograms, each by full name.
//! `text` and `json` write what they are given; Prometheus has an order of its own.
//!
//! Instances come sorted by scope. Names of two scopes interleave only if one scope begins with the other
//! (`cluster.a.` and `cluster.a.external.`), so it is enough to sort within such a group: memory is that
//! of the largest group, not of the dump.

use std::io;
use std::sync::Arc;

use super::family::{Kind, Shown};
use super::instance::{Layout, Source};
use super::interval;
use super::query::{StatKind, StatsQuery};
use super::read::{Part, Samples, numbers, push_part_name, samples};
use super::registry::Registry;

/// The value of one stat.
pub(super) enum Value<'a> {
    /// Of a text readout.
    Text(&'a str),
    /// Of a counter or gauge.
    Number(u64),
    /// Of a histogram.
    Histogram(Recorded),
}

/// A histogram's samples.
pub(super) struct Recorded {
    /// Since the start.
    pub(super) total: Samples,
    /// Between the last two flushes.
    pub(super) interval: Samples,
}

/// Takes a stat.
pub(super) type Each<'a> = &'a mut dyn FnMut(&str, Value<'_>) -> io::Result<()>;

/// Gives `each` every stat that `query` asks for.
pub(super) fn walk(registry: &Registry, query: &StatsQuery, each: Each<'_>) -> io::Result<()> {
    if query.wants(StatKind::TextReadouts) {
        for text in registry.texts() {
            let value = text.value();
            if query.admits(text.name(), !value.is_empty()) {
                each(text.name(), Value::Text(&value))?;
            }
        }
    }
    let sources = registry.sources();
    if query.wants(StatKind::Counters) || query.wants(StatKind::Gauges) {
        each_group(&sources, |group| walk_numbers(registry, query, group, each))?;
    }
    if query.wants(StatKind::Histograms) {
        each_group(&sources, |group| walk_histograms(query, group, each))?;
    }
    Ok(())
}

/// Cuts `sources` into groups whose names do not interleave.
fn each_group(
    mut sources: &[Arc<dyn Source>],
    mut each: impl FnMut(&[Arc<dyn Source>]) -> io::Result<()>,
) -> io::Result<()> {
    while let Some(first) = sources.first() {
        let root = &*first.core().scope.prefix;
        let within = |source: &Arc<dyn Source>| source.core().scope.prefix.starts_with(root);
        let length = sources.iter().position(|source| !within(source)).unwrap_or(sources.len());
        let Some((group, rest)) = sources.split_at_checked(length) else { break };
        each(group)?;
        sources = rest;
    }
    Ok(())
}

/// Stats of a group to be sorted: all names in one buffer, and where each stands with what belongs to it.
struct Rows<T> {
    names: String,
    rows: Vec<(std::ops::Range<usize>, T)>,
}

impl<T> Rows<T> {
    fn new() -> Self {
        Self { names: String::new(), rows: Vec::new() }
    }

    /// Adds a stat, if `wanted` wants it by its name.
    fn push(
        &mut self,
        write_name: impl FnOnce(&mut String),
        wanted: impl FnOnce(&str) -> bool,
        value: T,
    ) {
        let start = self.names.len();
        write_name(&mut self.names);
        if wanted(self.names.get(start..).unwrap_or_default()) {
            self.rows.push((start..self.names.len(), value));
        } else {
            self.names.truncate(start);
        }
    }

    fn sorted(&mut self) -> impl Iterator<Item = (&str, &T)> {
        let Self { names, rows } = self;
        let name = |range: &std::ops::Range<usize>| names.get(range.clone()).unwrap_or_default();
        rows.sort_unstable_by(|(a, _), (b, _)| name(a).cmp(name(b)));
        rows.iter().map(move |(range, value)| (name(range), value))
    }
}

fn walk_numbers(
    registry: &Registry,
    query: &StatsQuery,
    group: &[Arc<dyn Source>],
    each: Each<'_>,
) -> io::Result<()> {
    let mut rows = Rows::new();
    for source in group {
        let core = source.core();
        for (index, stat) in source.stats().iter().enumerate() {
            let kind = match stat.kind {
                Kind::Counter { .. } | Kind::Codes { .. } => StatKind::Counters,
                Kind::Gauge { .. } => StatKind::Gauges,
                Kind::Histogram { .. } => continue,
            };
            if !query.wants(kind) || !core.is_visible(index) {
                continue;
            }
            numbers(&**source, stat, &mut |part, number| {
                if stat.shown == Shown::OnceUsed && !number.used {
                    return;
                }
                let write_name = |name: &mut String| {
                    name.push_str(&core.scope.prefix);
                    push_part_name(stat.name, part, name);
                    name.push_str(&core.scope.suffix);
                };
                let wanted = |name: &str| {
                    query.admits(name, number.used)
                        && (part == Part::Whole || registry.accepts(name))
                };
                rows.push(write_name, wanted, number.value);
            });
        }
    }
    rows.sorted().try_for_each(|(name, value)| each(name, Value::Number(*value)))
}

fn walk_histograms(
    query: &StatsQuery,
    group: &[Arc<dyn Source>],
    each: Each<'_>,
) -> io::Result<()> {
    let mut rows = Rows::new();
    for source in group {
        for stat in source.stats() {
            let Kind::Histogram { index } = stat.kind else { continue };
            let Some(recorded) = recorded(&**source, index) else { continue };
            let used = recorded.total.count() != 0;
            if stat.shown == Shown::OnceUsed && !used {
                continue;
            }
            let scope = &source.core().scope;
            let write_name =
                |name: &mut String| name.extend([&*scope.prefix, stat.name, &*scope.suffix]);
            rows.push(write_name, |name| query.admits(name, used), (source, index));
        }
    }
    rows.sorted().try_for_each(|(name, (source, index))| match recorded(&***source, *index) {
        Some(recorded) => each(name, Value::Histogram(recorded)),
        None => Ok(()),
    })
}

/// The samples of a histogram by its index; `None` if the matcher rejects it.
pub(super) fn recorded(source: &dyn Source, index: u16) -> Option<Recorded> {
    let index = usize::from(index);
    let layout: &Layout = source.core().histograms.get(index)?.as_ref()?;
    let interval =
        interval::last(source, index).unwrap_or_else(|| Samples::none(Arc::clone(&layout.bounds)));
    Some(Recorded { total: samples(source, layout), interval })
}
