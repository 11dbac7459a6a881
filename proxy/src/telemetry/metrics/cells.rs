//! The cells of one family instance: one shard for each worker, and one for all other threads.
//!
//! A worker is the only writer of its shard, so an increment is a load and a store, without a locked
//! instruction; the shared shard takes locked ones. A reader adds the shards up. A shard is allocated
//! when its thread first writes, so that an instance nobody uses owns none, however many workers there
//! are. Absent: names, kinds and visibility of cells (`family`, `instance`), and any way to read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::worker;

/// The counters, gauges and codes of one shard: an array whose length the family knows, so that the
/// check of a constant index costs nothing.
pub trait Words: Send + Sync + 'static {
    /// All zero.
    fn zeroed() -> Self;
    /// The words in order.
    fn as_slice(&self) -> &[AtomicU64];
}

impl<const N: usize> Words for [AtomicU64; N] {
    fn zeroed() -> Self {
        [const { AtomicU64::new(0) }; N]
    }

    #[inline]
    fn as_slice(&self) -> &[AtomicU64] {
        self
    }
}

/// What one writer owns. Aligned so that two workers never write the same cache line.
#[repr(align(64))]
pub(super) struct Shard<W> {
    pub(super) words: W,
    pub(super) histograms: Box<[Line]>,
}

/// Histogram cells come in whole cache lines, for the same reason.
#[repr(align(64))]
pub(super) struct Line([AtomicU64; 8]);

/// The cell at `at` of a row of lines.
#[inline]
pub(super) fn cell(lines: &[Line], at: usize) -> Option<&AtomicU64> {
    lines.get(at / 8)?.0.get(at % 8)
}

impl<W: Words> Shard<W> {
    fn new(histogram_cells: usize) -> Box<Self> {
        let lines = histogram_cells.div_ceil(8);
        let histograms = (0..lines).map(|_| Line([const { AtomicU64::new(0) }; 8])).collect();
        Box::new(Self { words: W::zeroed(), histograms })
    }
}

/// All shards of one instance.
pub(super) struct Shards<W> {
    /// Empty if nothing of the instance is visible: then writes go nowhere.
    own: Box<[OnceLock<Box<Shard<W>>>]>,
    shared: Option<OnceLock<Box<Shard<W>>>>,
    histogram_cells: usize,
}

