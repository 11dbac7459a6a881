//! What workers count of a host.
//!
//! All counters are atomics in one cache line, and a good answer of a good host writes only one of
//! them.

use std::sync::atomic::{AtomicU32, Ordering};

use super::rate::{Rate, Window};
use super::{Outlier, OutlierPolicy, Report};

/// The counters of one host, shared by all workers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct HostMonitor {
    /// Answers since the last sweep.
    external: Rate,
    /// Connections since the last sweep, if they count apart.
    local: Rate,
    consecutive_5xx: AtomicU32,
    consecutive_gateway_failure: AtomicU32,
    consecutive_local_origin_failure: AtomicU32,
}

/// What a report completes, to be passed to [`super::Detector::detected`] in this order.
pub type Detected = [Option<Outlier>; 2];

const NOTHING: Detected = [None, None];

impl HostMonitor {
    /// Counts a report. What it completes is returned once, by one worker.
    pub fn report(&self, policy: &OutlierPolicy, report: Report) -> Detected {
        match (report, policy.splits_local_origin) {
            (Report::Answered(status), _) => self.answered(policy, status),
            (Report::Connected, false) => NOTHING,
            (Report::ConnectedForGood, false) => self.answered(policy, 200),
            (Report::Failed, false) => self.answered(policy, 503),
            (Report::TimedOut, false) => self.answered(policy, 504),
            (Report::Connected | Report::ConnectedForGood, true) => self.connected(),
            (Report::Failed | Report::TimedOut, true) => self.failed(policy),
        }
    }

    /// Starts counting in a row anew, for one kind of outlier.
    pub(super) fn reset(&self, outlier: Outlier) {
        match outlier {
            Outlier::Consecutive5xx => clear(&self.consecutive_5xx),
            Outlier::ConsecutiveGatewayFailure => clear(&self.consecutive_gateway_failure),
            Outlier::ConsecutiveLocalOriginFailure => clear(&self.consecutive_local_origin_failure),
            _ => {}
        }
    }

    /// Starts counting in a row anew, for all.
    pub(super) fn reset_all(&self) {
        clear(&self.consecutive_5xx);
        clear(&self.consecutive_gateway_failure);
        clear(&self.consecutive_local_origin_failure);
    }

    /// The answers and connections since the last call.
    pub(super) fn take(&self) -> (Window, Window) {
        (self.external.take(), self.local.take())
    }

    fn answered(&self, policy: &OutlierPolicy, status: u16) -> Detected {
        let is_error = (500..=599).contains(&status);
        self.external.count(!is_error);
        if !is_error {
            clear(&self.consecutive_5xx);
            clear(&self.consecutive_gateway_failure);
            return NOTHING;
        }
        let gateway = if (502..=504).contains(&status) {
            completes(&self.consecutive_gateway_failure, policy.consecutive_gateway_failure)
        } else {
            clear(&self.consecutive_gateway_failure);
            false
        };
        let any = completes(&self.consecutive_5xx, policy.consecutive_5xx);
        [
            gateway.then_some(Outlier::ConsecutiveGatewayFailure),
            any.then_some(Outlier::Consecutive5xx),
        ]
    }

    fn connected(&self) -> Detected {
        self.local.count(true);
        clear(&self.consecutive_local_origin_failure);
        NOTHING
    }

    fn failed(&self, policy: &OutlierPolicy) -> Detected {
        self.local.count(false);
        let counter = &self.consecutive_local_origin_failure;
        let is_complete = completes(counter, policy.consecutive_local_origin_failure);
        [is_complete.then_some(Outlier::ConsecutiveLocalOriginFailure), None]
    }
}

/// Counts up; true for the one that reaches `threshold`.
fn completes(counter: &AtomicU32, threshold: u32) -> bool {
    let before = counter.fetch_add(1, Ordering::Relaxed);
    before.checked_add(1) == Some(threshold)
}

/// Writes only what is not zero yet: workers share the line.
fn clear(counter: &AtomicU32) {
    if counter.load(Ordering::Relaxed) != 0 {
        counter.store(0, Ordering::Relaxed);
    }
}
