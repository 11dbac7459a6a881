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

/// Faults, and the limit on how many run at once.
#[derive(Debug)]
pub struct FaultConfig {
    /// Which faults.
    pub fault: Fault,
    /// The limit; `None` for none.
    pub active: Option<Arc<Bulkhead>>,
}

/// The filter.
#[derive(Debug)]
pub struct FaultFilter {
    /// What it injects where no route says otherwise.
    pub config: FaultConfig,
    /// Counters of `http.<stat_prefix>.fault.`.
    pub stats: FaultStats,
}

/// A request whose delay is running.
#[derive(Debug)]
pub(super) struct State {
    plan: Plan,
    _permit: Option<Permit>,
    _gauge: Active<FaultStat>,
}

impl FaultFilter {
    pub(super) fn on_request(
        &self,
        exchange: &mut Exchange,
        change: Option<&FilterOverride>,
    ) -> Step {
        let config = match change {
            Some(FilterOverride::Fault(config)) => config,
            _ => &self.config,
        };
        if let Some(State { plan, .. }) = exchange.filters.fault.take() {
            // The delay is over.
            return self.abort(config, plan);
        }
        let cluster = exchange.info.cluster_name.clone();
        let plan =
            worker::with_rng(|rng| config.fault.decide(&exchange.request, cluster.as_deref(), rng));
        if plan.is_empty() {
            return Step::Continue;
        }
        let permit = config.active.as_ref().map(Bulkhead::try_acquire);
        if matches!(permit, Some(None)) {
            self.stats.inc(FaultStat::faults_overflow);
            return Step::Continue;
        }
        let Some(delay) = plan.delay else { return self.abort(config, plan) };
        self.stats.inc(FaultStat::delays_injected);
        exchange.info.flags.insert(ResponseFlag::DelayInjected);
        let gauge = self.stats.active(FaultStat::active_faults);
        exchange.filters.fault = Some(State { plan, _permit: permit.flatten(), _gauge: gauge });
        Step::Pause(delay)
    }

    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "the form of every filter"
    )]
    pub(super) fn on_response(&self, exchange: &mut Exchange) {
        exchange.filters.fault = None;
    }

    fn abort(&self, config: &FaultConfig, plan: Plan) -> Step {
        let Some(status) = plan.abort else { return Step::Continue };
        self.stats.inc(FaultStat::aborts_injected);
        let (status, grpc_status) = match status {
            AbortStatus::Http(status) => (status, None),
            AbortStatus::Grpc(status) => (200, Some(status)),
        };
        let body =
            config.fault.abort.as_ref().map(|abort| abort.body.to_string()).unwrap_or_default();
        let mut reply = LocalReply::new(status, ABORT_DETAILS)
            .with_body(body)
            .with_flag(ResponseFlag::FaultInjected)
            .because(CauseCode::Fault);
        reply.grpc_status = grpc_status;
        Step::Answer(Box::new(reply))
    }
}
