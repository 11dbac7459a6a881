//! The case files: groups of cases that share a bootstrap, with short forms for what is common.
//!
//! A file holds YAML documents, one group each. Unknown fields are errors everywhere, because a
//! misspelt field would make a case that tests nothing. The format is described in `tests/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::Client;

/// One bootstrap and the cases that run on it, in order, on one process per side.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub group: String,
    #[serde(default)]
    pub listeners: BTreeMap<String, Value>,
    #[serde(default)]
    pub clusters: BTreeMap<String, Value>,
    /// Merged over the bootstrap that the short forms make.
    #[serde(default)]
    pub bootstrap: Value,
    /// Counters that every case compares.
    #[serde(default)]
    pub counters: Vec<String>,
    /// Both sides must refuse the bootstrap; there are no other cases then.
    #[serde(default)]
    pub refused: bool,
    /// All of it is refused by Outrigger today, with this text. See `later`.
    #[serde(default)]
    pub later: Option<String>,
    /// A difference of a `refused` group that is wanted, and why.
    #[serde(default)]
    pub listed: Option<String>,
    #[serde(default)]
    cases: Vec<Value>,
    #[serde(skip)]
    pub file: String,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub options: Options,
    pub clients: Vec<Client>,
}

/// All of a case but its clients.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub name: String,
    /// The status of Envoy's final responses: shows that the case tests what its name says.
    pub status: Option<Vec<u16>>,
    /// Why our proxy differs on purpose; `ours` is then what it must do.
    pub listed: Option<String>,
    pub ours: Ours,
    pub clients: Vec<Client>,
    /// Needs a part of the group that Outrigger refuses today.
    pub later: bool,
    /// Starts all clients at once instead of one after the other.
    pub concurrent: bool,
    pub upstream: Value,
    pub counters: Vec<String>,
    /// How many access-log lines to wait for, when it is not one per final response.
    pub logs: Option<usize>,
    pub compare: Compare,
}

/// What our proxy must do where it differs from Envoy on purpose. Absent fields are not checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ours {
    pub status: Option<Vec<u16>>,
    /// `kept`, `closed`, `reset`.
    pub fate: Option<String>,
    /// How many requests may reach the upstreams.
    pub upstream: Option<usize>,
    /// The names of the trailers that an upstream gets.
    pub trailers: Option<Vec<String>>,
}

impl Ours {
    pub fn is_empty(&self) -> bool {
        self.status.is_none()
            && self.fate.is_none()
            && self.upstream.is_none()
            && self.trailers.is_none()
    }
}

/// How a case is compared, where it is not as usual.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compare {
    /// Parts that are not compared: `body`, `fate`, `upstream`, `log`, or a header's name.
    pub skip: Vec<String>,
    /// Only lines of the body that match.
    pub lines: Option<String>,
    /// Replaces what matches in bodies, headers and logs by `…`.
    pub mask: Option<String>,
    /// A JSON body is compared by the paths of its members, below these if any are given.
    pub shape: Option<Vec<String>>,
    /// Tells an orderly close and a reset apart.
    pub reset: bool,
    /// Shows on which upstream connection each request came.
    pub connections: bool,
    /// The part of the total by which counts of `repeat` may differ.
    pub within: f64,
}

impl Case {
    pub fn title(&self, group: &Group) -> String {
        format!("{} / {}", group.title(), self.options.name)
    }
}

impl Group {
    /// The cases, with the fields of a lone client taken apart from those of the case.
    ///
    /// # Errors
    /// When a case does not have the form.
    pub fn cases(&self) -> Result<Vec<Case>> {
        self.cases
            .iter()
            .map(|value| case(value).with_context(|| format!("{}: {value}", self.title())))
            .collect()
    }

    pub fn title(&self) -> String {
        format!("{} / {}", self.file, self.group)
    }

    /// The counters that a case compares.
    pub fn counters_of(&self, case: &Case) -> Vec<String> {
        self.counters.iter().chain(&case.options.counters).cloned().collect()
    }
}

fn case(value: &Value) -> Result<Case> {
    const OF_CASE: [&str; 11] = [
        "later",
        "name",
        "status",
        "listed",
        "ours",
        "clients",
        "concurrent",
        "upstream",
        "counters",
        "logs",
        "compare",
    ];
    let fields = value.as_object().context("a case is a map")?.clone();
    let (own, lone): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(key, _)| OF_CASE.contains(&key.as_str()));
    let mut options: Options = serde_json::from_value(Value::Object(own))?;
    let mut clients = std::mem::take(&mut options.clients);
    if clients.is_empty() || !lone.is_empty() {
        if !clients.is_empty() {
            bail!("either clients or the fields of one client");
        }
        clients = vec![serde_json::from_value(Value::Object(lone))?];
    }
    if options.listed.is_some() == options.ours.is_empty() {
        bail!("listed and ours come together");
    }
    for pattern in [&options.compare.lines, &options.compare.mask].into_iter().flatten() {
        Regex::new(pattern)?;
    }
    Ok(Case { options, clients })
}

/// Every group of the `*.yaml` files in `dir`, in the order of their names.
///
/// # Errors
/// When a file is unreadable or a document does not have the form.
pub fn load(dir: &Path) -> Result<Vec<Group>> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let mut groups = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut found: Vec<Group> =
            serde_saphyr::from_multiple(&text).with_context(|| name.clone())?;
        found.iter_mut().for_each(|group| group.file.clone_from(&name));
        groups.append(&mut found);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_a_lone_client_stand_in_the_case() {
        let case = case(&json!({"name": "n", "get": "/x", "status": [200]})).unwrap();
        assert_eq!(case.clients.len(), 1);
        assert_eq!(case.clients.first().and_then(|c| c.get.as_deref()), Some("/x"));
    }

    #[test]
    fn misspelt_and_contradicting_fields_are_refused() {
        for wrong in [
            json!({"name": "n", "gte": "/x"}),
            json!({"name": "n", "get": "/x", "clients": [{"get": "/"}]}),
            json!({"name": "n", "get": "/x", "listed": "no reason without an expectation"}),
            json!({"name": "n", "get": "/x", "ours": {"status": [400]}}),
            json!({"name": "n", "get": "/x", "compare": {"mask": "("}}),
        ] {
            assert!(case(&wrong).is_err(), "{wrong}");
        }
    }
}
