//! Where the process is in its life, as `/ready` and the stat `server.state` tell it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Instant, SystemTime};

/// (envoy: admin.v3.ServerInfo.State)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerState {
    /// Serving.
    Live = 0,
    /// Told to leave.
    Draining = 1,
    /// Clusters of the bootstrap are not ready.
    PreInitializing = 2,
    /// What the control plane says is not complete.
    Initializing = 3,
}

impl ServerState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Initializing => "INITIALIZING",
        }
    }
}

/// The life of the process.
#[derive(Debug)]
pub struct Lifecycle {
    /// When it began, for durations.
    pub started: Instant,
    /// When it began, for people.
    pub started_at: SystemTime,
    state: AtomicU8,
    is_failed: AtomicBool,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            state: AtomicU8::new(ServerState::PreInitializing as u8),
            is_failed: AtomicBool::new(false),
        }
    }
}

impl Lifecycle {
    /// The state. A server that was told to fail its health checks is draining.
    #[must_use]
    pub fn state(&self) -> ServerState {
        match self.state.load(Ordering::Relaxed) {
            0 if self.is_failed.load(Ordering::Relaxed) => ServerState::Draining,
            0 => ServerState::Live,
            1 => ServerState::Draining,
            2 => ServerState::PreInitializing,
            _ => ServerState::Initializing,
        }
    }

    /// Moves on.
    pub fn set_state(&self, state: ServerState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Health checks fail, or do not any more. (envoy admin: `/healthcheck/fail`, `/healthcheck/ok`)
    pub fn set_failed(&self, failed: bool) {
        self.is_failed.store(failed, Ordering::Relaxed);
    }
}
