//! The handle that the rest of the proxy writes through: one family in one scope.
//!
//! Whoever owns what is counted (a cluster, a listener, a connection manager) keeps the handle beside
//! it; registering costs names and a lock, an increment a load and a store. A handle is cheap to clone
//! but not free, since the count of handles is shared by all workers: clone per connection, not per
//! request.

use std::sync::Arc;

use super::bounds::BoundsRules;
use super::codes;
use super::family::{Codes, Counter, Family, Gauge, Histogram, Kind};
use super::instance::{Instance, Source};
use super::matcher::StatsMatcher;
use super::read::{self, Part, Samples};
use super::scope::Scope;

/// The stats of family `F` in one scope. Cells live as long as one handle does.
pub struct Stats<F: Family>(pub(super) Arc<Instance<F>>);

impl<F: Family> Clone for Stats<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Family> std::fmt::Debug for Stats<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({:?})", F::NAME, self.0.core.scope.prefix)
    }
}

impl<F: Family> Stats<F> {
    /// Stats that no dump lists, for those that are shown elsewhere (hosts in `/clusters`) and for tests.
    #[must_use]
    pub fn detached(workers: usize) -> Self {
        let bounds = BoundsRules::new(Vec::new());
        let matcher = StatsMatcher::default();
        let made = Instance::new(Scope::default(), workers, &matcher, &bounds);
        Self(Arc::new(made.unwrap_or_else(Instance::absent)))
    }

    /// Counts one.
    #[inline]
    pub fn inc(&self, counter: Counter<F>) {
        self.add(counter, 1);
    }

    /// Counts `n`.
    #[inline]
    pub fn add(&self, counter: Counter<F>, n: u64) {
        let word = usize::from(counter.word);
        self.0.shards.write(move |writer| writer.add(word, n));
    }

    /// One more. Rise and fall may happen on different threads.
    #[inline]
    pub fn up(&self, gauge: Gauge<F>) {
        self.shift(gauge, 1);
    }

    /// One less.
    #[inline]
    pub fn down(&self, gauge: Gauge<F>) {
        self.shift(gauge, -1);
    }

    /// `by` more, or less.
    #[inline]
    pub fn shift(&self, gauge: Gauge<F>, by: i64) {
        let (word, used) = (usize::from(gauge.word), 1 << gauge.bit);
        self.0.shards.write(move |writer| {
            writer.add(word, by.cast_unsigned());
            writer.mark(F::GAUGES_USED, used);
        });
    }

    /// Sets a gauge that nobody shifts; of two threads that set it the later wins.
    pub fn set(&self, gauge: Gauge<F>, value: u64) {
        let (word, used) = (usize::from(gauge.word), 1 << gauge.bit);
        self.0.shards.write_shared(move |writer| {
            writer.put(word, value);
            writer.mark(F::GAUGES_USED, used);
        });
    }

    /// One more until the guard is dropped. The guard keeps the stats alive at the price of a clone:
    /// for connections and streams that nothing else ties to their owner; else `up` and `down`.
    #[must_use]
    pub fn active(&self, gauge: Gauge<F>) -> Active<F> {
        self.up(gauge);
        Active { stats: self.clone(), gauge }
    }

    /// Records a sample: milliseconds, bytes or percent, as the histogram's name says.
    #[inline]
    pub fn record(&self, histogram: Histogram<F>, value: u64) {
        let Some(Some(layout)) = self.0.core.histograms.get(usize::from(histogram.index)) else {
            return;
        };
        let (sum, bucket) = (layout.at, layout.at + 1 + layout.bounds.bucket(value));
        self.0.shards.write(move |writer| {
            writer.add_histogram(sum, value);
            writer.add_histogram(bucket, 1);
        });
    }

    /// Counts one answer with status `code`.
    #[inline]
    pub fn code(&self, codes: Codes<F>, code: u16) {
        let word = usize::from(codes.word);
        self.0.shards.write(move |writer| codes::count(&writer, word, code));
    }

    /// What the counter stands at.
    #[must_use]
    pub fn count(&self, counter: Counter<F>) -> u64 {
        self.whole(Kind::Counter { word: counter.word })
    }

    /// What the gauge stands at.
    #[must_use]
    pub fn level(&self, gauge: Gauge<F>) -> u64 {
        self.whole(Kind::Gauge { word: gauge.word, bit: gauge.bit })
    }

    /// How often `code` was counted.
    #[must_use]
    pub fn code_count(&self, codes: Codes<F>, code: u16) -> u64 {
        self.part(Kind::Codes { word: codes.word }, Part::Code(code))
    }

    /// The histogram's samples; `None` if the stats matcher rejects it.
    #[must_use]
    pub fn samples(&self, histogram: Histogram<F>) -> Option<Samples> {
        let layout = self.0.core.histograms.get(usize::from(histogram.index))?.as_ref()?;
        Some(read::samples(&*self.0, layout))
    }

    fn whole(&self, kind: Kind) -> u64 {
        self.part(kind, Part::Whole)
    }

    fn part(&self, kind: Kind, wanted: Part) -> u64 {
        let source: &dyn Source = &*self.0;
        let mut value = 0;
        if let Some(stat) = F::STATS.iter().find(|stat| stat.kind == kind) {
            read::numbers(source, stat, &mut |part, number| {
                if part == wanted {
                    value = number.value;
                }
            });
        }
        value
    }
}

/// Keeps a gauge up by one until it is dropped, on whatever thread.
pub struct Active<F: Family> {
    stats: Stats<F>,
    gauge: Gauge<F>,
}

impl<F: Family> Drop for Active<F> {
    fn drop(&mut self) {
        self.stats.down(self.gauge);
    }
}

impl<F: Family> std::fmt::Debug for Active<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Active").field(&self.stats).finish()
    }
}
