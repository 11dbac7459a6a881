//! Stats in Prometheus' exposition format. (envoy admin: /stats/prometheus)
//!
//! As Envoy gives it: counters, gauges, text readouts if asked for, histograms; within each type the
//! families in the order of their names word by word, each after one `# TYPE` line and without `# HELP`.
//! A type is collected as references, sorted and written before the next begins: what stands in memory is a
//! few words for each series of one type, never the text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, PoisonError};

use super::dump::{Recorded, recorded};
use super::family::{Descriptor, Kind, Shown};
use super::instance::Source;
use super::labels::{Class, dot_least, metric_name, push_label};
use super::number::{not_a_number, shortest};
use super::quantile::{QUANTILES, estimate};
use super::query::{BucketMode, StatsQuery};
use super::read::{Number, Part, numbers, push_part_name};
use super::registry::Registry;
use super::text::cumulative;

/// One series.
struct Series {
    /// Place among the sorted sources.
    source: u32,
    /// Place among the source's stats.
    stat: u16,
    part: Part,
    class: Arc<Class>,
    /// Of a counter or gauge.
    value: u64,
}

/// Series by what is left of their names.
type Groups = HashMap<Box<[u8]>, Vec<Series>>;

/// What is written in one go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

/// Writes every stat that `query` asks for.
///
/// # Errors
/// Those of `out`.
pub fn write_prometheus(
    registry: &Registry,
    query: &StatsQuery,
    out: &mut dyn Write,
) -> io::Result<()> {
    let out = &mut BufWriter::new(out);
    let mut sources = registry.sources();
    sources.sort_by(|a, b| by_words(&a.core().scope.prefix).cmp(by_words(&b.core().scope.prefix)));
    write_groups(&sources, collect(registry, query, &sources, Type::Counter), query, out)?;
    write_groups(&sources, collect(registry, query, &sources, Type::Gauge), query, out)?;
    if query.text_readouts {
        write_texts(registry, query, out)?;
    }
    write_groups(&sources, collect(registry, query, &sources, Type::Histogram), query, out)?;
    out.flush()
}

fn type_of(stat: &Descriptor) -> Type {
    match stat.kind {
        Kind::Counter { .. } | Kind::Codes { .. } => Type::Counter,
        Kind::Gauge { .. } => Type::Gauge,
        Kind::Histogram { .. } => Type::Histogram,
    }
}

/// All series of one type.
fn collect(
    registry: &Registry,
    query: &StatsQuery,
    sources: &[Arc<dyn Source>],
    wanted: Type,
) -> Groups {
    let mut groups = Groups::new();
    let mut name = String::new();
    let mut cut = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        let core = source.core();
        let mut cache = core.tags.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, stat) in source.stats().iter().enumerate() {
            if type_of(stat) != wanted || !core.is_visible(index) {
                continue;
            }
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            each_part(&**source, stat, &mut |part, number| {
                if stat.shown == Shown::OnceUsed && !number.used {
                    return;
                }
                full_name(&**source, stat, part, &mut name);
                if !query.admits(&name, number.used)
                    || part != Part::Whole && !registry.accepts(&name)
                {
                    return;
                }
                let class = cache.class(&registry.tags, &core.scope, (index, part), &name);
                class.cut_name(&name, &mut cut);
                let source = u32::try_from(place).unwrap_or(u32::MAX);
                let series = Series { source, stat: index, part, class, value: number.value };
                match groups.get_mut(cut.as_slice()) {
                    Some(group) => group.push(series),
                    None => {
                        groups.insert(cut.as_slice().into(), vec![series]);
                    }
                }
            });
        }
    }
    groups
}

/// All values of a stat; a histogram's is the number of its samples.
fn each_part(source: &dyn Source, stat: &Descriptor, each: &mut dyn FnMut(Part, Number)) {
    match stat.kind {
        Kind::Histogram { index } => {
            if let Some(recorded) = recorded(source, index) {
                let value = recorded.total.count();
                each(Part::Whole, Number { value, used: value != 0 });
            }
        }
        _ => numbers(source, stat, each),
    }
}

fn full_name(source: &dyn Source, stat: &Descriptor, part: Part, name: &mut String) {
    name.clear();
    name.push_str(&source.core().scope.prefix);
    push_part_name(stat.name, part, name);
    name.push_str(&source.core().scope.suffix);
}

fn write_groups(
    sources: &[Arc<dyn Source>],
    groups: Groups,
    query: &StatsQuery,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    // Two names may be one when sanitized, but a family stands in one place.
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut families: Vec<(String, Vec<Series>)> = Vec::new();
    for (cut, series) in groups {
        let Some(metric) = metric_name(&cut) else { continue };
        match places.get(&metric).and_then(|place| families.get_mut(*place)) {
            Some((_, known)) => known.extend(series),
            None => {
                places.insert(metric.clone(), families.len());
                families.push((metric, series));
            }
        }
    }
    for (metric, mut series) in families {
        series.sort_by(|a, b| a.order(b, sources));
        let mut typed = false;
        for one in &series {
            let Some((source, stat)) = one.stat(sources) else { continue };
            let summary = query.buckets == BucketMode::Summary;
            if !typed {
                let type_name = match type_of(stat) {
                    Type::Counter => "counter",
                    Type::Gauge => "gauge",
                    Type::Histogram if summary => "summary",
                    Type::Histogram => "histogram",
                };
                writeln!(out, "# TYPE {metric} {type_name}")?;
                typed = true;
            }
            let labels = &one.class.labels;
            match stat.kind {
                Kind::Histogram { index } => match recorded(&**source, index) {
                    Some(recorded) if summary => write_summary(&metric, labels, &recorded, out)?,
                    Some(recorded) => write_histogram(&metric, labels, &recorded, out)?,
                    None => {}
                },
                _ => writeln!(out, "{metric}{{{labels}}} {}", one.value)?,
            }
        }
    }
    Ok(())
}

