//! What outlier detection counts of itself: `cluster.<name>.outlier_detection.*`.

use super::Outlier;

/// Counters of a cluster's detector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub(super) active: u64,
    pub(super) overflow: u64,
    pub(super) enforced_total: u64,
    /// `ejections_total`, deprecated by Envoy: two kinds that were allowed, enforced or not.
    pub(super) total: u64,
    detected: [u64; Outlier::ALL.len()],
    enforced: [u64; Outlier::ALL.len()],
}

impl Stats {
    /// Hosts that are ejected: the gauge `ejections_active`.
    #[must_use]
    pub const fn active(&self) -> u64 {
        self.active
    }

    /// Detections that did not eject because too many hosts already were: `ejections_overflow`.
    #[must_use]
    pub const fn overflow(&self) -> u64 {
        self.overflow
    }

    /// All ejections: `ejections_enforced_total`.
    #[must_use]
    pub const fn enforced_total(&self) -> u64 {
        self.enforced_total
    }

    /// The deprecated `ejections_total`. The other deprecated counters repeat detections:
    /// `ejections_consecutive_5xx` those of that kind, `ejections_success_rate` those of both origins.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// `ejections_detected_<kind>`
    #[must_use]
    pub fn detected(&self, outlier: Outlier) -> u64 {
        self.detected.get(outlier as usize).copied().unwrap_or_default()
    }

    /// `ejections_enforced_<kind>`
    #[must_use]
    pub fn enforced(&self, outlier: Outlier) -> u64 {
        self.enforced.get(outlier as usize).copied().unwrap_or_default()
    }

    pub(super) fn count_detected(&mut self, outlier: Outlier) {
        if let Some(counter) = self.detected.get_mut(outlier as usize) {
            *counter += 1;
        }
    }

    pub(super) fn count_enforced(&mut self, outlier: Outlier) {
        self.enforced_total += 1;
        if let Some(counter) = self.enforced.get_mut(outlier as usize) {
            *counter += 1;
        }
    }
}
