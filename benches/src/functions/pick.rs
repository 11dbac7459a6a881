//! The pick of a host, as a worker does it for every attempt.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use outrigger::net::Address;
use outrigger::upstream::host::{EdsHealth, HostSpec};
use outrigger::upstream::host_set::{Assignment, HostSet, LocalitySpec};
use outrigger::upstream::transport::Transport;
use outrigger_policy::lb::{Cursor, Policy, Settings};
use rand::SeedableRng;
use rand::rngs::SmallRng;

/// Hosts of one locality, and a worker's place among them.
pub struct Hosts {
    set: HostSet,
    place: RefCell<(Cursor, SmallRng)>,
}

impl Hosts {
    /// `count` hosts, at most 250, all healthy.
    #[must_use]
    pub fn new(policy: Policy, count: u8) -> Self {
        let settings = Settings { policy, ..Settings::default() };
        let transport = Arc::new(Transport::Plain);
        let host = |index: u8| HostSpec {
            address: Address::Ip(SocketAddr::new(Ipv4Addr::new(10, 0, 0, index + 1).into(), 80)),
            additional_addresses: Box::default(),
            hostname: Box::default(),
            locality: Arc::default(),
            transport: transport.clone(),
            weight: 1,
            priority: 0,
            health: EdsHealth::Healthy,
            workload: None,
        };
        let hosts = (0..count).map(host).collect();
        let localities = vec![LocalitySpec { weight: 1, priority: 0, hosts }];
        let assignment = Assignment { localities, ..Assignment::default() };
        let (set, _) = HostSet::empty(&settings).next(&settings, &assignment, |_| None);
        // The seed stays: the count of instructions is that of the same draws.
        let hosts = Self { set, place: RefCell::new((Cursor::new(), SmallRng::seed_from_u64(1))) };
        // The first pick makes the worker's place, which later ones only move.
        let _ = hosts.pick();
        hosts
    }

    /// The id of the host that is picked; 0 if there is none.
    #[must_use]
    pub fn pick(&self) -> u64 {
        let (cursor, rng) = &mut *self.place.borrow_mut();
        let pick = self.set.balancer.pick(cursor, rng, |_| false, 0);
        pick.map_or(0, |pick| pick.host.id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use outrigger_policy::lb::{LeastRequest, RoundRobin};

    use super::*;

    #[test]
    fn every_host_is_picked() {
        for policy in
            [Policy::RoundRobin(RoundRobin), Policy::LeastRequest(LeastRequest::default())]
        {
            let hosts = Hosts::new(policy, 3);
            let picked: HashSet<_> = (0..100).map(|_| hosts.pick()).collect();
            assert_eq!(picked.len(), 3);
            assert!(!picked.contains(&0));
        }
    }
}
