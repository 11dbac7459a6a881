//! What is refused, where, and why; what is ignored; and that Envoy refuses what it should. The table is `verdicts.txt`:
//!
//! ```text
//! refused client.more sni: "a\0b"
//!     invalid sni 'a\0b'
//! ok      client.more allow_renegotiation: true
//!     ignored allow_renegotiation
//! ```
//!
//! A line is Envoy's verdict, the place (see `snippet`) and the snippet; an indented line under it is our refusal, if we refuse it, or a
//! field that has no effect. Words with a dollar are written out by `snippet`.

use std::path::Path;
use std::process::Command;

use super::snippet::Snippet;

struct Row {
    is_ok_for_envoy: bool,
    line: &'static str,
    kind: &'static str,
    text: &'static str,
    refusal: Option<&'static str>,
    ignored: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in include_str!("verdicts.txt").lines() {
        if let Some(path) = line.strip_prefix("    ignored ") {
            rows.last_mut().unwrap().ignored.push(path);
        } else if let Some(refusal) = line.strip_prefix("    ") {
            rows.last_mut().unwrap().refusal = Some(refusal);
        } else if !line.is_empty() && !line.starts_with('#') {
            let (verdict, rest) = line.split_once(' ').unwrap();
            let (kind, text) =
                rest.trim_start().split_once(' ').unwrap_or_else(|| (rest.trim(), ""));
            let is_ok_for_envoy = match verdict {
                "ok" => true,
                "refused" => false,
                _ => panic!("{line}"),
            };
            rows.push(Row {
                is_ok_for_envoy,
                line,
                kind,
                text,
                refusal: None,
                ignored: Vec::new(),
            });
        }
    }
    rows
}

#[test]
fn each_snippet_is_taken_or_refused_at_its_place_and_for_its_reason() {
    let rows = rows();
    let mut wrong = String::new();
    for row in &rows {
        let (refusal, mut ignored) = Snippet::new(row.kind, row.text).verdict();
        if refusal.is_some() {
            ignored.clear();
        }
        if refusal.as_deref() != row.refusal || ignored != row.ignored {
            wrong += &format!("{}\n", row.line);
            let ignored = ignored.into_iter().map(|path| format!("ignored {path}"));
            for line in refusal.into_iter().chain(ignored) {
                wrong += &format!("    {line}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "other than the table says:\n{wrong}");
    assert!(rows.len() > 100, "{}", rows.len());
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
    let folder = std::env::temp_dir().join(format!("verdicts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut wrong = String::new();
    for row in rows() {
        let (is_ok, said) = verdict(&envoy, &folder, &row);
        if is_ok != row.is_ok_for_envoy {
            wrong += &format!("{}\n        {said}\n", row.line);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
    assert!(wrong.is_empty(), "Envoy says otherwise:\n{wrong}");
}

/// Whether Envoy takes the row, and the last that it says.
fn verdict(envoy: &str, folder: &Path, row: &Row) -> (bool, String) {
    let file = folder.join("bootstrap.yaml");
    std::fs::write(&file, Snippet::new(row.kind, row.text).bootstrap()).unwrap();
    let output = Command::new(envoy).args(["--mode", "validate", "-c"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !said.contains("no such field") && !said.contains("Unable to parse"),
        "{}: {said}",
        row.line
    );
    (output.status.success(), said.lines().last().unwrap_or_default().to_owned())
}
