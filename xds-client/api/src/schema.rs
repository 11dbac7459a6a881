//! Descriptors of the messages that `envoy-types` lacks, so that they too are read from YAML and
//! written as JSON.
//!
//! The Rust types are in [`crate::typed_struct`] and [`crate::istio`]; a test holds the two together.
//! Field names, numbers and types were compared with PyPI `xds-protos` 1.85.0 (`TypedStruct`) and Go
//! `istio.io/api` v1.31.1 (the others).

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MessageOptions,
};

/// One file for each package. Their imports are in the set that `build.rs` makes.
pub(crate) fn files() -> [FileDescriptorProto; 4] {
    [
        typed_struct("udpa/type/v1/typed_struct.proto", "udpa.type.v1"),
        typed_struct("xds/type/v3/typed_struct.proto", "xds.type.v3"),
        stats(),
        alpn(),
    ]
}

fn typed_struct(name: &str, package: &str) -> FileDescriptorProto {
    let message = message(
        "TypedStruct",
        vec![text(1, "type_url"), one(2, "value", Type::Message, ".google.protobuf.Struct")],
    );
    file(name, package, &["google/protobuf/struct.proto"], vec![message], vec![])
}

fn stats() -> FileDescriptorProto {
    let duration = |number, name| one(number, name, Type::Message, ".google.protobuf.Duration");
    let plugin = message(
        "PluginConfig",
        vec![
            plain(1, "debug", Type::Bool),
            plain(2, "max_peer_cache_size", Type::Int32),
            text(3, "stat_prefix"),
            text(4, "field_separator"),
            text(5, "value_separator"),
            plain(6, "disable_host_header_fallback", Type::Bool),
            duration(7, "tcp_reporting_duration"),
            many(one(8, "metrics", Type::Message, ".stats.MetricConfig")),
            many(one(9, "definitions", Type::Message, ".stats.MetricDefinition")),
            one(10, "reporter", Type::Enum, ".stats.Reporter"),
            duration(11, "rotation_interval"),
            duration(12, "graceful_deletion_interval"),
        ],
    );
    let mut entry = message("DimensionsEntry", vec![text(1, "key"), text(2, "value")]);
    entry.options = Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
    let mut metric = message(
        "MetricConfig",
        vec![
            many(one(1, "dimensions", Type::Message, ".stats.MetricConfig.DimensionsEntry")),
            text(2, "name"),
            many(text(3, "tags_to_remove")),
            text(4, "match"),
            plain(5, "drop", Type::Bool),
        ],
    );
    metric.nested_type.push(entry);
    let definition = message(
        "MetricDefinition",
        vec![text(1, "name"), text(2, "value"), one(3, "type", Type::Enum, ".stats.MetricType")],
    );
    file(
        "envoy/extensions/stats/config.proto",
        "stats",
        &["google/protobuf/duration.proto"],
        vec![plugin, metric, definition],
        vec![
            enumeration("MetricType", &["COUNTER", "GAUGE", "HISTOGRAM"]),
            enumeration("Reporter", &["UNSPECIFIED", "SERVER_GATEWAY"]),
        ],
    )
}

fn alpn() -> FileDescriptorProto {
    const PACKAGE: &str = "istio.envoy.config.filter.http.alpn.v2alpha1";
    let scope = format!(".{PACKAGE}.FilterConfig");
    let protocol = format!("{scope}.Protocol");
    let mut config = message(
        "FilterConfig",
        vec![many(one(1, "alpn_override", Type::Message, &format!("{scope}.AlpnOverride")))],
    );
    config.enum_type.push(enumeration("Protocol", &["HTTP10", "HTTP11", "HTTP2"]));
    config.nested_type.push(message(
        "AlpnOverride",
        vec![one(1, "upstream_protocol", Type::Enum, &protocol), many(text(2, "alpn_override"))],
    ));
    file("envoy/config/filter/http/alpn/v2alpha1/config.proto", PACKAGE, &[], vec![config], vec![])
}

fn file(
    name: &str,
    package: &str,
    imports: &[&str],
    message_type: Vec<DescriptorProto>,
    enum_type: Vec<EnumDescriptorProto>,
) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.into()),
        package: Some(package.into()),
        syntax: Some("proto3".into()),
        dependency: imports.iter().map(|&import| import.into()).collect(),
        message_type,
        enum_type,
        ..FileDescriptorProto::default()
    }
}

fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.into()), field, ..DescriptorProto::default() }
}

fn text(number: i32, name: &str) -> FieldDescriptorProto {
    plain(number, name, Type::String)
}

fn plain(number: i32, name: &str, kind: Type) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        r#type: Some(kind.into()),
        label: Some(Label::Optional.into()),
        ..FieldDescriptorProto::default()
    }
}

