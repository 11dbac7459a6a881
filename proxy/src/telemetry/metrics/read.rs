//! Reading: what the shards of an instance add up to.
//!
//! Shards are read one after the other while their owners go on writing, so two stats of one dump may be
//! a moment apart, and a gauge whose rise and fall happen on two workers may be seen below zero: that is
//! shown as zero. Nothing here blocks a writer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use super::bounds::Bounds;
use super::cells::cell;
use super::codes::{self, CODE_WORDS};
use super::family::{Descriptor, Kind, Shown};
use super::instance::{Layout, Source};

/// Which of the values that one stat may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The stat itself.
    Whole,
    /// One worker's share of it.
    Worker(u16),
    /// Its counter for one status code.
    Code(u16),
    /// Its counter for all codes that found no place.
    UnknownCode,
}

/// A counter's or gauge's value. Envoy's gauges have no sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: u64,
    /// Written at least once; a reset does not change it.
    pub(super) used: bool,
}

/// The samples of a histogram.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Bounds of the buckets.
    pub bounds: Arc<Bounds>,
    /// Samples by bucket; the last is above all bounds.
    pub counts: Vec<u64>,
    /// Sum of all samples, modulo 2^64.
    pub sum: u64,
}

impl Samples {
    /// None yet.
    pub(super) fn none(bounds: Arc<Bounds>) -> Self {
        let counts = vec![0; bounds.limits().len() + 1];
        Self { bounds, counts, sum: 0 }
    }

    /// Number of samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

/// Adds the name of a part of the stat `name` to `out`.
pub(super) fn push_part_name(name: &str, part: Part, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    match part {
        Part::Whole => out.push_str(name),
        Part::Worker(index) => {
            out.extend(["worker_", digits.format(index), ".", name]);
        }
        Part::Code(code) => out.extend([name, digits.format(code)]),
        Part::UnknownCode => out.extend([name, "unknown"]),
    }
}

/// Gives `each` every value of a counter, gauge or group of codes; nothing for a histogram.
pub(super) fn numbers(source: &dyn Source, stat: &Descriptor, each: &mut dyn FnMut(Part, Number)) {
    let (word, bit) = match stat.kind {
        Kind::Counter { word } => (word, None),
        Kind::Gauge { word, bit } => (word, Some(bit)),
        Kind::Codes { word } => return code_numbers(source, word, each),
        Kind::Histogram { .. } => return,
    };
    let mut whole = Number { value: 0, used: false };
    let mut by_workers = false;
    for index in 0..=source.workers() {
        let number = in_shard(source, index, word, bit);
        let worker = index < source.workers();
        whole.value = whole.value.wrapping_add(number.value);
        whole.used |= number.used;
        by_workers |= worker && number.used;
        if worker && stat.shown == Shown::ByWorkerToo {
            let part = Part::Worker(u16::try_from(index).unwrap_or(u16::MAX));
            each(part, since_reset(source, word, part, signless(number, bit, true)));
        }
    }
    let number = signless(whole, bit, by_workers);
    each(Part::Whole, since_reset(source, word, Part::Whole, number));
}

/// A worker's gauge may be below zero, when what it closed was opened elsewhere. A gauge that only
/// others write may be a hash of 64 bits, as `version` is, and passes as it is.
fn signless(number: Number, bit: Option<u8>, by_workers: bool) -> Number {
    let below_zero = number.value > i64::MAX.cast_unsigned();
    let value = if bit.is_some() && by_workers && below_zero { 0 } else { number.value };
    Number { value, ..number }
}

fn in_shard(source: &dyn Source, index: usize, word: u16, bit: Option<u8>) -> Number {
    let Some((words, _)) = source.shard(index) else { return Number { value: 0, used: false } };
    let load = |word: usize| words.get(word).map_or(0, |word| word.load(Relaxed));
    let value = load(usize::from(word));
    let used = match bit {
        Some(bit) => load(source.gauges_used()) & (1 << bit) != 0,
        None => value != 0,
    };
    Number { value, used }
}

fn code_numbers(source: &dyn Source, word: u16, each: &mut dyn FnMut(Part, Number)) {
    let mut sums = Vec::new();
    let mut unknown = 0;
    let first = usize::from(word);
    for index in 0..=source.workers() {
        let Some((words, _)) = source.shard(index) else { continue };
        if let Some(region) = words.get(first..first + CODE_WORDS) {
            unknown += codes::collect(region, &mut sums);
        }
    }
    let mut give = |part, value| {
        let number = Number { value, used: value != 0 };
        each(part, since_reset(source, word, part, number));
    };
    for (code, count) in sums {
        give(Part::Code(code), count);
    }
    if unknown != 0 {
        give(Part::UnknownCode, unknown);
    }
}

/// What was counted since the last reset. (envoy: `POST /reset_counters`)
fn since_reset(source: &dyn Source, word: u16, part: Part, number: Number) -> Number {
    let baseline = source.core().baseline.lock().unwrap_or_else(PoisonError::into_inner);
    match baseline.binary_search_by_key(&(word, part), |(key, _)| *key) {
        Ok(found) => {
            let base = baseline.get(found).map_or(0, |(_, base)| *base);
            Number { value: number.value.saturating_sub(base), ..number }
        }
        Err(_) => number,
    }
}

/// Lets every counter of the instance read zero from here on.
pub(super) fn reset_counters(source: &dyn Source) {
    let mut baseline = Vec::new();
    std::mem::take(&mut *source.core().baseline.lock().unwrap_or_else(PoisonError::into_inner));
    for stat in source.stats() {
        let (Kind::Counter { word } | Kind::Codes { word }) = stat.kind else { continue };
        numbers(source, stat, &mut |part, number| {
            if number.value != 0 {
                baseline.push(((word, part), number.value));
            }
        });
    }
    baseline.sort_unstable();
    *source.core().baseline.lock().unwrap_or_else(PoisonError::into_inner) = baseline;
}

/// The samples of a histogram of the instance, of all shards.
pub(super) fn samples(source: &dyn Source, layout: &Layout) -> Samples {
    let mut samples = Samples::none(Arc::clone(&layout.bounds));
    for index in 0..=source.workers() {
        let Some((_, lines)) = source.shard(index) else { continue };
        let load = |at| cell(lines, at).map_or(0, |cell: &AtomicU64| cell.load(Relaxed));
        samples.sum = samples.sum.wrapping_add(load(layout.at));
        for (bucket, count) in samples.counts.iter_mut().enumerate() {
            *count = count.wrapping_add(load(layout.at + 1 + bucket));
        }
    }
    samples
}
