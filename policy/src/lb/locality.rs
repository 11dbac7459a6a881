//! Which locality of a priority gets a pick, when localities are weighted.
//!
//! A locality's share is its weight times the part of its hosts that is available, overprovisioned like
//! a priority's: losing few hosts costs it nothing, losing many shrinks it in proportion. Without
//! weights, or when no weighted locality has a host, all hosts of the priority are one list.
//! (envoy: docs `arch_overview/upstream/load_balancing/locality_weight`)

/// A locality that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weighted {
    /// Index among the localities of its priority.
    pub(super) locality: u32,
    /// Index of its list of hosts in the balancer.
    pub(super) list: u32,
    pub(super) weight: f64,
}

/// The weight by which a locality is chosen; 0 keeps it from being chosen.
/// `available` of its `total` hosts can be used.
pub(super) fn effective_weight(
    weight: u32,
    available: u64,
    total: u64,
    overprovisioning_percent: u32,
) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let ratio = available as f64 / total as f64 * f64::from(overprovisioning_percent) / 100.0;
    f64::from(weight) * ratio.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_follows_the_available_hosts_beyond_the_overprovisioned_ones() {
        for (weight, available, total, expected) in [
            (3, 2, 2, 3.0),
            (1, 3, 4, 1.0),
            (1, 1, 2, 0.7),
            (1, 0, 2, 0.0),
            (0, 2, 2, 0.0),
            (1, 0, 0, 0.0),
        ] {
            assert!((effective_weight(weight, available, total, 140) - expected).abs() < 1e-9);
        }
    }
}
