//! Every kind of mistake in a file is told with its line, its field and a reason.

use outrigger_xds_api::envoy::config::bootstrap::v3::Bootstrap;
use outrigger_xds_api::{Document, Pool, Unknown};

fn mistake(pool: &Pool, text: &str) -> String {
    let read = |document: Document| document.read::<Bootstrap>(pool, Unknown::Refuse);
    match Document::parse("b.yaml", text).and_then(read) {
        Ok(_) => "none".into(),
        Err(error) => error.to_string(),
    }
}

/// A file with one cluster, whose first field is on line 4.
fn cluster(fields: &str) -> String {
    format!("static_resources:\n  clusters:\n  - name: x\n    {}\n", fields.replace('\n', "\n    "))
}

#[test]
fn mistakes_in_the_text() {
    let pool = Pool::load();
    for (text, expected) in [
        ("", "b.yaml:1: empty: expected a map"),
        ("[1]", "b.yaml:1: expected a map, found a list"),
        ("node: {id: a}\nnode: {id: b}\n", "b.yaml:2: the key \"node\" is already on line 1"),
        (
            "node:\n  metadata: {a: [{b: 1,\n    b: 2}]}\n",
            "b.yaml:3: node.metadata.a[0]: the key \"b\" is already on line 2",
        ),
        ("node: {id: a}\n---\nadmin: {}\n", "b.yaml:2: a second document: expected one"),
        ("node: {id: !env ID}\n", "b.yaml:1: node.id: the tag !env: tags are not supported"),
        (
            "node: &n {id: a}\nadmin:\n  <<: *n\n",
            "b.yaml:3: admin.<<: no such field in envoy.config.bootstrap.v3.Admin",
        ),
    ] {
        assert_eq!(mistake(&pool, text), expected, "{text}");
    }
}

#[test]
fn mistakes_in_fields() {
    let pool = Pool::load();
    for (fields, expected) in [
        ("foo_bar: 1", "4: X.foo_bar: no such field in envoy.config.cluster.v3.Cluster"),
        ("\nconnect_timeout: 1", "5: X.connect_timeout: expected a duration as 1.5s, found \"1\""),
        (
            "connect_timeout: [1s]",
            "4: X.connect_timeout: expected a duration as 1.5s, found a list",
        ),
        ("altStatName: {}", "4: X.alt_stat_name: expected text, found a map"),
        ("circuit_breakers: no", "4: X.circuit_breakers: expected a map, found a scalar"),
        (
            "connect_timeout: 1s\nconnectTimeout: 2s",
            "5: X.connect_timeout: connect_timeout is already set on line 4",
        ),
        ("type: EDS\ncluster_type: {name: a}", "5: X.cluster_type: type is already set on line 4"),
        (
            "dns_lookup_family: v4",
            "4: X.dns_lookup_family: expected one of AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED, ALL, \
             found \"v4\"",
        ),
        (
            "circuit_breakers:\n  thresholds:\n  - {max_retries: -1}",
            "6: X.circuit_breakers.thresholds[0].max_retries: expected a whole number from 0 to \
             4294967295, found \"-1\"",
        ),
        (
            "circuit_breakers: {thresholds: [{track_remaining: 1}]}",
            "4: X.circuit_breakers.thresholds[0].track_remaining: expected true or false, found \
             \"1\"",
        ),
        (
            "common_lb_config: {healthy_panic_threshold: {value: half}}",
            "4: X.common_lb_config.healthy_panic_threshold.value: expected a number, found \"half\"",
        ),
        ("filters: [null]", "4: X.filters[0]: expected a value, found null"),
        (
            "metadata: {filter_metadata: [a]}",
            "4: X.metadata.filter_metadata: expected a map, found a list",
        ),
    ] {
        let expected = expected.replacen("X.", "static_resources.clusters[0].", 1);
        assert_eq!(mistake(&pool, &cluster(fields)), format!("b.yaml:{expected}"), "{fields}");
    }
}

