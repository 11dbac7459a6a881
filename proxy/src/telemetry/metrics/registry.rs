//! All living stats by scope: what makes them and what dumps find.
//!
//! The registry holds instances weakly: they live as long as their owner's handle. Asked again for a
//! family and scope that live, it gives the same cells, so that a configuration swap keeps counters: make
//! the new owner before the old one goes. A lock is taken to make stats and to list them, never to write.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use outrigger_policy::matcher::StringMatcher;
use smallvec::SmallVec;

use super::bounds::{Bounds, BoundsError, BoundsRules};
use super::family::Family;
use super::instance::{Instance, Source};
use super::interval;
use super::matcher::StatsMatcher;
use super::read;
use super::scope::Scope;
use super::stats::Stats;
use super::tags::{TagError, TagRules, TagSpec};
use super::text_readout::{Text, TextReadout};

/// What the bootstrap says about stats. (envoy: config.metrics.v3.StatsConfig)
#[derive(Clone, Debug)]
pub struct StatsSpec {
    /// Envoy's own tags too. (envoy: use_all_default_tags, on unless told otherwise)
    pub use_default_tags: bool,
    /// Further tags. (envoy: stats_tags)
    pub tags: Vec<TagSpec>,
    /// Which stats exist. (envoy: stats_matcher)
    pub matcher: StatsMatcher,
    /// Histogram bounds by name; the first match decides. (envoy: histogram_bucket_settings)
    pub histogram_bounds: Vec<(StringMatcher, Vec<f64>)>,
}

impl Default for StatsSpec {
    fn default() -> Self {
        Self {
            use_default_tags: true,
            tags: Vec::new(),
            matcher: StatsMatcher::All,
            histogram_bounds: Vec::new(),
        }
    }
}

/// Why a [`StatsSpec`] is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StatsSpecError {
    /// Its tags.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// Its bounds.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
}

/// All stats of a process.
pub struct Registry {
    workers: usize,
    matcher: StatsMatcher,
    bounds: BoundsRules,
    pub(super) tags: TagRules,
    living: Mutex<Living>,
}

