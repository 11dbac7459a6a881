//! What the allocator holds.

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
