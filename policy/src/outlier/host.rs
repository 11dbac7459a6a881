//! What the detector keeps of one host: its ejection, and how long the next one would be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use super::rate::Window;
use super::{Action, Event, HostMonitor, OutlierPolicy};
use crate::draw::below_u64;

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) monitor: Arc<HostMonitor>,
    pub(super) ejected: Option<Ejected>,
    last_ejection: Option<Instant>,
    pub(super) last_return: Option<Instant>,
    pub(super) ejections: u32,
    /// Factor of the base time at the next ejection, less one.
    recent_ejections: u32,
    /// What the last sweep found, answers and connections.
    pub(super) windows: [Window; 2],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ejected {
    at: Instant,
    lasts: Duration,
}

impl Host {
    /// Ejects it.
    pub(super) fn leave(&mut self, policy: &OutlierPolicy, now: Instant, rng: &mut impl Rng) {
        let (base, max) = (policy.base_ejection_time, policy.max_ejection_time);
        if base.saturating_mul(self.recent_ejections) < max.saturating_add(base) {
            self.recent_ejections = self.recent_ejections.saturating_add(1);
        }
        let jitter_ms = u64::try_from(policy.max_ejection_time_jitter.as_millis()).unwrap_or(0);
        let jitter = Duration::from_millis(below_u64(jitter_ms.saturating_add(1), rng));
        let lasts = base.saturating_mul(self.recent_ejections).min(max).saturating_add(jitter);
        self.ejected = Some(Ejected { at: now, lasts });
        self.last_ejection = Some(now);
        self.ejections = self.ejections.saturating_add(1);
    }

    /// Ends its ejection.
    pub(super) fn come_back<K: Clone>(&mut self, key: &K, now: Instant) -> Event<K> {
        self.ejected = None;
        self.last_return = Some(now);
        // A counter that was nearly full would eject the host again on its first error.
        self.monitor.reset_all();
        Event {
            host: key.clone(),
            action: Action::Uneject,
            num_ejections: self.ejections,
            since_last_action: self.last_ejection.map(|at| now.saturating_duration_since(at)),
        }
    }

    /// An interval in which the host stayed in takes one ejection off.
    pub(super) fn forgive(&mut self, now: Instant, interval: Duration) {
        let is_back_for = |at| now.saturating_duration_since(at) >= interval;
        if self.ejected.is_none() && self.last_return.is_some_and(is_back_for) {
            self.recent_ejections = self.recent_ejections.saturating_sub(1);
        }
    }
}

impl Ejected {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= self.lasts
    }
}
