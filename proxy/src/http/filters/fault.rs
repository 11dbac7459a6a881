//! Injected faults: delays, then aborts. (envoy: envoy.filters.http.fault)

use std::sync::Arc;

use outrigger_policy::bulkhead::{Bulkhead, Permit};
use outrigger_policy::fault::{ABORT_DETAILS, AbortStatus, Fault, Plan};
use outrigger_policy::verdict::{CauseCode, ResponseFlag};

use super::{FilterOverride, Step};
use crate::exchange::Exchange;
use crate::http::local_reply::LocalReply;
use crate::telemetry::metrics::{Active, FaultStat, FaultStats};
use crate::worker;

/// The filter.
#[derive(Debug)]
pub struct FaultFilter {
    /// What it injects where no route says otherwise.
    pub fault: Fault,
    /// Faults that run, of all routes together: the limit is each route's own, as in Envoy.
    pub active: Arc<Bulkhead>,
    /// Counters of `http.<stat_prefix>.fault.`.
    pub stats: FaultStats,
}

/// A request whose delay is running.
#[derive(Debug)]
pub(super) struct State {
    plan: Plan,
    _permit: Permit,
    _gauge: Active<FaultStat>,
}

impl FaultFilter {
    pub(super) fn on_request(
        &self,
        exchange: &mut Exchange,
        change: Option<&FilterOverride>,
    ) -> Step {
        let fault = match change {
            Some(FilterOverride::Fault(fault)) => fault,
            _ => &self.fault,
        };
        if let Some(State { plan, .. }) = exchange.filters.fault.take() {
            // The delay is over.
            return self.abort(fault, plan);
        }
        let cluster = exchange.info.cluster_name.clone();
        let plan = worker::with_rng(|rng| fault.decide(&exchange.request, cluster.as_deref(), rng));
        if plan.is_empty() {
            return Step::Continue;
        }
        let limit = fault.max_active_faults.unwrap_or(u32::MAX);
        let Some(permit) = self.active.try_acquire_below(limit) else {
            self.stats.inc(FaultStat::faults_overflow);
            return Step::Continue;
        };
        let Some(delay) = plan.delay else { return self.abort(fault, plan) };
        self.stats.inc(FaultStat::delays_injected);
        exchange.info.flags.insert(ResponseFlag::DelayInjected);
        let gauge = self.stats.active(FaultStat::active_faults);
        exchange.filters.fault = Some(State { plan, _permit: permit, _gauge: gauge });
        Step::Pause(delay)
    }

    #[expect(clippy::unused_self, reason = "the form of every filter")]
    pub(super) fn on_response(&self, exchange: &mut Exchange) {
        exchange.filters.fault = None;
    }

    fn abort(&self, fault: &Fault, plan: Plan) -> Step {
        let Some(status) = plan.abort else { return Step::Continue };
        self.stats.inc(FaultStat::aborts_injected);
        let (status, grpc_status) = match status {
            AbortStatus::Http(status) => (status, None),
            AbortStatus::Grpc(status) => (200, Some(status)),
        };
        let body = fault.abort.as_ref().map(|abort| abort.body.to_string()).unwrap_or_default();
        let mut reply = LocalReply::new(status, ABORT_DETAILS)
            .with_body(body)
            .with_flag(ResponseFlag::FaultInjected)
            .because(CauseCode::Fault);
        reply.grpc_status = grpc_status;
        Step::Answer(Box::new(reply))
    }
}
