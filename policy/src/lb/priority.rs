//! How the load is shared among the priorities of a cluster.
//!
//! A priority carries load as long as enough of its hosts are healthy: its health is their share times
//! the overprovisioning factor, at most 100 %. What the first does not carry spills to the next, and
//! what all healthy hosts together do not carry goes to degraded ones. When even that is less than
//! 100 %, the shares are scaled up to it; see `panic` for what else happens then.
//! (envoy: docs `arch_overview/upstream/load_balancing/{priority,overprovisioning,degraded}`)

use rand::Rng;

use crate::draw::below;

/// Which hosts of a priority a share of the load goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Availability {
    /// Healthy ones.
    Healthy,
    /// Degraded ones.
    Degraded,
}

/// A part of the cluster's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Where it goes: 0 is the most preferred.
    pub priority: u32,
    /// To which hosts there.
    pub availability: Availability,
    /// Its size. All shares of a balancer sum up to 100.
    pub percent: u32,
}

/// Numbers of hosts of a priority, or sums of their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) healthy: u64,
    pub(super) degraded: u64,
    pub(super) total: u64,
}

impl Census {
    /// The load that a priority can carry, in percent of the cluster's.
    pub(super) fn capacity(&self, overprovisioning_percent: u32) -> Capacity {
        let carried = |hosts: u64| {
            let factor = u64::from(overprovisioning_percent);
            hosts
                .saturating_mul(factor)
                .checked_div(self.total)
                .map_or(0, |percent| percent.min(100))
        };
        Capacity { healthy: carried(self.healthy), degraded: carried(self.degraded) }
    }
}

/// Percentages of the cluster's load, each at most 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) healthy: u64,
    pub(super) degraded: u64,
}

/// What all priorities can carry together, at most 100.
pub(super) fn total(capacities: &[Capacity]) -> u64 {
    capacities.iter().map(|c| c.healthy + c.degraded).sum::<u64>().min(100)
}

/// The shares by capacity, none of them empty. All goes to priority 0 if nothing can carry anything.
pub(super) fn by_capacity(capacities: &[Capacity]) -> Box<[Share]> {
    let total = total(capacities);
    let wanted = |capacity: u64| (capacity * 100).checked_div(total).unwrap_or(0);
    let healthy = capacities.iter().map(|c| (Availability::Healthy, wanted(c.healthy)));
    let degraded = capacities.iter().map(|c| (Availability::Degraded, wanted(c.degraded)));
    by_wish((0..).zip(healthy).chain((0..).zip(degraded)))
}

/// The shares by numbers of hosts, whatever their health: for total panic.
pub(super) fn by_hosts(hosts: &[u64]) -> Box<[Share]> {
    let total: u64 = hosts.iter().sum();
    let wanted = |hosts: u64| (hosts * 100).checked_div(total).unwrap_or(0);
    by_wish((0..).zip(hosts.iter().map(|hosts| (Availability::Healthy, wanted(*hosts)))))
}

/// Serves wishes in order until 100 % are given away; what rounding leaves goes to the first of them.
fn by_wish(wishes: impl Iterator<Item = (u32, (Availability, u64))>) -> Box<[Share]> {
    let mut left = 100;
    let mut shares = Vec::new();
    for (priority, (availability, wish)) in wishes {
        let percent = (wish.min(100) as u32).min(left);
        left -= percent;
        if percent > 0 {
            shares.push(Share { priority, availability, percent });
        }
    }
    match shares.first_mut() {
        Some(first) => first.percent += left,
        None => {
            let availability = Availability::Healthy;
            shares.push(Share { priority: 0, availability, percent: 100 });
        }
    }
    shares.into_boxed_slice()
}

