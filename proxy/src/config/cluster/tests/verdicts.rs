//! What is refused, where, and why; and that Envoy refuses what it should. The table is `verdicts.txt`:
//!
//! ```text
//! refused cluster connect_timeout: 0s
//!     connect_timeout: must be greater than 0
//! ok      limits retry_budget: {}
//! ```
//!
//! A line is Envoy's verdict, the place (see `snippet`) and the snippet; an indented line under it is our refusal, if we refuse it.

use std::path::Path;
use std::process::Command;

use super::snippet::Snippet;

struct Row {
    is_ok_for_envoy: bool,
    line: &'static str,
    kind: &'static str,
    text: &'static str,
    refusal: Option<&'static str>,
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in include_str!("verdicts.txt").lines() {
        if let Some(refusal) = line.strip_prefix("    ") {
            rows.last_mut().unwrap().refusal = Some(refusal.trim());
        } else if !line.is_empty() && !line.starts_with('#') {
            let (verdict, rest) = line.split_once(' ').unwrap();
            let (kind, text) =
                rest.trim_start().split_once(' ').unwrap_or_else(|| (rest.trim(), ""));
            let is_ok_for_envoy = match verdict {
                "ok" => true,
                "refused" => false,
                _ => panic!("{line}"),
            };
            rows.push(Row { is_ok_for_envoy, line, kind, text, refusal: None });
        }
    }
    rows
}

#[test]
fn each_snippet_is_taken_or_refused_at_its_place_and_for_its_reason() {
    let rows = rows();
    let mut wrong = String::new();
    for row in &rows {
        let refusal = Snippet::new(row.kind, row.text).refusal();
        if refusal.as_deref() != row.refusal {
            wrong += &format!("{}\n    {}\n", row.line, refusal.unwrap_or_default());
        }
    }
    assert!(wrong.is_empty(), "other than the table says:\n{wrong}");
    assert!(rows.len() > 250, "{}", rows.len());
}

#[test]
fn nothing_is_taken_that_envoy_refuses() {
    for row in rows() {
        assert!(row.is_ok_for_envoy || row.refusal.is_some(), "{}", row.line);
    }
}

/// `ENVOY=/path/to/envoy cargo test -- --ignored`
#[test]
#[ignore = "needs Envoy 1.40"]
fn envoy_says_what_the_table_says() {
    let envoy = std::env::var("ENVOY").unwrap();
    let folder = std::env::temp_dir().join(format!("cluster-verdicts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let wrong: Vec<_> = rows()
        .into_iter()
        .filter(|row| is_valid(&envoy, &folder, row) != row.is_ok_for_envoy)
        .map(|row| row.line)
        .collect();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(wrong.is_empty(), "Envoy says otherwise: {wrong:#?}");
}

fn is_valid(envoy: &str, folder: &Path, row: &Row) -> bool {
    let file = folder.join("bootstrap.yaml");
    std::fs::write(&file, Snippet::new(row.kind, row.text).bootstrap()).unwrap();
    let output = Command::new(envoy).args(["--mode", "validate", "-c"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !said.contains("no such field") && !said.contains("Unable to parse"),
        "{}: {said}",
        row.line
    );
    output.status.success()
}
