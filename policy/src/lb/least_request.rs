//! The less busy of a few hosts.

use std::sync::Arc;

use rand::Rng;

use super::cursor::Slot;
use super::{Choose, Target, Weights};
use crate::draw::below;

/// Hosts that are looked at for one pick at most, so that no configuration makes a pick expensive. Two
/// choices already give nearly all of the benefit.
const MAX_CHOICES: u32 = 64;

/// Of hosts of equal weight, the one with the fewest active requests among a few random ones. Otherwise
/// each host's share follows `weight / (active + 1)^bias`.
/// (envoy: extensions.load_balancing_policies.least_request.v3.LeastRequest)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeastRequest {
    choice_count: u32,
    active_request_bias: f64,
}

impl LeastRequest {
    /// `choice_count` is brought between 2 and 64; a bias that is negative or no number counts as 1.
    #[must_use]
    pub fn new(choice_count: u32, active_request_bias: f64) -> Self {
        let is_usable = active_request_bias >= 0.0 && active_request_bias.is_finite();
        Self {
            choice_count: choice_count.clamp(2, MAX_CHOICES),
            active_request_bias: if is_usable { active_request_bias } else { 1.0 },
        }
    }

    fn weight<H: Target>(&self, host: &H) -> f64 {
        let weight = f64::from(host.weight());
        let busy = host.active_requests() as f64 + 1.0;
        // A power costs as much as the rest of a pick; these two are nearly all there is in the field.
        if self.active_request_bias == 1.0 {
            weight / busy
        } else if self.active_request_bias == 0.0 {
            weight
        } else {
            weight / busy.powf(self.active_request_bias)
        }
    }
}

impl Default for LeastRequest {
    fn default() -> Self {
        Self::new(2, 1.0)
    }
}

impl Choose for LeastRequest {
    const NAME: &'static str = "envoy.load_balancing_policies.least_request";

    fn choose<H: Target>(
        &self,
        hosts: &[Arc<H>],
        weights: Weights,
        slot: &mut Slot,
        rng: &mut impl Rng,
    ) -> u32 {
        if weights == Weights::Unequal {
            return slot.schedule(hosts, |host| self.weight(&**host), rng);
        }
        let candidates = (0..self.choice_count).map(|_| below(hosts.len() as u32, rng));
        // The same host may be drawn twice, and the first of equally busy ones wins, as in Envoy.
        let active = |index: &u32| hosts.get(*index as usize).map_or(u64::MAX, |h| h.active_requests());
        candidates.min_by_key(active).unwrap_or_default()
    }
}
