//! A random route table: several virtual hosts, routes that overlap, every kind of action.
//!
//! It is kept as the JSON that Envoy reads, so that shrinking can take any part away and a report shows
//! what to paste into a case file. Names tell which route answered.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Map, Value, json};

use super::action::action;
use super::one_of;

#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// `VirtualHost` messages.
    pub hosts: Vec<Value>,
    /// Fields of the `HttpConnectionManager`.
    pub hcm: Value,
    /// Fields of the `RouteConfiguration` beside the hosts.
    pub config: Value,
}

/// Domains that overlap in every way that the order of matching knows.
const DOMAINS: [&str; 12] = [
    "a.test",
    "b.a.test",
    "A.B.test",
    "a.test:8080",
    "*.a.test",
    "*.b.a.test",
    "*.test",
    "*a.test",
    "a.*",
    "b.*",
    "b.a.*",
    "*",
];
pub(super) const SEGMENTS: [&str; 9] = ["a", "b", "ab", "A", "a.b", "%41", "a;b", "x-y_z~", "1"];
pub(super) const VALUES: [&str; 8] = ["one", "two", "one,two", "One", "", "5", "-7", "a b"];
pub(super) const NAMES: [&str; 3] = ["x-a", "x-b", "x-c"];
const REGEXES: [&str; 7] =
    ["/a.*", "/[ab]+/?", "/(a|b)/.*", ".*", "/a/[^/]+", "(?i)/AB.*", "/\\w+\\.b(/.*)?"];

impl Table {
    pub fn random(rng: &mut StdRng) -> Self {
        let mut domains = DOMAINS.to_vec();
        domains.shuffle(rng);
        let count = rng.random_range(2..=5);
        let hosts = (0..count).map(|at| host(rng, at, &mut domains)).collect();
        let flag = |rng: &mut StdRng, part: f64| rng.random_bool(part);
        let hcm = json!({
            "normalize_path": flag(rng, 0.5),
            "merge_slashes": flag(rng, 0.3),
            "strip_any_host_port": flag(rng, 0.2),
            "strip_trailing_host_dot": flag(rng, 0.2),
        });
        let config = json!({
            "validate_clusters": false,
            "ignore_port_in_host_matching": flag(rng, 0.3),
            "most_specific_header_mutations_wins": flag(rng, 0.3),
            "request_headers_to_add": headers(rng, "table"),
        });
        Self { hosts, hcm, config }
    }
}

fn host(rng: &mut StdRng, at: usize, domains: &mut Vec<&str>) -> Value {
    let own = domains.split_off(domains.len() - rng.random_range(1..=2.min(domains.len())));
    let routes: Vec<_> = (0..rng.random_range(1..=7))
        .map(|route| random_route(rng, &format!("h{at}r{route}")))
        .collect();
    json!({
        "name": format!("h{at}"),
        "domains": own,
        "routes": routes,
        "request_headers_to_add": headers(rng, &format!("h{at}")),
        "response_headers_to_add": headers(rng, &format!("h{at}")),
        "request_headers_to_remove": if rng.random_bool(0.2) { vec!["x-c"] } else { vec![] },
    })
}

fn random_route(rng: &mut StdRng, name: &str) -> Value {
    let mut route = json!({
        "name": name,
        "match": matcher(rng),
        "request_headers_to_add": headers(rng, name),
        "response_headers_to_add": headers(rng, name),
    });
    let (kind, action) = action(rng, name);
    if let Some(fields) = route.as_object_mut() {
        fields.insert(kind.to_owned(), action);
    }
    route
}

pub(super) fn path(rng: &mut StdRng, most: usize) -> String {
    let count = rng.random_range(1..=most);
    (0..count).map(|_| format!("/{}", one_of(rng, &SEGMENTS))).collect()
}

fn matcher(rng: &mut StdRng) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    let slash = if rng.random_bool(0.3) { "/" } else { "" };
    match rng.random_range(0..10) {
        0..4 if rng.random_bool(0.3) => set("prefix", json!("/")),
        0..4 => set("prefix", json!(path(rng, 2) + slash)),
        4..6 => set("path", json!(path(rng, 2) + slash)),
        6..8 => set("path_separated_prefix", json!(path(rng, 2))),
        _ => set("safe_regex", json!({"regex": one_of(rng, &REGEXES)})),
    };
    if rng.random_bool(0.2) {
        set("case_sensitive", json!(false));
    }
    if rng.random_bool(0.3) {
        let count = rng.random_range(1..=2);
        set("headers", (0..count).map(|_| header_matcher(rng)).collect());
    }
    if rng.random_bool(0.2) {
        let test = if rng.random_bool(0.4) {
            json!({"name": "q", "present_match": true})
        } else {
            json!({"name": "q", "string_match": string_matcher(rng)})
        };
        set("query_parameters", json!([test]));
    }
    Value::Object(fields)
}

fn string_matcher(rng: &mut StdRng) -> Value {
    let kind = one_of(rng, &["exact", "prefix", "suffix", "contains"]);
    // An empty pattern is refused for all but exact.
    let value = Some(one_of(rng, &VALUES)).filter(|value| !value.is_empty()).unwrap_or("o");
    match rng.random_range(0..6) {
        0 => {
            json!({"safe_regex": {"regex": one_of(rng, &["[a-z]+", "one|two", ".*,.*", "-?[0-9]+"])}})
        }
        1 => json!({kind: value, "ignore_case": true}),
        _ => json!({kind: value}),
    }
}

fn header_matcher(rng: &mut StdRng) -> Value {
    let name = one_of(rng, &["x-a", "x-b", "x-c", ":method", ":authority", "X-A"]);
    let mut test = match rng.random_range(0..6) {
        0 => json!({"name": name, "present_match": rng.random_bool(0.7)}),
        1 => json!({"name": name, "range_match": {"start": -10, "end": 5}}),
        _ => json!({"name": name, "string_match": string_matcher(rng)}),
    };
    if let Some(fields) = test.as_object_mut() {
        if rng.random_bool(0.3) {
            fields.insert("invert_match".into(), json!(true));
        }
        if rng.random_bool(0.2) {
            fields.insert("treat_missing_header_as_empty".into(), json!(true));
        }
    }
    test
}

pub(super) fn headers(rng: &mut StdRng, origin: &str) -> Vec<Value> {
    const ACTIONS: [&str; 4] = [
        "APPEND_IF_EXISTS_OR_ADD",
        "ADD_IF_ABSENT",
        "OVERWRITE_IF_EXISTS_OR_ADD",
        "OVERWRITE_IF_EXISTS",
    ];
    let count = if rng.random_bool(0.3) { rng.random_range(1..=2) } else { 0 };
    let mut one = || {
        let value = match rng.random_range(0..4) {
            0 => "%REQ(X-A)%".to_owned(),
            1 => "%REQ(X-NONE?:PATH):4%!".to_owned(),
            2 => "%PROTOCOL% 100%%".to_owned(),
            _ => origin.to_owned(),
        };
        let key = one_of(rng, &["x-c", "x-added", "x-b"]);
        json!({"header": {"key": key, "value": value}, "append_action": one_of(rng, &ACTIONS)})
    };
    (0..count).map(|_| one()).collect()
}
