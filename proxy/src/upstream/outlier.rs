//! Outlier detection of a cluster: workers count, the control runtime decides.
//!
//! A report is a few atomic operations on the host's own counters. Only what completes a detection goes to the control runtime, which ejects,
//! lets hosts back, and rebuilds the host set.

use std::sync::{Arc, Mutex};

use outrigger_policy::head::ResponseHead;
use outrigger_policy::outlier::{self, Action, Detector, Event, Outlier, OutlierPolicy, Report};

use super::cluster::Cluster;
use super::host::Host;
use crate::clock;
use crate::control;
use crate::failure::FailureKind;
use crate::telemetry::metrics::OutlierStat;
use crate::worker;

/// The detection of one cluster.
#[derive(Debug)]
pub struct Outliers {
    /// When a host is an outlier.
    pub policy: Arc<OutlierPolicy>,
    detector: Mutex<Detector<u64>>,
}

/// What a worker found.
#[derive(Debug)]
pub struct Detected {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// Which of its hosts.
    pub host: Arc<Host>,
    /// Why.
    pub outlier: Outlier,
}

impl Outliers {
    /// Detection without hosts.
    #[must_use]
    pub fn new(policy: Arc<OutlierPolicy>) -> Self {
        Self { detector: Mutex::new(Detector::new(policy.clone())), policy }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Detector<u64>) -> R) -> R {
        // Nothing panics while it is held, and what it holds stays whole if something does.
        let mut detector = self.detector.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        f(&mut detector)
    }

    /// The counters of a host; the same object as long as the host is watched.
    pub fn watch(&self, host: u64) -> Arc<outlier::HostMonitor> {
        self.with(|detector| detector.add(host))
    }

    /// Forgets a host.
    pub fn forget(&self, host: u64) {
        self.with(|detector| detector.remove(&host));
    }
}

/// An attempt was answered.
pub fn report_response(
    cluster: &Arc<Cluster>,
    host: &Arc<Host>,
    head: &ResponseHead,
    is_grpc: bool,
) {
    report(cluster, host, || Report::of(head, is_grpc));
}

/// An attempt ended without an answer.
pub fn report_failure(cluster: &Arc<Cluster>, host: &Arc<Host>, kind: FailureKind) {
    let what = match kind {
        FailureKind::PerTryTimeout | FailureKind::PerTryIdleTimeout => Report::TimedOut,
        FailureKind::ConnectFailure
        | FailureKind::ConnectTimeout
        | FailureKind::ConnectionTermination
        | FailureKind::RemoteReset
        | FailureKind::RemoteRefused
        | FailureKind::ProtocolError => Report::Failed,
        // The host had no part in these.
        FailureKind::Overflow
        | FailureKind::NoHealthyUpstream
        | FailureKind::MaxStreamDuration
        | FailureKind::Downstream => return,
    };
    report(cluster, host, || what);
}

/// The route's timeout ended while the host was asked.
pub fn report_timeout(cluster: &Arc<Cluster>, host: &Arc<Host>) {
    report(cluster, host, || Report::TimedOut);
}

/// An attempt got a connection.
pub fn report_connected(cluster: &Arc<Cluster>, host: &Arc<Host>) {
    report(cluster, host, || Report::Connected);
}

/// A connection for raw bytes was made: nothing more will be heard of it.
pub fn report_connected_for_good(cluster: &Arc<Cluster>, host: &Arc<Host>) {
    report(cluster, host, || Report::ConnectedForGood);
}

fn report(cluster: &Arc<Cluster>, host: &Arc<Host>, what: impl FnOnce() -> Report) {
    let (Some(outliers), Some(monitor)) = (&cluster.outliers, &host.monitor) else { return };
    for outlier in monitor.report(&outliers.policy, what()).into_iter().flatten() {
        worker::tell_control(control::Message::Outlier(Detected {
            cluster: cluster.clone(),
            host: host.clone(),
            outlier,
        }));
    }
}

