//! `/memory`: what the allocator holds. (envoy: admin.v3.Memory)

use serde_json::json;

use super::{Endpoint, Reply, Request, Server};
use crate::telemetry::memory::Memory;

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/memory",
    is_post: false,
    help: "print current allocation/heap usage",
    parameters: &[],
    reply: |_: &Server, _: &Request| reply(),
};

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
