//! The metrics of the mesh: who talks to whom, how often, how long and with what outcome. (envoy: `istio.stats`)
//!
//! [`report`] is called when an exchange is over, [`TcpReports`] by the TCP proxy. What a stream's labels follow from is looked up in what
//! the worker has resolved before ([`resolved`]): nothing is formatted for a request like others before it.

mod expression;
mod facts;
mod label;
mod metrics;
mod resolved;
mod tcp;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::exchange::Exchange;
use crate::http::filters::Filter;
use crate::listener::http_chain::millis;
use crate::peer::Own;
use crate::telemetry::access_log::Record;
use crate::telemetry::metrics::{IstioBuildStats, IstioGrpcStat, IstioHttpStat, IstioTcpStat};
use crate::worker;

pub use expression::Expression;
pub use label::{Changes, GRPC, HTTP, NAMES, TCP};
pub use metrics::{AllSeries, Metrics, Named};
pub use tcp::TcpReports;

use resolved::Outcome;

/// Whose side a report is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reporter {
    /// The client's.
    #[default]
    Source,
    /// The server's.
    Destination,
    /// A gateway before many workloads. (istio: `SERVER_GATEWAY`)
    Waypoint,
}

/// The filter, compiled.
#[derive(Debug)]
pub struct IstioStats {
    /// Unique in the process.
    pub id: u64,
    /// Whose side is reported.
    pub reporter: Reporter,
    /// A request's host is its service where the cluster does not say better.
    pub uses_host_header: bool,
    /// Between two reports of one connection; `None` for one at its end only.
    pub interval: Option<Duration>,
    /// Expressions of labels.
    pub expressions: Vec<Expression>,
    /// This workload.
    pub own: Arc<Own>,
    /// Of requests.
    pub http: Metrics<IstioHttpStat>,
    /// Of gRPC's messages.
    pub grpc: Metrics<IstioGrpcStat>,
    /// Of connections.
    pub tcp: Metrics<IstioTcpStat>,
    /// `istio_build`: kept while somebody reports.
    pub build: IstioBuildStats,
}

/// A number for an [`IstioStats`].
#[must_use]
pub fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

/// Reports an exchange that is over to every filter of its chain that wants to know.
pub fn report(exchange: &Exchange) {
    for placed in &exchange.manager.filters.filters {
        if let Filter::IstioStats(stats) = &placed.filter
            && !placed.is_disabled
        {
            stats.0.report(exchange);
        }
    }
}

impl IstioStats {
    fn report(&self, exchange: &Exchange) {
        let info = &exchange.info;
        let upstream = info.upstream.borrow();
        let cluster = upstream.cluster.clone().or_else(|| {
            let name = info.cluster_name.as_deref()?;
            worker::snapshot(|snapshot| snapshot.cluster(name))
        });
        let sight = facts::Sight::of(self, info, &upstream, cluster.as_deref(), Some(exchange));
        let is_grpc = exchange.request.is_grpc();
        let status = is_grpc.then(|| Record::of(exchange).grpc_status());
        let outcome = Outcome {
            protocol: if is_grpc { resolved::Protocol::Grpc } else { resolved::Protocol::Http },
            code: info.response_code,
            grpc_status: status,
            flags: info.flags,
            computed: self.computed(exchange),
        };
        resolved::with(&sight, |peers| {
            let handles = peers.http(self, outcome);
            let took = info.timing.end.map(|end| millis(end.duration_since(info.start)));
            for (metrics, stats) in handles.iter() {
                if metrics.has(0) {
                    stats.inc(IstioHttpStat::requests_total);
                }
                if let Some(took) = took.filter(|_| metrics.has(1)) {
                    stats.record(IstioHttpStat::request_duration_milliseconds, took);
                }
                if metrics.has(2) {
                    stats.record(IstioHttpStat::request_bytes, info.wire_received);
                }
                if metrics.has(3) {
                    stats.record(IstioHttpStat::response_bytes, info.wire_sent);
                }
            }
            if let Some(messages) = info.grpc_messages.as_deref() {
                for (metrics, stats) in peers.grpc(self, exchange).iter() {
                    if metrics.has(0) {
                        stats.add(IstioGrpcStat::request_messages_total, messages.requests.get());
                    }
                    if metrics.has(1) {
                        stats.add(IstioGrpcStat::response_messages_total, messages.responses.get());
                    }
                }
            }
        });
    }

    fn computed(&self, exchange: &Exchange) -> Box<[Box<str>]> {
        let value = |e: &Expression| e.value(Some(&exchange.request), &exchange.info);
        self.expressions.iter().map(value).collect()
    }
}