type Entry = (&'static str, Weak<dyn Source>);

#[derive(Default)]
struct Living {
    /// By the scope's name; several families may share a scope.
    scopes: BTreeMap<Box<str>, SmallVec<[Entry; 1]>>,
    texts: BTreeMap<Box<str>, Weak<Text>>,
    /// By family: the one instance behind all stats that the matcher rejects.
    absent: BTreeMap<&'static str, Arc<dyn Source>>,
    /// Scopes and texts left by the last sweep; at twice as many the next is due.
    swept: usize,
}

fn downcast<F: Family>(source: Arc<dyn Source>) -> Option<Arc<Instance<F>>> {
    let source: Arc<dyn Any + Send + Sync> = source;
    source.downcast().ok()
}

impl Registry {
    /// A registry for a process with `workers` workers (see `enter_worker`).
    ///
    /// # Errors
    /// If a tag or histogram bound of `spec` makes no sense.
    pub fn new(spec: StatsSpec, workers: usize) -> Result<Arc<Self>, StatsSpecError> {
        let tags = TagRules::compile(spec.use_default_tags, &spec.tags)?;
        let mut bounds = Vec::new();
        for (matcher, limits) in spec.histogram_bounds {
            bounds.push((matcher, Bounds::new(&limits)?));
        }
        Ok(Arc::new(Self {
            workers,
            matcher: spec.matcher,
            bounds: BoundsRules::new(bounds),
            tags,
            living: Mutex::default(),
        }))
    }

    /// The stats of family `F` whose names begin with `prefix`, as in `http.ingress.`; those that live,
    /// else new ones.
    pub fn stats<F: Family>(&self, prefix: &str) -> Stats<F> {
        self.stats_of(Scope::new(prefix))
    }

    /// The stats of family `F` with `labels` of their own, in this order, in a namespace that Prometheus
    /// does not see, as `istiocustom`.
    pub fn labelled<F: Family>(&self, namespace: &str, labels: &[(Arc<str>, &str)]) -> Stats<F> {
        self.stats_of(Scope::labelled(namespace, labels))
    }

    fn stats_of<F: Family>(&self, scope: Scope) -> Stats<F> {
        let mut name = String::new();
        scope.full_name("", &mut name);
        let mut living = self.living();
        living.sweep_if_due();
        let entries = living.scopes.get(&*name).into_iter().flatten();
        let mut of_family = entries.filter(|(family, _)| *family == F::NAME);
        let found = of_family.find_map(|(_, source)| {
            let found = downcast::<F>(source.upgrade()?)?;
            (found.core.scope == scope).then_some(found)
        });
        if let Some(found) = found {
            return Stats(found);
        }
        let Some(made) = Instance::<F>::new(scope, self.workers, &self.matcher, &self.bounds)
        else {
            return Stats(living.absent());
        };
        let made = Arc::new(made);
        let source: Arc<dyn Source> = made.clone();
        let entries = living.scopes.entry(name.into()).or_default();
        entries.retain(|(_, source)| source.strong_count() > 0);
        entries.push((F::NAME, Arc::downgrade(&source)));
        Stats(made)
    }

    /// The text with this full name, as `control_plane.identifier`; the one that lives, else a new one.
    pub fn text(&self, name: &str) -> TextReadout {
        let mut living = self.living();
        living.sweep_if_due();
        if let Some(found) = living.texts.get(name).and_then(Weak::upgrade) {
            return TextReadout(found);
        }
        let text = Arc::new(Text::new(name, self.matcher.accepts(name)));
        living.texts.insert(name.into(), Arc::downgrade(&text));
        TextReadout(text)
    }

    /// Ends an interval of histograms; to be called by the control runtime every `stats_flush_interval`.
    pub fn flush(&self) {
        for source in self.sources() {
            interval::flush(&*source);
        }
    }

    /// Lets all counters begin at zero again. (envoy admin: `POST /reset_counters`)
    pub fn reset_counters(&self) {
        for source in self.sources() {
            read::reset_counters(&*source);
        }
    }

    /// All living instances, in the order of their scopes.
    pub(super) fn sources(&self) -> Vec<Arc<dyn Source>> {
        let living = self.living();
        let entries = living.scopes.values().flatten();
        entries.filter_map(|(_, source)| source.upgrade()).collect()
    }

    /// All living texts that the matcher lets through, in the order of their names.
    pub(super) fn texts(&self) -> Vec<Arc<Text>> {
        let living = self.living();
        let texts = living.texts.values().filter_map(Weak::upgrade);
        texts.filter(|text| text.is_visible()).collect()
    }

    /// True if the matcher lets a stat of this name through; for parts of stats, whose names are made by
    /// the data.
    pub(super) fn accepts(&self, name: &str) -> bool {
        self.matcher.accepts(name)
    }

    fn living(&self) -> MutexGuard<'_, Living> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Living {
    fn absent<F: Family>(&mut self) -> Arc<Instance<F>> {
        let known = self.absent.entry(F::NAME).or_insert_with(|| Arc::new(Instance::<F>::absent()));
        downcast(Arc::clone(known)).unwrap_or_else(|| Arc::new(Instance::absent()))
    }

    /// Forgets what has died, when so much was added that it pays.
    fn sweep_if_due(&mut self) {
        if self.scopes.len() + self.texts.len() < 64.max(2 * self.swept) {
            return;
        }
        self.texts.retain(|_, text| text.strong_count() > 0);
        self.scopes.retain(|_, entries| {
            entries.retain(|(_, source)| source.strong_count() > 0);
            !entries.is_empty()
        });
        self.swept = self.scopes.len() + self.texts.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{ClusterStat, HttpStat};

    #[test]
    fn a_scope_keeps_its_cells_while_one_handle_lives() {
        let registry = Registry::new(StatsSpec::default(), 1).unwrap();
        let old = registry.stats::<ClusterStat>("cluster.a.");
        old.inc(ClusterStat::upstream_cx_total);
        let new = registry.stats::<ClusterStat>("cluster.a.");
        let other = registry.stats::<ClusterStat>("cluster.b.");
        drop(old);
        assert_eq!(new.count(ClusterStat::upstream_cx_total), 1);
        assert_eq!(other.count(ClusterStat::upstream_cx_total), 0);
        drop(new);
        let later = registry.stats::<ClusterStat>("cluster.a.");
        assert_eq!(later.count(ClusterStat::upstream_cx_total), 0);
    }

    #[test]
    fn families_and_labels_tell_instances_of_one_scope_apart() {
        let registry = Registry::new(StatsSpec::default(), 1).unwrap();
        let cluster = registry.stats::<ClusterStat>("x.");
        let http = registry.stats::<HttpStat>("x.");
        assert_eq!(registry.sources().len(), 2);
        // The same full name, but not the same labels.
        let one = registry.labelled::<HttpStat>("x", &[("a".into(), "b.c.d")]);
        let two = registry.labelled::<HttpStat>("x", &[("a".into(), "b"), ("c".into(), "d")]);
        one.inc(HttpStat::downstream_cx_total);
        assert_eq!(two.count(HttpStat::downstream_cx_total), 0);
        drop((cluster, http));
        assert_eq!(registry.sources().len(), 2);
    }

    #[test]
    fn the_dead_are_forgotten() {
        let registry = Registry::new(StatsSpec::default(), 1).unwrap();
        for round in 0..1000 {
            drop(registry.stats::<ClusterStat>(&format!("cluster.{round}.")));
            drop(registry.text(&format!("text.{round}")));
        }
        let living = registry.living();
        assert!(living.scopes.len() + living.texts.len() <= 64, "{}", living.scopes.len());
    }

    #[test]
    fn a_reset_is_seen_by_all_and_stops_nobody() {
        let registry = Registry::new(StatsSpec::default(), 1).unwrap();
        let stats = registry.stats::<ClusterStat>("cluster.a.");
        for _ in 0..2 {
            stats.add(ClusterStat::upstream_cx_total, 3);
            stats.code(ClusterStat::upstream_rq_code, 503);
            stats.up(ClusterStat::upstream_cx_active);
            registry.reset_counters();
            assert_eq!(stats.count(ClusterStat::upstream_cx_total), 0);
            stats.inc(ClusterStat::upstream_cx_total);
            assert_eq!(stats.count(ClusterStat::upstream_cx_total), 1);
            assert_eq!(stats.code_count(ClusterStat::upstream_rq_code, 503), 0);
        }
        assert_eq!(stats.level(ClusterStat::upstream_cx_active), 2);
    }

    #[test]
    fn what_is_rejected_keeps_no_cells() {
        let only = StringMatcher::exact("cluster.a.upstream_rq_503");
        let spec = StatsSpec { matcher: StatsMatcher::Only(vec![only]), ..StatsSpec::default() };
        let registry = Registry::new(spec, 1).unwrap();
        let seen = registry.stats::<ClusterStat>("cluster.a.");
        let unseen = registry.stats::<ClusterStat>("cluster.b.");
        for stats in [&seen, &unseen] {
            stats.code(ClusterStat::upstream_rq_code, 503);
            stats.record(ClusterStat::upstream_cx_length_ms, 5);
            stats.set(ClusterStat::membership_total, 5);
            assert!(stats.samples(ClusterStat::upstream_cx_length_ms).is_none());
        }
        assert_eq!(registry.sources().len(), 1);
        assert_eq!(seen.code_count(ClusterStat::upstream_rq_code, 503), 1);
        assert_eq!(unseen.code_count(ClusterStat::upstream_rq_code, 503), 0);
        assert_eq!(unseen.level(ClusterStat::membership_total), 0);
    }

    #[test]
    fn a_spec_that_makes_no_sense_is_refused() {
        let bounds = vec![(StringMatcher::exact("a"), vec![0.0])];
        let spec = StatsSpec { histogram_bounds: bounds, ..StatsSpec::default() };
        let error = Registry::new(spec, 1).err().unwrap();
        assert_eq!(error.to_string(), "histogram bucket 0 is not above 0 and finite");
    }
}
