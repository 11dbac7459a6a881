//! Makes a pair on which the sides differ as small as it gets: takes one part away at a time and keeps
//! what still differs. The candidates of a round run at once, each as a listener of its own.

use anyhow::Result;
use serde_json::Value;

use super::pairs::{Difference, compare};
use super::{Request, Table};
use crate::parity::run::Run;

/// Rounds start two processes each; a table has some dozens of parts.
const ROUNDS: usize = 60;
/// Listeners of one round.
const CANDIDATES: usize = 40;

/// The account of a difference: the smallest pair found and what both sides did with it.
///
/// # Errors
/// When a side does not start.
pub(super) async fn smallest(
    run: &Run,
    tables: &[(Table, Vec<Request>)],
    difference: &Difference,
) -> Result<String> {
    let found = tables.get(difference.table);
    let Some((table, request)) =
        found.and_then(|(table, requests)| Some((table, requests.get(difference.request)?)))
    else {
        return Ok(difference.text.clone());
    };
    let (mut table, mut request, mut text) =
        (table.clone(), request.clone(), difference.text.clone());
    for _ in 0..ROUNDS {
        let mut candidates: Vec<_> =
            smaller_tables(&table).into_iter().map(|t| (t, request.clone())).collect();
        candidates.extend(smaller_requests(&request).into_iter().map(|r| (table.clone(), r)));
        let mut better = None;
        for chunk in candidates.chunks(CANDIDATES) {
            let tables: Vec<_> = chunk.iter().map(|(t, r)| (t.clone(), vec![r.clone()])).collect();
            // A table that one side refuses is no smaller form of this difference.
            let Ok(differences) = compare(run, &tables).await else { continue };
            if let Some(first) = differences.into_iter().next() {
                better = chunk.get(first.table).map(|(t, r)| (t.clone(), r.clone(), first.text));
                break;
            }
        }
        match better {
            Some(found) => (table, request, text) = found,
            None => break,
        }
    }
    let hosts = serde_json::to_string_pretty(&table.hosts)?;
    let bytes = request.bytes("pair");
    Ok(format!(
        "hcm: {}\nroute_config: {}\nvirtual_hosts: {hosts}\nrequest: {}\n{text}",
        table.hcm,
        table.config,
        bytes.escape_ascii()
    ))
}

/// The table without one of its parts.
fn smaller_tables(table: &Table) -> Vec<Table> {
    let mut all = Vec::new();
    let hosts = Value::Array(table.hosts.clone());
    for smaller in without_one(&hosts) {
        if let Value::Array(hosts) = smaller {
            all.push(Table { hosts, ..table.clone() });
        }
    }
    all.extend(without_one(&table.hcm).into_iter().map(|hcm| Table { hcm, ..table.clone() }));
    all.extend(
        without_one(&table.config).into_iter().map(|config| Table { config, ..table.clone() }),
    );
    all
}

fn smaller_requests(request: &Request) -> Vec<Request> {
    let mut all = Vec::new();
    for at in 0..request.headers.len() {
        let mut smaller = request.clone();
        smaller.headers.remove(at);
        all.push(smaller);
    }
    if let Some((path, query)) = request.target.split_once('?') {
        all.push(Request { target: path.to_owned(), ..request.clone() });
        if !query.is_empty() {
            all.push(Request { target: format!("{path}?"), ..request.clone() });
        }
    }
    if let Some((parent, _)) =
        request.target.rsplit_once('/').filter(|(parent, _)| !parent.is_empty())
    {
        all.push(Request { target: parent.to_owned(), ..request.clone() });
    }
    if request.method != "GET" {
        all.push(Request { method: "GET", ..request.clone() });
    }
    all
}

/// What a table is valid without.
const OPTIONAL: [&str; 24] = [
    "append_action",
    "body",
    "case_sensitive",
    "headers",
    "host_rewrite_header",
    "host_rewrite_literal",
    "https_redirect",
    "ignore_case",
    "ignore_port_in_host_matching",
    "invert_match",
    "merge_slashes",
    "most_specific_header_mutations_wins",
    "normalize_path",
    "port_redirect",
    "prefix_rewrite",
    "query_parameters",
    "regex_rewrite",
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_code",
    "response_headers_to_add",
    "strip_any_host_port",
    "strip_query",
    "treat_missing_header_as_empty",
];

/// Every form of a document with one element or optional member taken away, outer ones first. The last
/// element of a list stays where a list must not be empty.
fn without_one(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Array(list) => {
            let spare =
                list.len() > 1 || list.iter().all(|element| element.get("header").is_some());
            for at in 0..if spare { list.len() } else { 0 } {
                let mut smaller = list.clone();
                smaller.remove(at);
                all.push(Value::Array(smaller));
            }
            for (at, element) in list.iter().enumerate() {
                for inner in without_one(element) {
                    let mut smaller = list.clone();
                    if let Some(place) = smaller.get_mut(at) {
                        *place = inner;
                    }
                    all.push(Value::Array(smaller));
                }
            }
        }
        Value::Object(map) => {
            for (key, element) in map {
                if OPTIONAL.contains(&key.as_str()) {
                    let mut smaller = map.clone();
                    smaller.remove(key);
                    all.push(Value::Object(smaller));
                }
                for inner in without_one(element) {
                    let mut smaller = map.clone();
                    smaller.insert(key.clone(), inner);
                    all.push(Value::Object(smaller));
                }
            }
        }
        _ => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_part_is_taken_away_at_a_time() {
        let value = json!([{"name": "h", "domains": ["a", "b"], "case_sensitive": true}]);
        let expected = [
            json!([{"name": "h", "domains": ["a", "b"]}]),
            json!([{"name": "h", "domains": ["b"], "case_sensitive": true}]),
            json!([{"name": "h", "domains": ["a"], "case_sensitive": true}]),
        ];
        let found = without_one(&value);
        assert_eq!(found.len(), expected.len());
        assert!(expected.iter().all(|part| found.contains(part)), "{found:?}");
    }
}
