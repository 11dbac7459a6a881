//! `/memory`: what the allocator holds. (envoy: admin.v3.Memory)

use serde_json::json;
use tikv_jemalloc_ctl::{epoch, stats};

use super::{Endpoint, Reply, Request, Server};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/memory",
    is_post: false,
    help: "print current allocation/heap usage",
    parameters: &[],
    reply: |_: &Server, _: &Request| reply(),
};

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// What the program asked for.
    pub(super) allocated: u64,
    /// What the allocator uses of memory for that.
    pub(super) active: u64,
    /// What it holds in memory.
    pub(super) resident: u64,
    /// What it has mapped and given back.
    pub(super) retained: u64,
}

impl Memory {
    /// As of now.
    pub(super) fn now() -> Self {
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

fn reply() -> Reply {
    let Memory { allocated, active, resident, retained } = Memory::now();
    Reply::json(&json!({
        "allocated": allocated.to_string(),
        "heap_size": resident.to_string(),
        "pageheap_unmapped": retained.to_string(),
        "pageheap_free": resident.saturating_sub(active).to_string(),
        "total_thread_cache": "0",
        "total_physical_bytes": resident.to_string(),
    }))
}
