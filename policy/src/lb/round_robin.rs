//! Hosts in turn.

use std::sync::Arc;

use rand::Rng;

use super::cursor::Slot;
use super::{Choose, Target, Weights};

/// Hosts of equal weight take turns from a random start; otherwise each gets its share, evenly spread.
/// (envoy: extensions.load_balancing_policies.round_robin.v3.RoundRobin)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundRobin;

impl Choose for RoundRobin {
    const NAME: &'static str = "envoy.load_balancing_policies.round_robin";

    fn choose<H: Target>(
        &self,
        hosts: &[Arc<H>],
        weights: Weights,
        slot: &mut Slot,
        rng: &mut impl Rng,
    ) -> u32 {
        match weights {
            Weights::Equal => slot.rotate(hosts.len() as u32, rng),
            Weights::Unequal => slot.schedule(hosts, |host| f64::from(host.weight()), rng),
        }
    }
}
