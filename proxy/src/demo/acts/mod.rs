//! The acts: each sends something through the shop and holds what came back against what must.

pub(super) mod authorization;
pub(super) mod breaker;
pub(super) mod closed_doors;
pub(super) mod ejection;
pub(super) mod fault;
pub(super) mod header_route;
pub(super) mod metrics;
pub(super) mod mutual_tls;
pub(super) mod retry;
pub(super) mod split;
pub(super) mod timeout;

/// A count of replies beside a count of stats.
fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
