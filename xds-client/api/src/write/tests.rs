use envoy_types::pb::google::protobuf::{Any, Duration, Timestamp};
use prost::{Message, Name};
use serde_json::{Value, json};

use super::*;
use crate::any;
use crate::envoy::config::core::v3::{DataSource, TypedExtensionConfig};
use crate::envoy::config::core::v3::{Node, SocketOption, data_source};
use crate::envoy::extensions::transport_sockets::tls::v3::private_key_provider;
use crate::envoy::extensions::transport_sockets::tls::v3::{PrivateKeyProvider, TlsCertificate};

fn shown<M: Message + Name>(pool: &Pool, message: &M, redact: Redact) -> Value {
    let bytes = message.encode_to_vec();
    serde_json::to_value(to_json(pool, &M::full_name(), &bytes, redact).unwrap()).unwrap()
}

/// `any` as the configuration of an extension.
fn extension(any: Any) -> TypedExtensionConfig {
    TypedExtensionConfig { name: "n".into(), typed_config: Some(any) }
}

#[test]
fn only_what_is_set_is_shown() {
    let pool = Pool::load();
    // Field 1, `id`, is there and empty; 9999 is unknown.
    let bytes = [0x0a, 0, 0xfa, 0xf0, 0x04, 1, 0];
    let json = to_json(&pool, "envoy.config.core.v3.Node", &bytes, Redact::Secrets).unwrap();
    assert_eq!(serde_json::to_value(json).unwrap(), json!({}));
    let option = SocketOption { state: 99, ..SocketOption::default() };
    assert_eq!(shown(&pool, &option, Redact::Nothing), json!({"state": 99}));
}

#[test]
fn an_extension_that_cannot_be_opened_is_shown_in_base64() {
    let pool = Pool::load();
    let unknown = Any { type_url: "x/a.B".into(), value: b"\xff\xef".to_vec() };
    let broken = Any { type_url: any::type_url::<Node>(), value: b"\xff\xef".to_vec() };
    let hidden = json!("W3JlZGFjdGVkXQ==");
    for (any, redact, value) in [
        (&unknown, Redact::Nothing, json!("/+8=")),
        (&unknown, Redact::Secrets, json!("/+8=")),
        (&broken, Redact::Nothing, json!("/+8=")),
        // Its type may have secrets, and where they are in it nobody knows.
        (&broken, Redact::Secrets, hidden.clone()),
    ] {
        let expected =
            json!({"name": "n", "typed_config": {"@type": any.type_url, "value": value}});
        assert_eq!(shown(&pool, &extension(any.clone()), redact), expected);
    }
    let provider = PrivateKeyProvider {
        provider_name: "p".into(),
        fallback: true,
        config_type: Some(private_key_provider::ConfigType::TypedConfig(unknown)),
    };
    assert_eq!(
        shown(&pool, &provider, Redact::Secrets)["typed_config"],
        json!({"@type": "x/a.B", "value": hidden})
    );
}

#[test]
fn secrets_are_shown_only_on_request() {
    let pool = Pool::load();
    let source =
        |specifier| Some(DataSource { specifier: Some(specifier), watched_directory: None });
    let certificate = TlsCertificate {
        certificate_chain: source(data_source::Specifier::Filename("chain".into())),
        private_key: source(data_source::Specifier::InlineString("secret".into())),
        password: source(data_source::Specifier::InlineBytes(b"secret".to_vec())),
        ..TlsCertificate::default()
    };
    let config = extension(any::encode(&certificate));
    let open = shown(&pool, &config, Redact::Nothing);
    assert_eq!(open["typed_config"]["private_key"], json!({"inline_string": "secret"}));
    assert_eq!(open["typed_config"]["password"], json!({"inline_bytes": "c2VjcmV0"}));
    let closed = shown(&pool, &config, Redact::Secrets);
    assert_eq!(closed["typed_config"]["certificate_chain"], json!({"filename": "chain"}));
    assert_eq!(closed["typed_config"]["private_key"], json!({"inline_string": "[redacted]"}));
    assert_eq!(closed["typed_config"]["password"], json!({"inline_bytes": "W3JlZGFjdGVkXQ=="}));
}

#[test]
fn a_struct_that_does_not_fit_its_type_shows_no_text() {
    let pool = Pool::load();
    let text = "
type_url: x/envoy.extensions.transport_sockets.tls.v3.TlsCertificate
value: {private_key: {inline_string: secret, filename: secret}, other: [1, secret], x: {y: 2}}
";
    let typed: crate::TypedStruct = crate::Document::yaml("test", text)
        .and_then(|document| document.read(&pool, crate::Unknown::Refuse))
        .unwrap();
    let url = "x/envoy.extensions.transport_sockets.tls.v3.TlsCertificate";
    let hidden = json!({"inline_string": "[redacted]", "filename": "[redacted]"});
    assert_eq!(
        shown(&pool, &typed, Redact::Secrets),
        json!({"type_url": url, "value": {"private_key": hidden, "other": ["[redacted]"], "x": {}}})
    );
    assert!(shown(&pool, &typed, Redact::Nothing).to_string().contains("secret"));
}

#[test]
fn times_that_are_none_are_shown_as_they_are() {
    let pool = Pool::load();
    for (seconds, nanos, duration, timestamp) in [
        (1, 500_000_000, "1.500s", "1970-01-01T00:00:01.500Z"),
        (0, 0, "0s", "1970-01-01T00:00:00Z"),
        (i64::MIN, i32::MIN, "-9223372036854775808s -2147483648ns", ""),
        (i64::MAX, 1, "9223372036854775807s 1ns", ""),
    ] {
        let found = shown(&pool, &Duration { seconds, nanos }, Redact::Nothing);
        assert_eq!(found, json!(duration));
        let found = shown(&pool, &Timestamp { seconds, nanos }, Redact::Nothing);
        assert_eq!(found, json!(if timestamp.is_empty() { duration } else { timestamp }));
    }
}

#[test]
fn messages_in_each_other_without_end_are_opened_to_a_depth() {
    let pool = Pool::load();
    let mut any = any::encode(&Node { id: "deep".into(), ..Node::default() });
    for _ in 0..10_000 {
        any = any::encode(&any);
    }
    for (redact, kept) in [(Redact::Nothing, true), (Redact::Secrets, false)] {
        let mut found = shown(&pool, &any, redact);
        let mut depth = 0;
        while let Some(inner) = found.get_mut("value").filter(|inner| inner.is_object()) {
            found = inner.take();
            depth += 1;
        }
        assert!((30..=100).contains(&depth), "{depth}");
        assert_eq!(found["value"] != json!("W3JlZGFjdGVkXQ=="), kept);
    }
}

#[test]
fn what_is_no_message_is_an_error() {
    let pool = Pool::load();
    let error = to_json(&pool, "a.B", &[], Redact::Nothing).unwrap_err();
    assert_eq!(error.to_string(), "the type a.B is not known");
    let error = to_json(&pool, "envoy.config.core.v3.Node", &[0xff], Redact::Nothing).unwrap_err();
    assert!(error.to_string().starts_with("not a message envoy.config.core.v3.Node: "), "{error}");
}
