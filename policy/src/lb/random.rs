//! Any host.

use std::sync::Arc;

use rand::Rng;

use super::cursor::Slot;
use super::{Choose, Target, Weights};
use crate::draw::below;

/// A random host, each with the same probability: weights of hosts have no effect, as in Envoy.
/// Envoy draws priority and host from one number, which favours some hosts when priorities share the
/// load; here they are independent.
/// (envoy: extensions.load_balancing_policies.random.v3.Random)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Random;

impl Choose for Random {
    const NAME: &'static str = "envoy.load_balancing_policies.random";

    fn choose<H: Target>(
        &self,
        hosts: &[Arc<H>],
        _weights: Weights,
        _slot: &mut Slot,
        rng: &mut impl Rng,
    ) -> u32 {
        below(hosts.len() as u32, rng)
    }
}
