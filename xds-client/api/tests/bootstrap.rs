//! Whole bootstraps: read, and shown as the real Envoy shows them.
//!
//! `data/*.dump.json` is what Envoy 1.40 answered on `/config_dump` when it ran the file of that name,
//! without what it adds to the node. `sidecar.json` and `router.json` were written by Istio's agent.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is how a test fails")]

use outrigger_xds_api::envoy::config::bootstrap::v3::Bootstrap;
use outrigger_xds_api::envoy::extensions::bootstrap::internal_listener::v3::InternalListener;
use outrigger_xds_api::write::{Redact, to_json};
use outrigger_xds_api::{Document, Pool, TypedStruct, Unknown, any};
use prost::Message;
use serde_json::Value;

fn data(name: &str) -> String {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(pool: &Pool, name: &str) -> Bootstrap {
    let document = Document::parse(name, data(name)).unwrap();
    document.read(pool, Unknown::Refuse).unwrap_or_else(|error| panic!("{error}"))
}

fn shown(pool: &Pool, bootstrap: &Bootstrap, redact: Redact) -> Value {
    let type_name = "envoy.config.bootstrap.v3.Bootstrap";
    let json = to_json(pool, type_name, &bootstrap.encode_to_vec(), redact).unwrap();
    serde_json::to_value(json).unwrap()
}

#[test]
fn a_bootstrap_is_shown_as_envoy_shows_it() {
    let pool = Pool::load();
    for (file, dump) in [
        ("sidecar.json", "sidecar.dump.json"),
        ("mesh.yaml", "mesh.dump.json"),
        ("quirks.yaml", "quirks.dump.json"),
    ] {
        let expected: Value = serde_json::from_str(&data(dump)).unwrap();
        let found = shown(&pool, &read(&pool, file), Redact::Secrets);
        // The order of members says nothing.
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn what_is_shown_can_be_read_again() {
    let pool = Pool::load();
    for file in ["sidecar.json", "router.json", "mesh.yaml", "quirks.yaml"] {
        let bootstrap = read(&pool, file);
        let text = shown(&pool, &bootstrap, Redact::Nothing).to_string();
        let again = Document::parse("dump.json", text).unwrap();
        let again: Bootstrap = again.read(&pool, Unknown::Refuse).unwrap();
        assert_eq!(
            shown(&pool, &again, Redact::Nothing),
            shown(&pool, &bootstrap, Redact::Nothing),
            "{file}"
        );
    }
}

#[test]
fn the_bootstraps_of_istio_say_what_they_should() {
    let pool = Pool::load();
    for (file, id) in [
        ("sidecar.json", "sidecar~127.0.10.1~reviews-v1-0.default~default.svc.cluster.local"),
        ("router.json", "router~127.0.50.1~gw-0.default~default.svc.cluster.local"),
    ] {
        let bootstrap = read(&pool, file);
        assert_eq!(bootstrap.node.as_ref().map(|node| node.id.as_str()), Some(id), "{file}");
        let ads = bootstrap.dynamic_resources.as_ref().and_then(|it| it.ads_config.as_ref());
        assert!(ads.is_some_and(|ads| ads.set_node_on_first_message_only), "{file}");

        let extension = bootstrap.bootstrap_extensions[0].typed_config.as_ref().unwrap();
        let typed = TypedStruct::from_any(extension).unwrap().unwrap();
        let message = typed.message(&pool, Unknown::Refuse).unwrap().unwrap();
        let listener: InternalListener = any::decode(&message).unwrap();
        assert_eq!(listener.buffer_size_kb.map(|size| size.value), Some(64), "{file}");
    }
}

#[test]
fn a_second_document_is_merged_over_the_first() {
    let pool = Pool::load();
    let base = "\
node: {id: a, cluster: c, metadata: {kept: 1, replaced: {x: 1}}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}
static_resources:
  clusters:
  - {name: first, connect_timeout: 1s}
";
    let overlay = "\
node: {id: z, metadata: {replaced: {y: 2}}}
admin: {address: {socket_address: {portValue: 2}}}
staticResources:
  clusters:
  - name: second
stats_flush_interval: 7s
";
    let document = Document::parse("base.yaml", base).unwrap();
    let document = document.merged_with(Document::yaml("--config-yaml", overlay).unwrap());
    let merged: Bootstrap = document.read(&pool, Unknown::Refuse).unwrap();
    let expected = serde_json::json!({
        "node": {"id": "z", "cluster": "c", "metadata": {"kept": 1, "replaced": {"y": 2}}},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 2}}},
        "static_resources": {"clusters": [
            {"name": "first", "connect_timeout": "1s"},
            {"name": "second"},
        ]},
        "stats_flush_interval": "7s",
    });
    assert_eq!(shown(&pool, &merged, Redact::Secrets), expected);

    for (path, file, line) in [
        ("", "--config-yaml", 1),
        ("node.id", "--config-yaml", 1),
        ("node.cluster", "base.yaml", 1),
        ("node.metadata[\"replaced\"]", "--config-yaml", 1),
        ("node.metadata[\"kept\"]", "base.yaml", 1),
        ("admin.address.socket_address.port_value", "--config-yaml", 2),
        ("admin.address.socket_address.address", "base.yaml", 2),
        ("static_resources.clusters[0].connect_timeout", "base.yaml", 5),
        ("static_resources.clusters[1].name", "--config-yaml", 5),
        ("static_resources.clusters[1].connect_timeout", "--config-yaml", 5),
        ("static_resources.clusters[2]", "--config-yaml", 4),
        ("static_resources", "--config-yaml", 3),
        ("layered_runtime", "--config-yaml", 1),
    ] {
        let found = document.locate(path);
        assert_eq!((found.file, found.line), (file, line), "{path}");
    }
}

#[test]
fn lines_are_found_through_extensions_and_either_spelling() {
    let document = Document::parse("quirks.yaml", data("quirks.yaml")).unwrap();
    let text = data("quirks.yaml");
    let line_of = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let metadata = "static_resources.clusters[1].metadata.typed_filter_metadata";
    for (path, part) in [
        ("static_resources.clusters[0].circuit_breakers.thresholds[0].max_retries", "maxRetries"),
        (&*format!("{metadata}[\"certificate\"].private_key.filename"), "private_key: {filename"),
        (&*format!("{metadata}[\"any\"].value.pipe.mode"), "mode: 0777"),
        ("node_context_params[0]", "just_one"),
    ] {
        assert_eq!(document.locate(path).line as usize, line_of(part), "{path}");
    }
}

#[test]
fn unknown_fields_are_collected_when_they_are_allowed() {
    let pool = Pool::load();
    let text = "\
node: {id: a, idd: b}
static_resources:
  clusters:
  - {name: x, lb_policy: BEST, typo: [1]}
listeners: []
";
    let document = Document::parse("x.yaml", text).unwrap();
    let mut unknown = Vec::new();
    let bootstrap: Bootstrap = document.read(&pool, Unknown::Collect(&mut unknown)).unwrap();
    assert_eq!(bootstrap.static_resources.unwrap().clusters[0].name, "x");
    assert_eq!(
        unknown,
        [
            "node.idd",
            "static_resources.clusters[0].lb_policy",
            "static_resources.clusters[0].typo",
            "listeners"
        ]
    );
}