/// Decides about a detection. On the control runtime.
pub fn decide(detected: &Detected) {
    let Some(outliers) = &detected.cluster.outliers else { return };
    let now = clock::now().into_std();
    let event = outliers.with(|detector| {
        worker::with_rng(|rng| detector.detected(&detected.host.id, detected.outlier, now, rng))
    });
    if let Some(event) = event {
        apply(&detected.cluster, outliers, &[event]);
    }
    publish(&detected.cluster, outliers);
}

/// The regular look at a cluster: lets hosts back, and finds those whose rates stand out. On the control runtime.
pub fn sweep(cluster: &Arc<Cluster>) {
    let Some(outliers) = &cluster.outliers else { return };
    let now = clock::now().into_std();
    let events = outliers.with(|detector| worker::with_rng(|rng| detector.sweep(now, rng)));
    if !events.is_empty() {
        apply(cluster, outliers, &events);
    }
    publish(cluster, outliers);
}

fn apply(cluster: &Arc<Cluster>, outliers: &Outliers, events: &[Event<u64>]) {
    let hosts = cluster.hosts().load();
    let mut is_changed = false;
    for event in events {
        let Some(host) = hosts.hosts.iter().find(|host| host.id == event.host) else { continue };
        let is_ejected = outliers.with(|detector| detector.is_ejected(&host.id));
        if host.is_ejected() != is_ejected {
            host.set_ejected(is_ejected);
            is_changed = true;
        }
        let verb = match event.action {
            Action::Eject(_) => "ejected",
            Action::Uneject => "let back",
            Action::Detect(_) => "detected, but not ejected",
        };
        tracing::info!(cluster = %cluster.name, host = %host.address, "outlier {verb}");
    }
    drop(hosts);
    if is_changed {
        cluster.rebuild_hosts();
    }
}

/// Brings the detector's own counters to where dumps find them.
fn publish(cluster: &Cluster, outliers: &Outliers) {
    let now = outliers.with(|detector| detector.stats().clone());
    let stats = cluster.counters.outliers();
    stats.set(OutlierStat::ejections_active, now.active());
    let raise =
        |counter, value: u64| stats.add(counter, value.saturating_sub(stats.count(counter)));
    raise(OutlierStat::ejections_overflow, now.overflow());
    raise(OutlierStat::ejections_enforced_total, now.enforced_total());
    raise(OutlierStat::ejections_total, now.total());
    for outlier in Outlier::ALL {
        let (detected, enforced) = counters_of(outlier);
        raise(detected, now.detected(outlier));
        raise(enforced, now.enforced(outlier));
    }
    raise(OutlierStat::ejections_consecutive_5xx, now.detected(Outlier::Consecutive5xx));
}

type Counter = crate::telemetry::metrics::Counter<OutlierStat>;

const fn counters_of(outlier: Outlier) -> (Counter, Counter) {
    use OutlierStat as S;
    match outlier {
        Outlier::Consecutive5xx => {
            (S::ejections_detected_consecutive_5xx, S::ejections_enforced_consecutive_5xx)
        }
        Outlier::ConsecutiveGatewayFailure => (
            S::ejections_detected_consecutive_gateway_failure,
            S::ejections_enforced_consecutive_gateway_failure,
        ),
        Outlier::ConsecutiveLocalOriginFailure => (
            S::ejections_detected_consecutive_local_origin_failure,
            S::ejections_enforced_consecutive_local_origin_failure,
        ),
        Outlier::SuccessRate => {
            (S::ejections_detected_success_rate, S::ejections_enforced_success_rate)
        }
        Outlier::LocalOriginSuccessRate => (
            S::ejections_detected_local_origin_success_rate,
            S::ejections_enforced_local_origin_success_rate,
        ),
        Outlier::FailurePercentage => {
            (S::ejections_detected_failure_percentage, S::ejections_enforced_failure_percentage)
        }
        Outlier::LocalOriginFailurePercentage => (
            S::ejections_detected_local_origin_failure_percentage,
            S::ejections_enforced_local_origin_failure_percentage,
        ),
    }
}
