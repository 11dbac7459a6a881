//! The compiled host set: lists of hosts, shares of the load, and the pick.
//!
//! Hosts lie in one slice, sorted so that every list that can be chosen from is a part of it: all hosts
//! of a priority, its healthy and its degraded ones, and these by locality. Built on the control side,
//! read by workers.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::{Rng, RngExt as _};
use smallvec::SmallVec;

use super::compile::Plan;
use super::cursor::Cursor;
use super::locality::Weighted;
use super::priority::{Availability, Capacity, Share, by_capacity, draw, total};
use super::{Locality, Policy, Target, Weights, panic};

/// Choices for one pick at most, so that no configuration makes a pick expensive.
const MAX_ATTEMPTS: u32 = 64;

/// How a cluster is balanced.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Chooses among the hosts of a list.
    pub policy: Policy,
    /// Localities share a priority's load by weight. (envoy: CommonLbConfig.locality_weighted_lb_config)
    pub locality_weighted: bool,
    /// Percentage of available hosts under which health is ignored; 0 for never.
    /// (envoy: CommonLbConfig.healthy_panic_threshold)
    pub panic_threshold_percent: u32,
    /// In panic, no host instead of any.
    /// (envoy: CommonLbConfig.ZoneAwareLbConfig.fail_traffic_on_panic)
    pub fail_traffic_on_panic: bool,
    /// 100 × (1 + spare capacity). (envoy: ClusterLoadAssignment.Policy.overprovisioning_factor)
    pub overprovisioning_percent: u32,
    /// A priority's health is that of its weight, not of its number of hosts.
    /// (envoy: ClusterLoadAssignment.Policy.weighted_priority_health)
    pub weighted_priority_health: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            locality_weighted: false,
            panic_threshold_percent: 50,
            fail_traffic_on_panic: false,
            overprovisioning_percent: 140,
            weighted_priority_health: false,
        }
    }
}

/// A host set ready for picks. Never changes; a change of hosts, weights or health makes a new one.
#[derive(Debug)]
pub struct Balancer<H> {
    /// Tells a [`Cursor`] which balancer it was last used with.
    id: u64,
    policy: Policy,
    fail_traffic_on_panic: bool,
    shares: Box<[Share]>,
    capacities: Box<[Capacity]>,
    priorities: Box<[Priority]>,
    lists: Box<[List]>,
    slots: u32,
    hosts: Box<[Arc<H>]>,
}

/// A part of the hosts.
#[derive(Debug)]
pub(super) struct List {
    pub(super) range: Range<usize>,
    pub(super) weights: Weights,
    /// Its place in a cursor.
    pub(super) slot: u32,
}

/// The lists of a priority, by their index.
#[derive(Debug)]
pub(super) struct Priority {
    pub(super) in_panic: bool,
    pub(super) all: u32,
    pub(super) healthy: Available,
    pub(super) degraded: Available,
}

/// The hosts of a priority that are equally available.
#[derive(Debug)]
pub(super) struct Available {
    /// All of them.
    pub(super) list: u32,
    /// Their localities; none if localities are not weighted.
    pub(super) localities: Box<[Weighted]>,
    /// The place of the order of localities in a cursor.
    pub(super) slot: u32,
}

/// A chosen host.
#[derive(Debug)]
pub struct Pick<'a, H> {
    /// The host.
    pub host: &'a Arc<H>,
    /// How it came to be chosen.
    pub reason: Reason,
}

/// The choices that led to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The priority that got the pick.
    pub priority: u32,
    /// Among which of its hosts it was made.
    pub availability: Availability,
    /// The priority is in panic: it was made among all of them. (envoy: stat `lb_healthy_panic`)
    pub in_panic: bool,
    /// Index of the locality within the priority, if localities are weighted.
    pub locality: Option<u32>,
}

/// Why there is no host. All of them are `UH`, `no healthy upstream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHost {
    /// The cluster has no hosts at all.
    Empty,
    /// None may be used, and the threshold of panic is 0.
    NoneHealthy,
    /// In panic, and [`Settings::fail_traffic_on_panic`] is set.
    FailedOnPanic,
}

