use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::tree;
use crate::write::{Redact, to_json};

/// What `text` says as a message `type_name`, as JSON.
fn read_as(pool: &Pool, type_name: &str, text: &str) -> Value {
    let root = tree::parse(text.as_bytes()).unwrap();
    let source = Source { pool, file: "test", syntax: Syntax::Yaml };
    let mut bytes = Vec::new();
    read(source, &root, type_name, Unknown::Refuse, &mut bytes).unwrap();
    let json = to_json(pool, type_name, &bytes, Redact::Nothing).unwrap();
    serde_json::to_value(json).unwrap()
}

#[test]
fn every_kind_of_field_is_read() {
    let pool = Pool::load();
    for (type_name, text, expected) in [
        (
            "envoy.config.core.v3.Node",
            "{id: 0777, cluster: yes, locality: {zone: null}, listening_addresses: [], extensions: ~}",
            json!({"id": "0777", "cluster": "yes", "locality": {}}),
        ),
        (
            "envoy.config.core.v3.SocketOption",
            "{level: -1, name: 0x10, int_value: 0, state: state_listening}",
            json!({"level": "-1", "name": "16", "int_value": "0", "state": "STATE_LISTENING"}),
        ),
        (
            "envoy.config.core.v3.SocketOption",
            "{buf_value: _-8, state: 2, description: \"\"}",
            json!({"buf_value": "/+8=", "state": "STATE_LISTENING"}),
        ),
        (
            "envoy.config.route.v3.RetryPolicy",
            "{retriable_status_codes: [503, 0x10, \"7\"], per_try_timeout: 0.25s}",
            json!({"retriable_status_codes": [503, 16, 7], "per_try_timeout": "0.250s"}),
        ),
        (
            "envoy.config.metrics.v3.HistogramBucketSettings",
            "{buckets: [0.5, 1, 1e3, \"NaN\", Infinity]}",
            json!({"buckets": [0.5, 1, 1000, "NaN", "Infinity"]}),
        ),
        ("envoy.type.v3.Percent", "value: 33.3", json!({"value": 33.3})),
        (
            "google.api.expr.v1alpha1.SourceInfo",
            "{positions: {3: 4, \"-1\": 0}, macro_calls: {7: {}}, line_offsets: [1, -2]}",
            json!({"positions": {"3": 4, "-1": 0}, "macro_calls": {"7": {}}, "line_offsets": [1, -2]}),
        ),
        (
            "envoy.config.core.v3.Metadata",
            "{filter_metadata: {a: {n: null, l: [1, [x]], m: {}}, b: ~}}",
            json!({"filter_metadata": {"a": {"n": null, "l": [1, ["x"]], "m": {}}, "b": {}}}),
        ),
        ("google.protobuf.UInt32Value", "5", json!(5)),
        ("google.protobuf.Value", "~", json!(null)),
        ("google.protobuf.ListValue", "[1, [a, no]]", json!([1, ["a", false]])),
    ] {
        assert_eq!(read_as(&pool, type_name, text), expected, "{text}");
    }
}

#[test]
fn keys_of_a_map_have_a_type_too() {
    let pool = Pool::load();
    let root = tree::parse(b"{positions: {x: 4}}").unwrap();
    let source = Source { pool: &pool, file: "test", syntax: Syntax::Yaml };
    let type_name = "google.api.expr.v1alpha1.SourceInfo";
    let error = read(source, &root, type_name, Unknown::Refuse, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "test:1: positions[\"x\"]: expected a whole number of 64 bits, found \"x\""
    );
}

#[test]
fn the_same_text_gives_the_same_bytes() {
    let pool = Pool::load();
    let fields: Vec<String> = (0..50).map(|index| format!("k{index}: {index}")).collect();
    let text = format!(
        "{{\"@type\": x/envoy.config.core.v3.Metadata, filter_metadata: {{a: {{{}}}}}}}",
        fields.join(", ")
    );
    let bytes = || {
        let root = tree::parse(text.as_bytes()).unwrap();
        let source = Source { pool: &pool, file: "test", syntax: Syntax::Yaml };
        let mut bytes = Vec::new();
        read(source, &root, "google.protobuf.Any", Unknown::Refuse, &mut bytes).unwrap();
        bytes
    };
    let first = bytes();
    assert_eq!(first, bytes());
    let any = envoy_types::pb::google::protobuf::Any::decode(first.as_slice()).unwrap();
    assert_eq!(any.type_url, "x/envoy.config.core.v3.Metadata");
}

#[test]
fn a_type_without_a_descriptor_is_an_error() {
    let pool = Pool::load();
    let root = tree::parse(b"{}").unwrap();
    let source = Source { pool: &pool, file: "test", syntax: Syntax::Yaml };
    let error = read(source, &root, "envoy.Nope", Unknown::Refuse, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "test:1: no descriptor of the type envoy.Nope");
}
