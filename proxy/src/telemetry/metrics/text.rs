//! Stats as lines of text. (envoy admin: /stats)

use std::io::{self, Write};

use super::dump::{Recorded, Value, walk};
use super::number::{not_a_number, significant};
use super::quantile::{QUANTILES, estimate};
use super::query::{BucketMode, StatsQuery};
use super::read::Samples;
use super::registry::Registry;

/// Writes every stat that `query` asks for, as `name: value`.
///
/// # Errors
/// Those of `out`.
pub fn write_text(registry: &Registry, query: &StatsQuery, out: &mut dyn Write) -> io::Result<()> {
    walk(registry, query, &mut |name, value| match value {
        Value::Text(text) => writeln!(out, "{name}: \"{text}\""),
        Value::Number(number) => writeln!(out, "{name}: {number}"),
        Value::Histogram(recorded) if recorded.total.count() == 0 => {
            writeln!(out, "{name}: No recorded values")
        }
        Value::Histogram(recorded) => match query.buckets {
            BucketMode::Detailed => write_details(name, &recorded, out),
            mode => {
                write!(out, "{name}: ")?;
                match mode {
                    BucketMode::Cumulative => write_buckets(&recorded, cumulative, out),
                    BucketMode::Disjoint => write_buckets(&recorded, disjoint, out),
                    _ => write_quantiles(&recorded, out),
                }
            }
        },
    })
}

/// `P50(interval,total)` for each quantile.
fn write_quantiles(recorded: &Recorded, out: &mut dyn Write) -> io::Result<()> {
    let pairs = estimate(&recorded.interval).into_iter().zip(estimate(&recorded.total));
    for (index, (quantile, (interval, total))) in QUANTILES.into_iter().zip(pairs).enumerate() {
        let separator = if index == 0 { "" } else { " " };
        let percent = significant(100.0 * quantile, 6);
        write!(out, "{separator}P{percent}({},{})", plain(interval), plain(total))?;
    }
    writeln!(out)
}

fn plain(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { not_a_number(value).to_owned() }
}

/// `B10(interval,total)` for each bound.
fn write_buckets(
    recorded: &Recorded,
    counts: fn(&Samples) -> Vec<u64>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let pairs = counts(&recorded.interval).into_iter().zip(counts(&recorded.total));
    let limits = recorded.total.bounds.limits().iter().zip(pairs);
    for (index, (limit, (interval, total))) in limits.enumerate() {
        let separator = if index == 0 { "" } else { " " };
        write!(out, "{separator}B{}({interval},{total})", significant(*limit, 6))?;
    }
    writeln!(out)
}

/// The buckets that hold samples as `first,width:count`, and the quantiles.
fn write_details(name: &str, recorded: &Recorded, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{name}:")?;
    for (title, samples) in [("totals", &recorded.total), ("intervals", &recorded.interval)] {
        write!(out, "  {title}=")?;
        for (index, (first, width, count)) in filled(samples).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(out, "{separator}{first},{width}:{count}")?;
        }
        writeln!(out)?;
    }
    write!(out, "  summary=")?;
    write_quantiles(recorded, out)
}

/// First number, width and count of each bucket that holds samples.
pub(super) fn filled(samples: &Samples) -> impl Iterator<Item = (u64, u64, u64)> {
    samples.counts.iter().enumerate().filter(|(_, count)| **count != 0).map(|(bucket, count)| {
        let (first, last) = samples.bounds.span(bucket);
        (first, last - first, *count)
    })
}

/// Samples up to each bound.
pub(super) fn cumulative(samples: &Samples) -> Vec<u64> {
    let mut below = 0_u64;
    let counts = samples.counts.iter().take(samples.bounds.limits().len());
    counts
        .map(|count| {
            below = below.wrapping_add(*count);
            below
        })
        .collect()
}

/// Samples between each bound and the one before.
pub(super) fn disjoint(samples: &Samples) -> Vec<u64> {
    samples.counts.iter().copied().take(samples.bounds.limits().len()).collect()
}