/// How the calling thread writes.
pub(super) enum Writer<'a, W> {
    /// It is the shard's only writer.
    Owner(&'a Shard<W>),
    /// Others may write the same shard at the same time.
    Sharer(&'a Shard<W>),
}

impl<W: Words> Shards<W> {
    pub(super) fn new(workers: usize, histogram_cells: usize) -> Self {
        let own = (0..workers).map(|_| OnceLock::new()).collect();
        Self { own, shared: Some(OnceLock::new()), histogram_cells }
    }

    /// Cells that are never read and therefore never stored.
    pub(super) fn absent() -> Self {
        Self { own: Box::default(), shared: None, histogram_cells: 0 }
    }

    /// Lets `write` write to the calling thread's shard; not if the instance keeps nothing.
    #[inline]
    pub(super) fn write(&self, write: impl FnOnce(Writer<'_, W>)) {
        // `write` stands in each branch, so that it knows its writer when it is compiled.
        match self.own.get(worker::current()) {
            Some(slot) => match slot.get() {
                Some(shard) => write(Writer::Owner(shard)),
                None => self.write_first(slot, write),
            },
            None => self.write_shared(write),
        }
    }

    #[cold]
    #[inline(never)]
    fn write_first(&self, slot: &OnceLock<Box<Shard<W>>>, write: impl FnOnce(Writer<'_, W>)) {
        write(Writer::Owner(slot.get_or_init(|| Shard::new(self.histogram_cells))));
    }

    /// As `write`, to the shard of all threads that are no workers.
    #[cold]
    #[inline(never)]
    pub(super) fn write_shared(&self, write: impl FnOnce(Writer<'_, W>)) {
        if let Some(slot) = &self.shared {
            write(Writer::Sharer(slot.get_or_init(|| Shard::new(self.histogram_cells))));
        }
    }

    /// The shard of worker `index`, if it has written.
    pub(super) fn of_worker(&self, index: usize) -> Option<&Shard<W>> {
        self.own.get(index)?.get().map(|shard| &**shard)
    }

    /// The shard of all other threads, if one has written.
    pub(super) fn of_others(&self) -> Option<&Shard<W>> {
        self.shared.as_ref()?.get().map(|shard| &**shard)
    }

    pub(super) fn workers(&self) -> usize {
        self.own.len()
    }
}

impl<W: Words> Writer<'_, W> {
    /// Adds `n`, modulo 2^64, to a word.
    #[inline]
    pub(super) fn add(&self, word: usize, n: u64) {
        match self {
            Self::Owner(shard) => {
                if let Some(word) = shard.words.as_slice().get(word) {
                    word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
                }
            }
            Self::Sharer(shard) => {
                if let Some(word) = shard.words.as_slice().get(word) {
                    word.fetch_add(n, Relaxed);
                }
            }
        }
    }

    /// Replaces a word that nobody adds to.
    pub(super) fn put(&self, word: usize, value: u64) {
        let (Self::Owner(shard) | Self::Sharer(shard)) = self;
        if let Some(word) = shard.words.as_slice().get(word) {
            word.store(value, Relaxed);
        }
    }

    /// Sets bits of a word.
    #[inline]
    pub(super) fn mark(&self, word: usize, bits: u64) {
        match self {
            Self::Owner(shard) => {
                if let Some(word) = shard.words.as_slice().get(word) {
                    word.store(word.load(Relaxed) | bits, Relaxed);
                }
            }
            Self::Sharer(shard) => {
                if let Some(word) = shard.words.as_slice().get(word) {
                    word.fetch_or(bits, Relaxed);
                }
            }
        }
    }

    /// Adds `n`, modulo 2^64, to a histogram cell.
    #[inline]
    pub(super) fn add_histogram(&self, at: usize, n: u64) {
        match self {
            Self::Owner(shard) => {
                if let Some(cell) = cell(&shard.histograms, at) {
                    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
                }
            }
            Self::Sharer(shard) => {
                if let Some(cell) = cell(&shard.histograms, at) {
                    cell.fetch_add(n, Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::enter_worker;

    type Pair = [AtomicU64; 2];

    #[test]
    fn a_shard_is_allocated_by_its_first_writer_only() {
        let shards = Shards::<Pair>::new(2, 9);
        assert!(shards.of_others().is_none() && shards.of_worker(0).is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                enter_worker(1);
                shards.write(|writer| {
                    writer.add(1, 5);
                    writer.add_histogram(8, 7);
                    writer.add_histogram(64, 7);
                });
            });
        });
        let shard = shards.of_worker(1).unwrap();
        assert_eq!(shard.words[1].load(Relaxed), 5);
        assert_eq!(cell(&shard.histograms, 8).unwrap().load(Relaxed), 7);
        assert!(shards.of_others().is_none() && shards.of_worker(0).is_none());
    }

    #[test]
    fn a_thread_that_is_no_worker_shares() {
        let shards = Shards::<Pair>::new(1, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                shards.write(|writer| writer.add(0, 1));
                enter_worker(1); // beyond the last worker
                shards.write(|writer| writer.add(0, 1));
            });
        });
        assert!(shards.of_worker(0).is_none());
        assert_eq!(shards.of_others().unwrap().words[0].load(Relaxed), 2);
        Shards::<Pair>::absent().write(|_| panic!("there is nothing to write to"));
    }

    #[test]
    fn shards_of_two_workers_share_no_cache_line() {
        assert_eq!(align_of::<Shard<Pair>>(), 64);
        assert_eq!(size_of::<Line>(), 64);
    }
}
