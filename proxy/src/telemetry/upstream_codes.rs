//! What a cluster counts of answers: codes and times, also by where the request came from.
//! (envoy: `Http::CodeStatsImpl::chargeResponseStat`, `chargeResponseTiming`)

use std::sync::atomic::Ordering::Relaxed;

use crate::exchange::Exchange;
use crate::listener::http_chain::millis;
use crate::telemetry::metrics::{ClusterStat, CodeStat};
use crate::upstream::{Cluster, Plan};

/// Counts the final answer to a request, be it the upstream's or ours in its place.
pub fn count(exchange: &Exchange, plan: &Plan, status: u16, is_canary: bool) {
    let counters = &plan.cluster.counters;
    counters.stats.completed(status);
    let origin = if exchange.is_internal { counters.internal() } else { counters.external() };
    origin.completed(status);
    if let Some(stats) = &plan.route.payload.stats {
        stats.codes.completed(status);
    }
    if is_canary {
        counters.canary().completed(status);
    }
    if let Some(host) = &exchange.info.upstream.borrow().host {
        let counter =
            if status < 500 { &host.counters.rq_success } else { &host.counters.rq_error };
        counter.fetch_add(1, Relaxed);
    }
}

/// Counts an answer that is not final: the request is tried again.
pub fn count_retried(cluster: &Cluster, status: u16) {
    cluster.counters.retried().completed(status);
}

/// Counts the answer to a copy of a request.
pub fn count_shadow(cluster: &Cluster, status: u16) {
    cluster.counters.stats.completed(status);
}

/// Records how long the upstream took, once the exchange is over.
pub fn close(exchange: &Exchange) {
    let Some(plan) = &exchange.plan else { return };
    let upstream = exchange.info.upstream.borrow();
    let (Some(begin), Some(end)) = (exchange.progress.request_end(), upstream.last_rx) else {
        return;
    };
    let took = millis(end.saturating_duration_since(begin));
    let counters = &plan.cluster.counters;
    counters.stats.record(ClusterStat::upstream_rq_time, took);
    let origin = if exchange.is_internal { counters.internal() } else { counters.external() };
    origin.record(CodeStat::upstream_rq_time, took);
    if let Some(stats) = &plan.route.payload.stats {
        stats.codes.record(CodeStat::upstream_rq_time, took);
    }
}
