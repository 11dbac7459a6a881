//! One family in one scope: its cells, and what readers need to know about them.
//!
//! `stats` writes into an instance, `read` reads it as a [`Source`] without knowing its family, and
//! `registry` makes it. What the stats matcher rejects is decided here, once: where nothing would be
//! visible there is no instance, and a mesh of thousands of clusters pays for none of them.

use std::any::Any;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use super::bounds::{Bounds, BoundsRules};
use super::cells::{Line, Shards, Words};
use super::family::{Descriptor, Family, Kind};
use super::interval::Interval;
use super::labels::TagCache;
use super::matcher::StatsMatcher;
use super::read::Part;
use super::scope::Scope;

/// One family in one scope.
pub(super) struct Instance<F: Family> {
    pub(super) shards: Shards<F::Words>,
    pub(super) core: Core,
}

/// What an instance is beside its cells; the same for every family.
#[derive(Default)]
pub(super) struct Core {
    pub(super) scope: Scope,
    /// By a histogram's index; `None` if the matcher rejects it.
    pub(super) histograms: Box<[Option<Layout>]>,
    /// By a stat's index; `None` if all are visible.
    visible: Option<Box<[bool]>>,
    /// What counters stood at when they were last reset, ascending.
    pub(super) baseline: Mutex<Vec<((u16, Part), u64)>>,
    /// Histograms' samples of the last flush interval.
    pub(super) intervals: Mutex<Vec<Interval>>,
    /// Labels, as far as they were asked for.
    pub(super) tags: Mutex<TagCache>,
}

/// Where a histogram's cells are.
pub(super) struct Layout {
    pub(super) bounds: Arc<Bounds>,
    /// Its first cell: the sum, then one for each bucket and one above.
    pub(super) at: usize,
}

impl<F: Family> Instance<F> {
    /// An instance for `workers` workers, as far as `matcher` lets it be seen; `None` if it does not.
    pub(super) fn new(
        scope: Scope,
        workers: usize,
        matcher: &StatsMatcher,
        bounds: &BoundsRules,
    ) -> Option<Self> {
        let visible = visibility(&scope, F::STATS, matcher);
        if visible.as_ref().is_some_and(|visible| !visible.contains(&true)) {
            return None;
        }
        let mut histograms: Box<[_]> = (0..F::HISTOGRAMS).map(|_| None).collect();
        let mut cells = 0;
        let mut name = String::new();
        for (stat, descriptor) in F::STATS.iter().enumerate() {
            let Kind::Histogram { index } = descriptor.kind else { continue };
            if visible.as_ref().is_some_and(|visible| visible.get(stat) != Some(&true)) {
                continue;
            }
            let bounds = bounds.of(scope.full_name(descriptor.name, &mut name));
            let size = bounds.limits().len() + 2;
            if let Some(layout) = histograms.get_mut(usize::from(index)) {
                *layout = Some(Layout { bounds, at: cells });
            }
            cells += size;
        }
        let core = Core { scope, histograms, visible, ..Core::default() };
        Some(Self { shards: Shards::new(workers, cells), core })
    }

    /// An instance that keeps nothing: all that is written goes nowhere.
    pub(super) fn absent() -> Self {
        Self { shards: Shards::absent(), core: Core::default() }
    }
}

/// What `matcher` lets through, by a stat's index; `None` for all.
fn visibility(scope: &Scope, stats: &[Descriptor], matcher: &StatsMatcher) -> Option<Box<[bool]>> {
    if matcher.accepts_all() {
        return None;
    }
    let mut name = String::new();
    let visible = stats.iter().map(|stat| {
        scope.full_name(stat.name, &mut name);
        match stat.kind {
            Kind::Codes { .. } => matcher.accepts_some_code(&mut name),
            _ => matcher.accepts(&name),
        }
    });
    let visible: Box<[bool]> = visible.collect();
    visible.contains(&false).then_some(visible)
}

impl Core {
    /// False if the matcher rejects the stat with this index.
    pub(super) fn is_visible(&self, stat: usize) -> bool {
        self.visible.as_ref().is_none_or(|visible| visible.get(stat) == Some(&true))
    }
}

/// An instance as readers see it, whatever its family.
pub(super) trait Source: Any + Send + Sync {
    fn core(&self) -> &Core;
    fn stats(&self) -> &'static [Descriptor];
    /// The family's word of bits for used gauges.
    fn gauges_used(&self) -> usize;
    fn workers(&self) -> usize;
    /// The words and histogram cells of a worker's shard, or, at `workers()`, of all others'; `None` if
    /// it was never written.
    fn shard(&self, index: usize) -> Option<(&[AtomicU64], &[Line])>;
}

impl<F: Family> Source for Instance<F> {
    fn core(&self) -> &Core {
        &self.core
    }

    fn stats(&self) -> &'static [Descriptor] {
        F::STATS
    }

    fn gauges_used(&self) -> usize {
        F::GAUGES_USED
    }

    fn workers(&self) -> usize {
        self.shards.workers()
    }

    fn shard(&self, index: usize) -> Option<(&[AtomicU64], &[Line])> {
        let shard = match self.shards.of_worker(index) {
            None if index == self.workers() => self.shards.of_others(),
            shard => shard,
        }?;
        Some((shard.words.as_slice(), &shard.histograms))
    }
}
