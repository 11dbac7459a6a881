//! What a random route does: answers itself, redirects, or forwards with rewrites.

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

use super::one_of;
use super::table::{headers, path};

/// The name of the field of a `Route` and its value.
pub(super) fn action(rng: &mut StdRng, name: &str) -> (&'static str, Value) {
    match rng.random_range(0..10) {
        0..4 => {
            let status = one_of(rng, &[200, 201, 301, 403, 404, 500, 503]);
            ("direct_response", json!({"status": status, "body": {"inline_string": name}}))
        }
        4..6 => ("redirect", redirect(rng)),
        _ => ("route", forward(rng)),
    }
}

fn redirect(rng: &mut StdRng) -> Value {
    let mut redirect = Map::new();
    let mut set = |key: &str, value: Value| redirect.insert(key.to_owned(), value);
    match rng.random_range(0..4) {
        0 => set("path_redirect", json!(path(rng, 2))),
        1 => set("path_redirect", json!(path(rng, 1) + "?p=1")),
        2 => set("prefix_rewrite", json!(path(rng, 1))),
        _ => set("host_redirect", json!("new.test")),
    };
    match rng.random_range(0..6) {
        0 => set("https_redirect", json!(true)),
        1 => set("scheme_redirect", json!("https")),
        2 => set("port_redirect", json!(8443)),
        3 => set("strip_query", json!(true)),
        _ => None,
    };
    if rng.random_bool(0.5) {
        set(
            "response_code",
            json!(one_of(rng, &["FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"])),
        );
    }
    Value::Object(redirect)
}

fn forward(rng: &mut StdRng) -> Value {
    let mut route = Map::new();
    let mut set = |key: &str, value: Value| route.insert(key.to_owned(), value);
    match rng.random_range(0..10) {
        0..6 => set("cluster", json!(one_of(rng, &["one", "two"]))),
        6 => set("cluster", json!("nowhere")),
        7 => set("cluster_header", json!("x-cluster")),
        _ => {
            let clusters = json!([
                {"name": "one", "weight": 30, "request_headers_to_add": headers(rng, "first")},
                {"name": "two", "weight": 70, "response_headers_to_add": headers(rng, "second")},
            ]);
            set("weighted_clusters", json!({"clusters": clusters, "header_name": "x-random"}))
        }
    };
    match rng.random_range(0..8) {
        0 | 1 => set("prefix_rewrite", json!(one_of(rng, &["/", "/new", "/new/"]))),
        2 => set(
            "regex_rewrite",
            json!({"pattern": {"regex": "^/([^/?]+)(.*)$"}, "substitution": "/re\\2/\\1"}),
        ),
        3 => set("host_rewrite_literal", json!("new.test")),
        4 => set("host_rewrite_header", json!("x-a")),
        _ => None,
    };
    Value::Object(route)
}
