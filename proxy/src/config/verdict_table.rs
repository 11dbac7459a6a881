//! Tables of snippets of configuration: what is refused, where, and why; what is ignored; and that Envoy refuses what it should.
//!
//! ```text
//! refused match path_separated_prefix: /a/
//!     path_separated_prefix: must match ^[^?#]+[^?#/]$
//! ok      client.more allow_renegotiation: true
//!     ignored allow_renegotiation
//! ```
//!
//! A line is Envoy's verdict, the place of the snippet and the snippet; an indented line under it is our refusal, if we refuse it, or
//! a field that has no effect. The translators' tests bring the tables and say what a place means.

use std::path::Path;
use std::process::Command;

pub(super) struct VerdictTable {
    pub(super) text: &'static str,
    /// Fewer rows are a mistake.
    pub(super) least: usize,
    /// Our refusal of the snippet of a kind, and the fields of it that are ignored.
    pub(super) verdict: fn(&str, &str) -> (Option<String>, Vec<String>),
    /// A bootstrap with that snippet, for Envoy.
    pub(super) bootstrap: fn(&str, &str) -> String,
    /// Ends of lines that are taken although Envoy refuses them.
    pub(super) taken: &'static [&'static str],
}

struct Row {
    is_ok_for_envoy: bool,
    line: &'static str,
    kind: &'static str,
    text: &'static str,
    refusal: Option<&'static str>,
    ignored: Vec<&'static str>,
}

impl VerdictTable {
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for line in self.text.lines() {
            if let Some(path) = line.strip_prefix("    ignored ") {
                rows.last_mut().unwrap().ignored.push(path);
            } else if let Some(refusal) = line.strip_prefix("    ") {
                rows.last_mut().unwrap().refusal = Some(refusal.trim());
            } else if !line.is_empty() && !line.starts_with('#') {
                rows.push(Row::of(line));
            }
        }
        assert!(rows.len() > self.least, "{}", rows.len());
        rows
    }

    /// Each snippet is taken or refused at its place and for its reason.
    pub(super) fn holds(&self) {
        let mut wrong = String::new();
        for row in self.rows() {
            let (refusal, mut ignored) = (self.verdict)(row.kind, row.text);
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
    }

    /// Nothing is taken that Envoy refuses.
    pub(super) fn is_as_strict_as_envoy(&self) {
        for row in self.rows() {
            let is_known = self.taken.iter().any(|end| row.line.ends_with(end));
            assert!(row.is_ok_for_envoy || row.refusal.is_some() || is_known, "{}", row.line);
        }
    }

    /// The Envoy of the variable `ENVOY` says what the table says.
    pub(super) fn is_what_envoy_says(&self) {
        let envoy = std::env::var("ENVOY").unwrap();
        let address = std::ptr::from_ref(self).addr();
        let name = format!("verdicts-{}-{address}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut wrong = String::new();
        for row in self.rows() {
            let (is_ok, said) = self.ask(&envoy, &folder, &row);
            if is_ok != row.is_ok_for_envoy {
                wrong += &format!("{}\n        {said}\n", row.line);
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
        assert!(wrong.is_empty(), "Envoy says otherwise:\n{wrong}");
    }

    /// Whether Envoy takes the row, and the last that it says.
    fn ask(&self, envoy: &str, folder: &Path, row: &Row) -> (bool, String) {
        let file = folder.join("bootstrap.yaml");
        std::fs::write(&file, (self.bootstrap)(row.kind, row.text)).unwrap();
        let mut command = Command::new(envoy);
        let output = command.args(["--mode", "validate", "-c"]).arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let is_read = !said.contains("no such field") && !said.contains("Unable to parse");
        assert!(is_read, "{}: {said}", row.line);
        (output.status.success(), said.lines().last().unwrap_or_default().to_owned())
    }
}

impl Row {
    fn of(line: &'static str) -> Self {
        let (verdict, rest) = line.split_once(' ').unwrap();
        let (kind, text) = rest.trim_start().split_once(' ').unwrap_or_else(|| (rest.trim(), ""));
        let is_ok_for_envoy = match verdict {
            "ok" => true,
            "refused" => false,
            _ => panic!("{line}"),
        };
        Self { is_ok_for_envoy, line, kind, text, refusal: None, ignored: Vec::new() }
    }
}
