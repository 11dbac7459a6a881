//! The metrics of the mesh: their place in the chain. They are reported when the exchange is over, by [`istio`](crate::telemetry::istio).
//! (istio: `istio.stats`)

use std::sync::Arc;

use super::{FilterOverride, Step};
use crate::exchange::Exchange;
use crate::telemetry::istio::IstioStats;

/// The filter.
#[derive(Debug)]
pub struct IstioStatsFilter(pub Arc<IstioStats>);

#[expect(clippy::unused_self, reason = "the form of every filter")]
impl IstioStatsFilter {
    pub(super) const fn on_request(&self, _: &mut Exchange, _: Option<&FilterOverride>) -> Step {
        Step::Continue
    }

    pub(super) const fn on_response(&self, _: &mut Exchange) {}
}
