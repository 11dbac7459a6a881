//! The report of one TCP connection: while it lasts, and when it is over.
//!
//! Opened is reported when it is known who the peer is, or that nobody will say, at the latest when the connection is over.
//! (envoy: contrib/istio istio_stats, `reportHelper`)

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::{Interval, MissedTickBehavior};

use super::facts::Sight;
use super::metrics::Handles;
use super::resolved::{self, Outcome, Protocol};
use super::{Expression, IstioStats, Reporter};
use crate::clock;
use crate::telemetry::StreamInfo;
use crate::telemetry::metrics::IstioTcpStat;
use crate::worker;

/// See the module.
#[derive(Debug)]
struct TcpReport {
    stats: Arc<IstioStats>,
    handles: Option<Handles<IstioTcpStat>>,
    received: u64,
    sent: u64,
}

impl TcpReport {
    /// Of a connection that begins.
    const fn new(stats: Arc<IstioStats>) -> Self {
        Self { stats, handles: None, received: 0, sent: 0 }
    }

    /// Adds what has moved since the last report, given as totals of the connection.
    fn report(&mut self, info: &StreamInfo, received: u64, sent: u64, is_over: bool) {
        let is_heard = match self.stats.reporter {
            Reporter::Source => info.upstream.borrow().peer.is_settled(),
            Reporter::Destination | Reporter::Waypoint => info.downstream_peer.is_settled(),
        };
        if !is_heard && !is_over {
            return;
        }
        let (stats, opens) = (&self.stats, self.handles.is_none());
        let handles = self.handles.get_or_insert_with(|| resolve(stats, info));
        for (metrics, stats) in &*handles {
            if opens && metrics.has(0) {
                stats.inc(IstioTcpStat::tcp_connections_opened_total);
            }
            if metrics.has(2) {
                let more = received.saturating_sub(self.received);
                stats.add(IstioTcpStat::tcp_received_bytes_total, more);
            }
            if metrics.has(3) {
                stats.add(IstioTcpStat::tcp_sent_bytes_total, sent.saturating_sub(self.sent));
            }
            if is_over && metrics.has(1) {
                stats.inc(IstioTcpStat::tcp_connections_closed_total);
            }
        }
        (self.received, self.sent) = (received, sent);
    }
}

/// The reports of one connection to each who wants them, and when the next is due.
#[derive(Debug)]
pub struct TcpReports {
    reports: SmallVec<[TcpReport; 1]>,
    next: Option<Interval>,
}

impl TcpReports {
    /// Of a connection that begins.
    #[must_use]
    pub fn new(stats: &[Arc<IstioStats>]) -> Self {
        let shortest = stats.iter().filter_map(|stats| stats.interval).min();
        let next = shortest.map(|every| {
            let mut next = clock::interval(every);
            next.set_missed_tick_behavior(MissedTickBehavior::Delay);
            next.reset();
            next
        });
        Self { reports: stats.iter().cloned().map(TcpReport::new).collect(), next }
    }

    /// Waits for the next report while the connection lasts.
    pub async fn due(&mut self) {
        match &mut self.next {
            Some(next) => {
                next.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Reports a connection that lasts, of which these bytes were received and sent.
    pub fn report(&mut self, info: &StreamInfo, (received, sent): (u64, u64)) {
        for report in &mut self.reports {
            report.report(info, received, sent, false);
        }
    }

    /// Reports that the connection is over.
    pub fn close(&mut self, info: &StreamInfo) {
        for report in &mut self.reports {
            report.report(info, info.bytes_received, info.bytes_sent, true);
        }
    }
}

fn resolve(stats: &IstioStats, info: &StreamInfo) -> Handles<IstioTcpStat> {
    let upstream = info.upstream.borrow();
    let cluster = upstream.cluster.clone().or_else(|| {
        let name = info.cluster_name.as_deref()?;
        worker::snapshot(|snapshot| snapshot.cluster(name))
    });
    let value = |expression: &Expression| expression.value(None, info);
    let outcome = Outcome {
        protocol: Protocol::Tcp,
        code: 0,
        grpc_status: None,
        flags: info.flags,
        computed: stats.expressions.iter().map(value).collect(),
    };
    let sight = Sight::of(stats, info, &upstream, cluster.as_deref(), None);
    resolved::with(&sight, |peers| peers.tcp(stats, &outcome))
}