#[test]
fn mistakes_in_extensions() {
    let pool = Pool::load();
    let at = "static_resources.clusters[0].transport_socket.typed_config";
    for (config, expected) in [
        ("{name: x}", "no @type"),
        ("raw_buffer", "expected a map, found a scalar"),
        ("{\"@type\": [x]}", "expected a type URL as @type"),
        (
            "{\"@type\": envoy.config.core.v3.Node}",
            "expected a type URL with a / as @type, found \"envoy.config.core.v3.Node\"",
        ),
        ("{\"@type\": x/envoy.Nope}", "the type envoy.Nope is not known"),
    ] {
        let text = cluster(&format!("transport_socket:\n  typed_config: {config}"));
        assert_eq!(mistake(&pool, &text), format!("b.yaml:5: {at}: {expected}"), "{config}");
    }
    for (config, expected) in [
        (
            "envoy.config.core.v3.Node\n    idd: 1",
            "7: X.idd: no such field in envoy.config.core.v3.Node",
        ),
        (
            "google.protobuf.Duration\n    value: 1",
            "7: X.value: expected a duration as 1.5s, found \"1\"",
        ),
        (
            "google.protobuf.Duration\n    seconds: 1",
            "7: X.seconds: google.protobuf.Duration has only a value",
        ),
        (
            "google.protobuf.BytesValue\n    value: a b",
            "7: X.value: expected bytes in base64, found \"a b\"",
        ),
        (
            "google.protobuf.Timestamp\n    value: noon",
            "7: X.value: expected a time as 2026-01-02T03:04:05Z, found \"noon\"",
        ),
        (
            "google.protobuf.FloatValue\n    value: 1e39",
            "7: X.value: expected a number, found \"1e39\"",
        ),
        (
            "google.protobuf.Int64Value\n    value: 9223372036854775808",
            "7: X.value: expected a whole number of 64 bits, found \"9223372036854775808\"",
        ),
        ("google.protobuf.ListValue\n    value: 1", "7: X.value: expected a list, found a scalar"),
    ] {
        let fields = format!("transport_socket:\n  typed_config:\n    \"@type\": x/{config}");
        let expected = expected.replacen('X', at, 1);
        assert_eq!(mistake(&pool, &cluster(&fields)), format!("b.yaml:{expected}"), "{config}");
    }
}

#[test]
fn a_long_scalar_is_not_repeated_whole() {
    let pool = Pool::load();
    let error = mistake(&pool, &cluster(&format!("connect_timeout: {}", "é".repeat(5000))));
    assert!(error.ends_with("é\"…") && error.len() < 400, "{error}");
}

#[test]
fn a_struct_is_as_deep_as_decoders_can_follow() {
    let pool = Pool::load();
    let mut deepest = 0;
    for depth in 1..90 {
        let text = format!("node: {{metadata: {}{}}}", "{a: ".repeat(depth), "}".repeat(depth));
        let document = Document::parse("b.yaml", text).unwrap();
        // Reading decodes the bytes: a limit beyond the decoder's would be its error here.
        match document.read::<Bootstrap>(&pool, Unknown::Refuse) {
            Ok(_) => deepest = depth,
            Err(error) => {
                assert_eq!(error.reason, "more than 100 messages inside each other");
                assert!(error.path.starts_with("node.metadata[\"a\"][\"a\"]"), "{}", error.path);
            }
        }
    }
    assert_eq!(deepest, 33);
    // A value in the innermost takes two more, which makes a hundred; a third is too many.
    let nested = |inner: &str| {
        let text = format!("node: {{metadata: {}{inner}{}}}", "{a: ".repeat(32), "}".repeat(32));
        let document = Document::parse("b.yaml", text).unwrap();
        document.read::<Bootstrap>(&pool, Unknown::Refuse)
    };
    assert!(nested("{a: 1}").is_ok());
    assert!(nested("{a: []}").is_err());
}
