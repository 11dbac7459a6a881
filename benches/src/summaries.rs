//! What gungraun has counted: the summaries that it leaves, one per benchmark.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::limits::{Count, Counts};

/// Files below each other that are looked at: package, benchmark file, group, benchmark.
const DEPTH: usize = 5;

/// Every summary below `folder`, as `FUNCTION/CASE`.
///
/// # Errors
/// If there is none, or one says anything else.
pub fn read(folder: &Path) -> Result<Counts> {
    let mut counts = Counts::new();
    collect(folder, DEPTH, &mut counts).with_context(|| folder.display().to_string())?;
    ensure!(!counts.is_empty(), "{}: no summary of gungraun", folder.display());
    Ok(counts)
}

fn collect(folder: &Path, depth: usize, counts: &mut Counts) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, counts)?;
        } else if path.file_name().is_some_and(|name| name == "summary.json") {
            let text = std::fs::read(&path)?;
            let (name, instructions) = parse(&text).with_context(|| path.display().to_string())?;
            counts.insert(name, Count { instructions, allocations: None });
        }
    }
    Ok(())
}

fn parse(text: &[u8]) -> Result<(String, u64)> {
    let summary: Value = serde_json::from_slice(text)?;
    let text = |key| summary.get(key).and_then(Value::as_str).context(key);
    let counted = summary.pointer("/profiles/0/data/total/metrics/Ir/values/new");
    let instructions = counted.and_then(Value::as_u64).context("no count of this run alone")?;
    Ok((format!("{}/{}", text("function_name")?, text("id")?), instructions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_a_name_and_a_count() {
        let summary = br#"{"function_name": "route", "id": "among_10",
            "profiles": [{"data": {"total": {"metrics": {"Ir": {"values": {"new": 403}}}}}}]}"#;
        assert_eq!(parse(summary).unwrap(), ("route/among_10".to_owned(), 403));
    }

    #[test]
    fn a_summary_without_a_count_is_refused() {
        assert!(parse(br#"{"function_name": "route", "id": "among_10"}"#).is_err());
    }
}