impl<H: Target> Balancer<H> {
    /// Compiles the hosts of `priorities`, of which the first is the most preferred.
    #[must_use]
    pub fn new(settings: &Settings, priorities: &[Vec<Locality<H>>]) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let mut plan = Plan::new(settings);
        let (mut levels, censuses): (Vec<_>, Vec<_>) =
            priorities.iter().map(|localities| plan.add_priority(localities)).unzip();
        let counts: Vec<_> = censuses.iter().map(|(count, _)| *count).collect();
        let capacities: Vec<_> = censuses
            .iter()
            .map(|(count, weight)| {
                let census = if settings.weighted_priority_health { weight } else { count };
                census.capacity(settings.overprovisioning_percent)
            })
            .collect();
        let (shares, panicking) =
            panic::share(&counts, &capacities, settings.panic_threshold_percent);
        for (level, in_panic) in levels.iter_mut().zip(panicking) {
            level.in_panic = in_panic;
        }
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            policy: settings.policy.clone(),
            fail_traffic_on_panic: settings.fail_traffic_on_panic,
            shares,
            capacities: capacities.into(),
            priorities: levels.into(),
            lists: plan.lists.into(),
            slots: plan.slots,
            hosts: plan.hosts.into(),
        }
    }

    /// A host for one attempt.
    ///
    /// A host that `avoid` accepts is passed over up to `attempts` times, as in Envoy
    /// (RetryPolicy.host_selection_retry_max_attempts). Then Envoy lets the last choice stand; here it gives way to any other host of its
    /// priority: a host that has just failed has no requests, so the least loaded one is too often the same again.
    ///
    /// # Errors
    /// Without a host that may be used.
    pub fn pick<R: Rng>(
        &self,
        cursor: &mut Cursor,
        rng: &mut R,
        avoid: impl Fn(&H) -> bool,
        attempts: u32,
    ) -> Result<Pick<'_, H>, NoHost> {
        self.pick_by(&self.shares, cursor, rng, avoid, attempts)
    }

    /// As [`Self::pick`], with other shares than the balancer's own.
    ///
    /// # Errors
    /// As [`Self::pick`].
    pub fn pick_by<R: Rng>(
        &self,
        shares: &[Share],
        cursor: &mut Cursor,
        rng: &mut R,
        avoid: impl Fn(&H) -> bool,
        attempts: u32,
    ) -> Result<Pick<'_, H>, NoHost> {
        cursor.bind(self.id, self.slots as usize);
        let mut pick = self.pick_any(shares, cursor, rng)?;
        for _ in 0..attempts.min(MAX_ATTEMPTS) {
            if !avoid(pick.host) {
                break;
            }
            pick = self.pick_any(shares, cursor, rng)?;
        }
        if attempts > 0
            && avoid(pick.host)
            && let Some(other) = self.other(pick.reason, &avoid, rng)
        {
            pick.host = other;
        }
        Ok(pick)
    }

    /// A host like that of `reason` which `avoid` does not accept, if there is one.
    fn other(
        &self,
        reason: Reason,
        avoid: impl Fn(&H) -> bool,
        rng: &mut impl Rng,
    ) -> Option<&Arc<H>> {
        let level = self.priorities.get(reason.priority as usize)?;
        let list = match reason.availability {
            _ if reason.in_panic => level.all,
            Availability::Healthy => level.healthy.list,
            Availability::Degraded => level.degraded.list,
        };
        let hosts = self.hosts.get(self.lists.get(list as usize)?.range.clone())?;
        let (before, after) = hosts.split_at_checked(rng.random_range(0..hosts.len().max(1)))?;
        after.iter().chain(before).find(|host| !avoid(host))
    }

    /// How the load is shared when these priorities get none; `None` if the others can carry nothing.
    #[must_use]
    pub fn shares_without(&self, excluded: &[u32]) -> Option<Box<[Share]>> {
        let left = (0..).zip(&self.capacities).map(|(priority, capacity)| {
            let is_out = excluded.contains(&priority);
            if is_out { Capacity { healthy: 0, degraded: 0 } } else { *capacity }
        });
        let left: SmallVec<[Capacity; 4]> = left.collect();
        (total(&left) > 0).then(|| by_capacity(&left))
    }

    /// How the load is shared, for the admin interface.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// True if `priority` is in panic.
    #[must_use]
    pub fn is_in_panic(&self, priority: u32) -> bool {
        self.priorities.get(priority as usize).is_some_and(|level| level.in_panic)
    }

    fn pick_any(
        &self,
        shares: &[Share],
        cursor: &mut Cursor,
        rng: &mut impl Rng,
    ) -> Result<Pick<'_, H>, NoHost> {
        if self.hosts.is_empty() {
            return Err(NoHost::Empty);
        }
        let share = draw(shares, rng).ok_or(NoHost::NoneHealthy)?;
        let Share { priority, availability, .. } = share;
        let level = self.priorities.get(priority as usize).ok_or(NoHost::NoneHealthy)?;
        let in_panic = level.in_panic;
        if in_panic && self.fail_traffic_on_panic {
            return Err(NoHost::FailedOnPanic);
        }
        let available = match availability {
            Availability::Healthy => &level.healthy,
            Availability::Degraded => &level.degraded,
        };
        let chosen = if in_panic { None } else { available.choose_locality(cursor, rng) };
        let (list, locality) = match chosen {
            Some(chosen) => (chosen.list, Some(chosen.locality)),
            None if in_panic => (level.all, None),
            None => (available.list, None),
        };
        let host = self.pick_from(list, cursor, rng).ok_or(NoHost::NoneHealthy)?;
        Ok(Pick { host, reason: Reason { priority, availability, in_panic, locality } })
    }

    fn pick_from(&self, list: u32, cursor: &mut Cursor, rng: &mut impl Rng) -> Option<&Arc<H>> {
        let List { range, weights, slot } = self.lists.get(list as usize)?;
        let hosts = self.hosts.get(range.clone()).filter(|hosts| !hosts.is_empty())?;
        let index = self.policy.choose(hosts, *weights, cursor.slot(*slot)?, rng);
        hosts.get(index as usize)
    }
}

impl Available {
    fn choose_locality(&self, cursor: &mut Cursor, rng: &mut impl Rng) -> Option<Weighted> {
        if self.localities.is_empty() {
            return None;
        }
        let index = cursor.slot(self.slot)?.schedule(&self.localities, |entry| entry.weight, rng);
        self.localities.get(index as usize).copied()
    }
}