/// One of the shares, by their size.
pub(super) fn draw(shares: &[Share], rng: &mut impl Rng) -> Option<Share> {
    if let [only] = shares {
        return Some(*only);
    }
    let mut draw = below(100, rng);
    shares
        .iter()
        .find(|share| {
            let hit = draw < share.percent;
            draw = draw.saturating_sub(share.percent);
            hit
        })
        .copied()
}

#[cfg(test)]
mod tests {
    use super::Availability::{Degraded, Healthy};
    use super::*;

    /// `(healthy, degraded, total)` of each priority.
    fn shares(factor: u32, census: &[(u64, u64, u64)]) -> Vec<(u32, Availability, u32)> {
        let capacities: Vec<_> = census
            .iter()
            .map(|&(healthy, degraded, total)| Census { healthy, degraded, total }.capacity(factor))
            .collect();
        let shares = by_capacity(&capacities);
        assert_eq!(shares.iter().map(|s| s.percent).sum::<u32>(), 100);
        shares.iter().map(|s| (s.priority, s.availability, s.percent)).collect()
    }

    /// Every row was also counted on Envoy 1.40 with 1200 requests.
    #[test]
    fn load_spills_to_the_next_priority_and_then_to_degraded_hosts() {
        assert_eq!(shares(140, &[(4, 0, 4), (4, 0, 4)]), [(0, Healthy, 100)]);
        assert_eq!(shares(140, &[(3, 0, 4), (4, 0, 4)]), [(0, Healthy, 100)]);
        assert_eq!(shares(140, &[(2, 0, 4), (4, 0, 4)]), [(0, Healthy, 70), (1, Healthy, 30)]);
        assert_eq!(shares(140, &[(1, 0, 4), (4, 0, 4)]), [(0, Healthy, 35), (1, Healthy, 65)]);
        assert_eq!(shares(100, &[(3, 0, 4), (4, 0, 4)]), [(0, Healthy, 75), (1, Healthy, 25)]);
        assert_eq!(
            shares(140, &[(1, 0, 5), (1, 0, 5), (2, 0, 2)]),
            [(0, Healthy, 28), (1, Healthy, 28), (2, Healthy, 44)]
        );
        assert_eq!(shares(140, &[(1, 0, 5), (1, 0, 5)]), [(0, Healthy, 50), (1, Healthy, 50)]);
        assert_eq!(shares(140, &[(0, 0, 0), (2, 0, 2)]), [(1, Healthy, 100)]);
        assert_eq!(shares(140, &[(1, 3, 4)]), [(0, Healthy, 35), (0, Degraded, 65)]);
        assert_eq!(
            shares(140, &[(1, 1, 4), (1, 0, 4)]),
            [(0, Healthy, 35), (1, Healthy, 35), (0, Degraded, 30)]
        );
        assert_eq!(shares(140, &[(0, 2, 2)]), [(0, Degraded, 100)]);
    }

    #[test]
    fn rounding_goes_to_the_first_that_carries_anything() {
        assert_eq!(
            shares(100, &[(0, 0, 9), (1, 2, 10), (2, 1, 10), (1, 0, 10)]),
            [
                (1, Healthy, 16),
                (2, Healthy, 28),
                (3, Healthy, 14),
                (1, Degraded, 28),
                (2, Degraded, 14)
            ]
        );
        assert_eq!(shares(140, &[(0, 0, 4), (0, 0, 0)]), [(0, Healthy, 100)]);
    }

    #[test]
    fn numbers_of_any_size_are_harmless() {
        let huge = u64::MAX;
        assert_eq!(shares(u32::MAX, &[(huge, huge, huge), (huge, 0, 1)]).len(), 2);
        assert_eq!(by_hosts(&[]).len(), 1);
        assert_eq!(by_hosts(&[0, 1, 3]).iter().map(|s| s.percent).collect::<Vec<_>>(), [25, 75]);
        assert_eq!(
            by_hosts(&[1, 1, 1]).iter().map(|s| s.percent).collect::<Vec<_>>(),
            [34, 33, 33]
        );
    }
}
