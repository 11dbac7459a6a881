//! What was reached before, and whether it still is: `benches/limits.json`.
//!
//! Instructions differ a little from one compiler or machine to the next, so they may be a little above their limit; allocations may not be above
//! theirs at all. What has become cheaper is told, so that the limit can follow.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How far above its limit a count of instructions of one function may be.
const TOLERANCE_PERCENT: u64 = 2;
/// The same for an exchange through the whole process: how many events a worker finds at once, and how often its timers run meanwhile, is up to
/// the machine. Two per cent were seen between two machines at rest, five on a busy one.
const EXCHANGE_TOLERANCE_PERCENT: u64 = 8;
/// What names of exchanges begin with.
const EXCHANGE: &str = "exchange/";

/// Counts by name.
pub type Counts = BTreeMap<String, Count>;

/// What something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// User instructions.
    pub instructions: u64,
    /// Calls of the allocator, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<u64>,
}

/// Reads limits.
///
/// # Errors
/// If the file cannot be read or holds anything else.
pub fn read(path: &Path) -> Result<Counts> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// Writes limits.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, counts: &Counts) -> Result<()> {
    let text = serde_json::to_string_pretty(counts)? + "\n";
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// What is wrong with these counts, one sentence each. A count without a limit is wrong, and a limit that nothing was counted for.
#[must_use]
pub fn violations(counts: &Counts, limits: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, count) in counts {
        let Some(limit) = limits.get(name) else {
            wrong.push(format!("{name} has no limit"));
            continue;
        };
        let most = limit.instructions + limit.instructions * tolerance(name) / 100;
        if count.instructions > most {
            let more = above(count.instructions, limit.instructions);
            wrong.push(format!("{name} takes {} instructions, {more}", count.instructions));
        }
        match (count.allocations, limit.allocations) {
            (Some(count), Some(limit)) if count > limit => {
                wrong.push(format!("{name} allocates {count} times, {}", above(count, limit)));
            }
            (Some(_), None) => wrong.push(format!("{name} has no limit of allocations")),
            _ => {}
        }
    }
    let unknown = limits.keys().filter(|name| !counts.contains_key(*name));
    wrong.extend(unknown.map(|name| format!("{name} has a limit and was not counted")));
    wrong
}

/// A table of counts beside their limits.
#[must_use]
pub fn table(counts: &Counts, limits: &Counts) -> String {
    let mut table =
        format!("{:28} {:>12} {:>12} {:>8}\n", "", "instructions", "limit", "allocations");
    for (name, count) in counts {
        let limit = limits.get(name).map_or(String::new(), |limit| limit.instructions.to_string());
        let allocations = count.allocations.map_or(String::new(), |count| count.to_string());
        let _ = writeln!(table, "{name:28} {:12} {limit:>12} {allocations:>8}", count.instructions);
    }
    table
}

fn tolerance(name: &str) -> u64 {
    if name.starts_with(EXCHANGE) { EXCHANGE_TOLERANCE_PERCENT } else { TOLERANCE_PERCENT }
}

fn above(count: u64, limit: u64) -> String {
    let percent = (count - limit) as f64 * 100.0 / limit.max(1) as f64;
    format!("{} ({percent:.1} %) above its limit of {limit}", count - limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64, Option<u64>)]) -> Counts {
        let count =
            |(name, instructions, allocations): &(&str, u64, Option<u64>)| -> (String, Count) {
                let (instructions, allocations) = (*instructions, *allocations);
                ((*name).into(), Count { instructions, allocations })
            };
        of.iter().map(count).collect()
    }

    #[test]
    fn instructions_have_a_tolerance_and_allocations_none() {
        let limits = counts(&[("a", 1_000, Some(5)), ("b", 1_000, None)]);
        for (measured, expected) in [
            (counts(&[("a", 1_020, Some(5)), ("b", 10, None)]), vec![]),
            (
                counts(&[("a", 1_021, Some(5)), ("b", 10, None)]),
                vec!["a takes 1021 instructions, 21 (2.1 %) above its limit of 1000"],
            ),
            (
                counts(&[("a", 1, Some(6)), ("b", 10, None)]),
                vec!["a allocates 6 times, 1 (20.0 %) above its limit of 5"],
            ),
        ] {
            assert_eq!(violations(&measured, &limits), expected);
        }
    }

    #[test]
    fn an_exchange_depends_on_the_machine_a_little_more() {
        let limits = counts(&[("exchange/a", 1_000, Some(5))]);
        assert!(violations(&counts(&[("exchange/a", 1_080, Some(5))]), &limits).is_empty());
        assert_eq!(violations(&counts(&[("exchange/a", 1_081, Some(5))]), &limits).len(), 1);
    }

    #[test]
    fn every_count_has_a_limit_and_every_limit_a_count() {
        let limits = counts(&[("a", 1, None), ("gone", 1, None)]);
        let measured = counts(&[("a", 1, Some(0)), ("new", 1, None)]);
        let expected = [
            "a has no limit of allocations",
            "new has no limit",
            "gone has a limit and was not counted",
        ];
        assert_eq!(violations(&measured, &limits), expected);
    }
}
