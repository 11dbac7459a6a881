//! When health is ignored because too little of it is left.
//!
//! Sending everything to a few survivors would take them down too, so below a threshold of available
//! hosts a priority is in panic: its share of the load goes to all of its hosts, or nowhere if the
//! configuration says so. A priority never panics while all priorities together carry the whole load.
//! If all of them panic, they share the load by their number of hosts.
//! (envoy: docs `arch_overview/upstream/load_balancing/panic_threshold`)

use super::priority::{Capacity, Census, Share, by_capacity, by_hosts, total};

/// The shares of the load, and for each priority whether it is in panic.
///
/// `counts` are numbers of hosts. `threshold_percent` is 0 to 100; 0 switches panic off.
pub(super) fn share(
    counts: &[Census],
    capacities: &[Capacity],
    threshold_percent: u32,
) -> (Box<[Share]>, Box<[bool]>) {
    let carries_all = total(capacities) == 100;
    let panicking: Box<[bool]> =
        counts.iter().map(|census| !carries_all && is_below(census, threshold_percent)).collect();
    let shares = if panicking.iter().all(|panics| *panics) {
        let hosts: Vec<u64> = counts.iter().map(|census| census.total).collect();
        by_hosts(&hosts)
    } else {
        by_capacity(capacities)
    };
    (shares, panicking)
}

/// A priority without hosts is below every threshold but 0.
fn is_below(census: &Census, threshold_percent: u32) -> bool {
    let threshold = u64::from(threshold_percent.min(100));
    let available = census.healthy + census.degraded;
    if census.total == 0 { threshold > 0 } else { available * 100 < threshold * census.total }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (u32, &'static [(u64, u64, u64)], &'static [(u32, u32)], &'static [bool]);

    /// Threshold and `(healthy, degraded, total)` of each priority, the shares `(priority, percent)`, the
    /// panics; as counted on Envoy 1.40 with 1200 requests.
    const ROWS: &[Row] = &[
        (50, &[(1, 0, 4)], &[(0, 100)], &[true]),
        (50, &[(2, 0, 4)], &[(0, 100)], &[false]),
        (50, &[(2, 0, 5)], &[(0, 100)], &[true]),
        (50, &[(0, 0, 4)], &[(0, 100)], &[true]),
        (0, &[(0, 0, 4)], &[(0, 100)], &[false]),
        (50, &[(1, 1, 5)], &[(0, 100)], &[true]),
        (50, &[(1, 0, 5), (1, 0, 5)], &[(0, 50), (1, 50)], &[true, true]),
        (15, &[(1, 0, 5), (1, 0, 5)], &[(0, 50), (1, 50)], &[false, false]),
        (50, &[(1, 0, 4), (4, 0, 4)], &[(0, 35), (1, 65)], &[false, false]),
        (50, &[(0, 0, 1), (0, 0, 3)], &[(0, 25), (1, 75)], &[true, true]),
        (50, &[(0, 0, 5), (2, 0, 5)], &[(0, 50), (1, 50)], &[true, true]),
        (50, &[(0, 0, 5), (3, 0, 5)], &[(1, 100)], &[true, false]),
        (50, &[(0, 0, 0), (2, 0, 2)], &[(1, 100)], &[false, false]),
        (0, &[(0, 0, 0)], &[(0, 100)], &[false]),
        (50, &[], &[(0, 100)], &[]),
    ];

    #[test]
    fn priorities_panic_alone_or_together_as_in_envoy() {
        for (threshold, census, expected, expected_panics) in ROWS {
            let counts: Vec<_> = census
                .iter()
                .map(|&(healthy, degraded, total)| Census { healthy, degraded, total })
                .collect();
            let capacities: Vec<_> = counts.iter().map(|census| census.capacity(140)).collect();
            let (shares, panics) = share(&counts, &capacities, *threshold);
            let mut by_priority: Vec<(u32, u32)> = Vec::new();
            for share in &shares {
                match by_priority.last_mut() {
                    Some(last) if last.0 == share.priority => last.1 += share.percent,
                    _ => by_priority.push((share.priority, share.percent)),
                }
            }
            assert_eq!(by_priority, *expected, "{threshold} {census:?}");
            assert_eq!(*panics, **expected_panics, "{threshold} {census:?}");
        }
    }
}
