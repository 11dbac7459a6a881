//! How the hosts of a cluster become lists that a pick can choose from.
//!
//! Called by [`super::Balancer::new`], once per priority. Each host is stored once: sorted by health and,
//! within a health, by locality, every list is a range.

use std::ops::Range;
use std::sync::Arc;

use super::balancer::{Available, List, Priority, Settings};
use super::locality::{Weighted, effective_weight};
use super::priority::Census;
use super::{Health, Locality, Target, Weights};

/// A balancer in the making.
pub(super) struct Plan<'a, H> {
    settings: &'a Settings,
    pub(super) hosts: Vec<Arc<H>>,
    pub(super) lists: Vec<List>,
    /// Places that a cursor needs.
    pub(super) slots: u32,
}

/// A host, its health as it was when looked at, and its locality.
type Seen<'a, H> = (Health, u32, &'a Arc<H>);

impl<'a, H: Target> Plan<'a, H> {
    pub(super) const fn new(settings: &'a Settings) -> Self {
        Self { settings, hosts: Vec::new(), lists: Vec::new(), slots: 0 }
    }

    /// Adds the hosts of a priority and the lists over them. Returns the priority and its census by
    /// number and by weight.
    pub(super) fn add_priority(
        &mut self,
        localities: &[Locality<H>],
    ) -> (Priority, (Census, Census)) {
        // Health may change under our eyes, so it is read once.
        let mut seen: Vec<Seen<'_, H>> = (0..)
            .zip(localities)
            .flat_map(|(at, locality)| locality.hosts.iter().map(move |h| (h.health(), at, h)))
            .collect();
        // Stable: within a health hosts stay in order, and so locality by locality.
        seen.sort_by_key(|(health, ..)| *health);

        let start = self.hosts.len();
        self.hosts.extend(seen.iter().map(|(.., host)| Arc::clone(host)));
        let healthy = seen.partition_point(|(health, ..)| *health == Health::Healthy);
        let degraded = seen.partition_point(|(health, ..)| *health <= Health::Degraded);

        let all = self.add_list(start..start + seen.len());
        let level = Priority {
            in_panic: false,
            all,
            healthy: self.add_available(localities, &seen, start, 0..healthy),
            degraded: self.add_available(localities, &seen, start, healthy..degraded),
        };
        let count = Census {
            healthy: healthy as u64,
            degraded: (degraded - healthy) as u64,
            total: seen.len() as u64,
        };
        (level, (count, weigh(&seen)))
    }

    /// Adds the lists over `part` of a priority's hosts, which begin at `start`.
    fn add_available(
        &mut self,
        localities: &[Locality<H>],
        seen: &[Seen<'_, H>],
        start: usize,
        part: Range<usize>,
    ) -> Available {
        let list = self.add_list(start + part.start..start + part.end);
        let mut weighted = Vec::new();
        if self.settings.locality_weighted {
            let mut from = part.start;
            let hosts = seen.get(part).unwrap_or_default();
            for group in hosts.chunk_by(|a, b| a.1 == b.1) {
                let to = from + group.len();
                weighted.extend(self.add_locality(localities, group, start + from..start + to));
                from = to;
            }
        }
        Available { list, localities: weighted.into(), slot: self.add_slot() }
    }

    /// Adds the list of the hosts `range` of one locality, unless it gets no traffic.
    fn add_locality(
        &mut self,
        localities: &[Locality<H>],
        group: &[Seen<'_, H>],
        range: Range<usize>,
    ) -> Option<Weighted> {
        let locality = group.first()?.1;
        let Locality { weight, hosts } = localities.get(locality as usize)?;
        let factor = self.settings.overprovisioning_percent;
        let weight = effective_weight(*weight, group.len() as u64, hosts.len() as u64, factor);
        (weight > 0.0).then(|| Weighted { locality, list: self.add_list(range), weight })
    }

    fn add_list(&mut self, range: Range<usize>) -> u32 {
        let hosts = self.hosts.get(range.clone()).unwrap_or_default();
        let is_equal = hosts.windows(2).all(|pair| match pair {
            [a, b] => a.weight() == b.weight(),
            _ => true,
        });
        let weights = if is_equal { Weights::Equal } else { Weights::Unequal };
        let slot = self.add_slot();
        self.lists.push(List { range, weights, slot });
        (self.lists.len() - 1) as u32
    }

    const fn add_slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }
}

fn weigh<H: Target>(seen: &[Seen<'_, H>]) -> Census {
    let mut census = Census::default();
    for (health, _, host) in seen {
        let weight = u64::from(host.weight());
        census.total = census.total.saturating_add(weight);
        match health {
            Health::Healthy => census.healthy = census.healthy.saturating_add(weight),
            Health::Degraded => census.degraded = census.degraded.saturating_add(weight),
            Health::Unhealthy => {}
        }
    }
    census
}
