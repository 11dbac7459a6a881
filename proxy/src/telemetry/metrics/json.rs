//! Stats as JSON. (envoy admin: /stats?format=json)
//!
//! Numbers and texts are one object each; all histograms follow in one last object, whose shape the mode
//! decides. Written as it is walked, so that the document never stands in memory.

use std::io::{self, Write};

use super::dump::{Recorded, Value, walk};
use super::number::shortest;
use super::quantile::{QUANTILES, estimate};
use super::query::{BucketMode, StatsQuery};
use super::read::Samples;
use super::registry::Registry;
use super::text::{cumulative, disjoint, filled};

/// Writes every stat that `query` asks for.
///
/// # Errors
/// Those of `out`.
pub fn write_json(registry: &Registry, query: &StatsQuery, out: &mut dyn Write) -> io::Result<()> {
    let (head, tail) = histogram_frame(query.buckets);
    let mut stats = 0_usize;
    let mut histograms = 0_usize;
    out.write_all(b"{\"stats\":[")?;
    walk(registry, query, &mut |name, value| {
        let histogram = matches!(value, Value::Histogram(_));
        if stats > 0 {
            out.write_all(b",")?;
        }
        if histogram && histograms == 0 {
            out.write_all(head.as_bytes())?;
        }
        stats += 1;
        histograms += usize::from(histogram);
        write!(out, "{{\"name\":{}", quoted(name))?;
        match value {
            Value::Text(text) => write!(out, ",\"value\":{}", quoted(text))?,
            Value::Number(number) => write!(out, ",\"value\":{number}")?,
            Value::Histogram(recorded) => write_histogram(query.buckets, &recorded, out)?,
        }
        out.write_all(b"}")
    })?;
    if histograms > 0 {
        out.write_all(tail.as_bytes())?;
    }
    out.write_all(b"]}")
}

/// What stands before the first and after the last histogram.
fn histogram_frame(mode: BucketMode) -> (String, &'static str) {
    let percents = QUANTILES.map(|quantile| shortest(100.0 * quantile)).join(",");
    match mode {
        BucketMode::Cumulative | BucketMode::Disjoint => ("{\"histograms\":[".to_owned(), "]}"),
        BucketMode::Detailed => (
            format!("{{\"histograms\":{{\"supported_percentiles\":[{percents}],\"details\":["),
            "]}}",
        ),
        BucketMode::Unset | BucketMode::Summary => (
            format!(
                "{{\"histograms\":{{\"supported_quantiles\":[{percents}],\"computed_quantiles\":["
            ),
            "]}}",
        ),
    }
}

/// What follows a histogram's name.
fn write_histogram(mode: BucketMode, recorded: &Recorded, out: &mut dyn Write) -> io::Result<()> {
    match mode {
        BucketMode::Cumulative => write_buckets(recorded, cumulative, out),
        BucketMode::Disjoint => write_buckets(recorded, disjoint, out),
        BucketMode::Detailed => {
            for (title, samples) in [("totals", &recorded.total), ("intervals", &recorded.interval)]
            {
                let buckets: Vec<_> = filled(samples)
                    .map(|(first, width, count)| {
                        format!("{{\"lower_bound\":{first},\"width\":{width},\"count\":{count}}}")
                    })
                    .collect();
                write!(out, ",\"{title}\":[{}]", buckets.join(","))?;
            }
            write_quantiles("percentiles", recorded, out)
        }
        BucketMode::Unset | BucketMode::Summary => write_quantiles("values", recorded, out),
    }
}

fn write_quantiles(title: &str, recorded: &Recorded, out: &mut dyn Write) -> io::Result<()> {
    let pairs = estimate(&recorded.total).into_iter().zip(estimate(&recorded.interval));
    let quantiles: Vec<_> = pairs
        .map(|(total, interval)| {
            format!("{{\"cumulative\":{},\"interval\":{}}}", number(total), number(interval))
        })
        .collect();
    write!(out, ",\"{title}\":[{}]", quantiles.join(","))
}

fn write_buckets(
    recorded: &Recorded,
    counts: fn(&Samples) -> Vec<u64>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let pairs = counts(&recorded.interval).into_iter().zip(counts(&recorded.total));
    let buckets: Vec<_> = recorded
        .total
        .bounds
        .limits()
        .iter()
        .zip(pairs)
        .map(|(limit, (interval, total))| {
            let limit = shortest(*limit);
            format!("{{\"upper_bound\":{limit},\"interval\":{interval},\"cumulative\":{total}}}")
        })
        .collect();
    write!(out, ",\"buckets\":[{}]", buckets.join(","))
}

/// JSON has no word for what is not a number.
fn number(value: f64) -> String {
    if value.is_finite() { shortest(value) } else { "null".to_owned() }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