fn one(number: i32, name: &str, kind: Type, type_name: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { type_name: Some(type_name.into()), ..plain(number, name, kind) }
}

fn many(field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto { label: Some(Label::Repeated.into()), ..field }
}

fn enumeration(name: &str, values: &[&str]) -> EnumDescriptorProto {
    let value = (0..).zip(values).map(|(number, value)| EnumValueDescriptorProto {
        name: Some((*value).into()),
        number: Some(number),
        options: None,
    });
    EnumDescriptorProto {
        name: Some(name.into()),
        value: value.collect(),
        ..EnumDescriptorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fmt::Debug;

    use envoy_types::pb::google::protobuf::{Duration, Struct};
    use prost::{Message, Name};
    use serde_json::{Value, json};

    use crate::istio::{alpn, stats};
    use crate::write::{Redact, to_json};
    use crate::{Document, Pool, Unknown, udpa, xds};

    /// Every field of `message` is set: written through the descriptor it must give `expected`, and read
    /// through it the message again.
    fn check<M: Message + Name + Default + PartialEq + Debug>(
        pool: &Pool,
        message: &M,
        expected: &Value,
    ) {
        let bytes = message.encode_to_vec();
        let json = to_json(pool, &M::full_name(), &bytes, Redact::Nothing).unwrap();
        assert_eq!(&serde_json::to_value(json).unwrap(), expected);
        let document = Document::parse("test.json", expected.to_string()).unwrap();
        assert_eq!(&document.read::<M>(pool, Unknown::Refuse).unwrap(), message);
    }

    #[test]
    fn types_and_descriptors_agree_on_typed_structs() {
        let pool = Pool::load();
        let (type_url, value) = (String::from("x/y"), Some(Struct::default()));
        let expected = json!({"type_url": "x/y", "value": {}});
        let udpa =
            udpa::r#type::v1::TypedStruct { type_url: type_url.clone(), value: value.clone() };
        check(&pool, &udpa, &expected);
        check(&pool, &xds::r#type::v3::TypedStruct { type_url, value }, &expected);
    }

    #[test]
    fn types_and_descriptors_agree_on_stats() {
        let pool = Pool::load();
        let duration = |seconds| Some(Duration { seconds, nanos: 0 });
        let metric = stats::MetricConfig {
            dimensions: HashMap::from([("a".into(), "b".into())]),
            name: "n".into(),
            tags_to_remove: vec!["t".into(), "u".into()],
            r#match: "m".into(),
            drop: true,
        };
        let config = stats::PluginConfig {
            debug: true,
            max_peer_cache_size: -1,
            stat_prefix: "p".into(),
            field_separator: "f".into(),
            value_separator: "v".into(),
            disable_host_header_fallback: true,
            tcp_reporting_duration: duration(1),
            metrics: vec![metric],
            definitions: vec![stats::MetricDefinition {
                name: "n".into(),
                value: "v".into(),
                r#type: stats::MetricType::Histogram.into(),
            }],
            reporter: stats::Reporter::ServerGateway.into(),
            rotation_interval: duration(2),
            graceful_deletion_interval: duration(3),
        };
        let expected = json!({
            "debug": true,
            "max_peer_cache_size": -1,
            "stat_prefix": "p",
            "field_separator": "f",
            "value_separator": "v",
            "disable_host_header_fallback": true,
            "tcp_reporting_duration": "1s",
            "metrics": [{
                "dimensions": {"a": "b"},
                "name": "n",
                "tags_to_remove": ["t", "u"],
                "match": "m",
                "drop": true,
            }],
            "definitions": [{"name": "n", "value": "v", "type": "HISTOGRAM"}],
            "reporter": "SERVER_GATEWAY",
            "rotation_interval": "2s",
            "graceful_deletion_interval": "3s",
        });
        check(&pool, &config, &expected);
    }

    #[test]
    fn types_and_descriptors_agree_on_alpn() {
        let pool = Pool::load();
        let over = |protocol: alpn::Protocol, names: [&str; 2]| alpn::AlpnOverride {
            upstream_protocol: protocol.into(),
            alpn_override: names.map(Into::into).into(),
        };
        let config = alpn::FilterConfig {
            alpn_override: vec![
                over(alpn::Protocol::Http11, ["istio", "http/1.1"]),
                over(alpn::Protocol::Http2, ["istio", "h2"]),
            ],
        };
        let expected = json!({"alpn_override": [
            {"upstream_protocol": "HTTP11", "alpn_override": ["istio", "http/1.1"]},
            {"upstream_protocol": "HTTP2", "alpn_override": ["istio", "h2"]},
        ]});
        check(&pool, &config, &expected);
    }
}
