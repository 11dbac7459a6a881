//! What the allocator holds, and what the process gives back.

use std::time::Duration;

use tikv_jemalloc_ctl::{epoch, stats};

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What the program asked for.
    pub allocated: u64,
    /// What the allocator uses of memory for that.
    pub active: u64,
    /// What it holds in memory.
    pub resident: u64,
    /// What it has mapped and given back.
    pub retained: u64,
}

impl Memory {
    /// As of now.
    #[must_use]
    pub fn now() -> Self {
        let _ = epoch::advance();
        let bytes = |read: Result<usize, _>| read.map_or(0, |bytes| bytes as u64);
        Self {
            allocated: bytes(stats::allocated::read()),
            active: bytes(stats::active::read()),
            resident: bytes(stats::resident::read()),
            retained: bytes(stats::retained::read()),
        }
    }
}

/// How long after the start its code and its memory are let go: the workers have opened their listeners by then.
const START_SETTLES: Duration = Duration::from_secs(1);

/// Gives back what only the start needed: three quarters of what is resident then. A failure costs memory and nothing else.
pub async fn release_after_start() {
    tokio::time::sleep(START_SETTLES).await;
    if let Err(error) = outrigger_sys::release_heap() {
        tracing::debug!("freed memory stays with the allocator: {error}");
    }
    match outrigger_sys::release_code() {
        Ok(bytes) => tracing::debug!("pages of {bytes} bytes of code let go"),
        Err(error) => tracing::debug!("code of the start stays in memory: {error}"),
    }
}