impl Series {
    fn stat<'a>(
        &self,
        sources: &'a [Arc<dyn Source>],
    ) -> Option<(&'a Arc<dyn Source>, &'static Descriptor)> {
        let source = sources.get(usize::try_from(self.source).ok()?)?;
        Some((source, source.stats().get(usize::from(self.stat))?))
    }

    /// By full name; `sources` are sorted by their prefixes.
    fn order(&self, other: &Self, sources: &[Arc<dyn Source>]) -> Ordering {
        let (Some((a, a_stat)), Some((b, b_stat))) = (self.stat(sources), other.stat(sources))
        else {
            return Ordering::Equal;
        };
        let (a, b) = (&a.core().scope, &b.core().scope);
        if !a.prefix.starts_with(&*b.prefix) && !b.prefix.starts_with(&*a.prefix) {
            return self.source.cmp(&other.source);
        }
        let (a_name, b_name) = (part_name(a_stat, self.part), part_name(b_stat, other.part));
        let a = by_words(&a.prefix).chain(by_words(&a_name)).chain(by_words(&a.suffix));
        let b = by_words(&b.prefix).chain(by_words(&b_name)).chain(by_words(&b.suffix));
        a.cmp(b)
    }
}

/// Bytes whose order is Envoy's, which compares names word by word.
fn by_words(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().map(dot_least)
}

fn part_name(stat: &Descriptor, part: Part) -> Cow<'static, str> {
    if part == Part::Whole {
        return Cow::Borrowed(stat.name);
    }
    let mut name = String::new();
    push_part_name(stat.name, part, &mut name);
    Cow::Owned(name)
}

fn write_histogram(
    metric: &str,
    labels: &str,
    recorded: &Recorded,
    out: &mut dyn Write,
) -> io::Result<()> {
    let comma = if labels.is_empty() { "" } else { "," };
    let samples = &recorded.total;
    for (limit, count) in samples.bounds.labels().zip(cumulative(samples)) {
        writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"{limit}\"}} {count}")?;
    }
    let count = samples.count();
    writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
    writeln!(out, "{metric}_sum{{{labels}}} {}", samples.sum)?;
    writeln!(out, "{metric}_count{{{labels}}} {count}")
}

/// Quantiles of the last interval.
fn write_summary(
    metric: &str,
    labels: &str,
    recorded: &Recorded,
    out: &mut dyn Write,
) -> io::Result<()> {
    let comma = if labels.is_empty() { "" } else { "," };
    let samples = &recorded.interval;
    for (quantile, value) in QUANTILES.into_iter().zip(estimate(samples)) {
        let quantile = shortest(quantile);
        let value = if value.is_finite() { value.to_string() } else { not_a_number(value).into() };
        writeln!(out, "{metric}{{{labels}{comma}quantile=\"{quantile}\"}} {value}")?;
    }
    writeln!(out, "{metric}_sum{{{labels}}} {}", samples.sum)?;
    writeln!(out, "{metric}_count{{{labels}}} {}", samples.count())
}

/// Texts as gauges of 0 whose value is a label.
fn write_texts(registry: &Registry, query: &StatsQuery, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Vec::new();
    for text in registry.texts() {
        let value = text.value();
        if query.admits(text.name(), !value.is_empty()) {
            let class = Class::of(&registry.tags, &Default::default(), text.name());
            let mut labels = String::from(&*class.labels);
            push_label("text_value", &value, &mut labels);
            let mut cut = Vec::new();
            class.cut_name(text.name(), &mut cut);
            texts.push((cut, labels));
        }
    }
    texts.sort();
    for group in texts.chunk_by(|(a, _), (b, _)| a == b) {
        let Some(metric) = group.first().and_then(|(cut, _)| metric_name(cut)) else { continue };
        writeln!(out, "# TYPE {metric} gauge")?;
        for (_, labels) in group {
            writeln!(out, "{metric}{{{labels}}} 0")?;
        }
    }
    Ok(())
}

/// The series of a stat with this name and no labels of its own, for tests of the tag rules.
#[cfg(test)]
pub(super) fn series_of(rules: &super::tags::TagRules, name: &str) -> String {
    let class = Class::of(rules, &Default::default(), name);
    let mut cut = Vec::new();
    class.cut_name(name, &mut cut);
    format!("{}{{{}}}", metric_name(&cut).unwrap(), class.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{HostStat, StatsSpec};

    #[test]
    fn names_that_are_one_when_sanitized_stand_under_one_type() {
        let registry = Registry::new(StatsSpec::default(), 1).unwrap();
        let stats = ["a-x.", "a.m.", "a_x.", "b."].map(|scope| registry.stats::<HostStat>(scope));
        let query = StatsQuery::parse(true, [("filter", "rq_total")]).unwrap();
        let mut out = Vec::new();
        write_prometheus(&registry, &query, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "# TYPE envoy_a_m_rq_total counter",
                "envoy_a_m_rq_total{} 0",
                "# TYPE envoy_a_x_rq_total counter",
                "envoy_a_x_rq_total{} 0",
                "envoy_a_x_rq_total{} 0",
                "# TYPE envoy_b_rq_total counter",
                "envoy_b_rq_total{} 0",
            ]
        );
        drop(stats);
    }
}
