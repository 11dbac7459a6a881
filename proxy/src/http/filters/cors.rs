//! Cross-origin requests: answers preflights, marks responses. (envoy: envoy.filters.http.cors)

use std::sync::Arc;

use outrigger_policy::cors::{ANSWER_DETAILS, CorsAction, CorsPolicy, Granted};
use outrigger_policy::route::Action;

use super::{FilterOverride, Step};
use crate::exchange::Exchange;
use crate::http::local_reply::LocalReply;
use crate::http::route::Routing;
use crate::telemetry::metrics::{CorsStat, CorsStats};
use crate::worker;

/// The filter has no settings of its own: routes bring the policy.
#[derive(Debug)]
pub struct CorsFilter {
    /// Counters of `http.<stat_prefix>.cors.`.
    pub stats: CorsStats,
}

/// A request whose response is to be marked.
#[derive(Debug)]
pub(super) struct State {
    policy: Arc<CorsPolicy>,
    granted: Granted,
}

impl CorsFilter {
    pub(super) fn on_request(
        &self,
        exchange: &mut Exchange,
        change: Option<&FilterOverride>,
    ) -> Step {
        let Some(FilterOverride::Cors(policy)) = change else { return Step::Continue };
        if !leads_to_cluster(exchange) {
            return Step::Continue;
        }
        let decision = worker::with_rng(|rng| policy.decide(&exchange.request, rng));
        if let Some(is_valid) = decision.origin_valid {
            self.stats.inc(if is_valid {
                CorsStat::origin_valid
            } else {
                CorsStat::origin_invalid
            });
        }
        match decision.action {
            CorsAction::Pass => Step::Continue,
            CorsAction::Mark(granted) => {
                exchange.filters.cors = Some(State { policy: policy.clone(), granted });
                Step::Continue
            }
            CorsAction::Answer(response) => {
                let mut reply = LocalReply::new(response.status, ANSWER_DETAILS);
                for (_, id, value) in response.headers.iter_with_id() {
                    reply = reply.with_header(id, value.to_vec());
                }
                Step::Answer(Box::new(reply))
            }
        }
    }

    #[expect(clippy::unused_self, reason = "the form of every filter")]
    pub(super) fn on_response(&self, exchange: &mut Exchange) {
        if let Some(state) = exchange.filters.cors.take() {
            state.policy.mark(&state.granted, &mut exchange.response);
        }
    }
}

fn leads_to_cluster(exchange: &Exchange) -> bool {
    let Routing::Pinned(pinned) = &exchange.routing else { return false };
    matches!(pinned.entry().action, Action::Forward(_))
}
