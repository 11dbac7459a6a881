use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;

use super::*;
use crate::envoy::config::cluster::v3::Cluster;
use crate::envoy::config::core::v3::{Address, Metadata, SocketAddress, address};
use crate::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use crate::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use crate::google::protobuf::{Struct, Value};
use crate::istio::stats::{MetricConfig, PluginConfig};
use crate::{Pool, any};

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

/// Field 9999, a number.
const UNKNOWN: [u8; 4] = [0xf8, 0xf0, 0x04, 1];

fn len(number: u32, value: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encoding::encode_key(number, WireType::LengthDelimited, &mut field);
    encoding::encode_varint(value.len() as u64, &mut field);
    [field, value.to_vec()].concat()
}

fn found(type_name: &str, bytes: &[u8]) -> (u64, Vec<String>) {
    let Unknown { count, paths } = find(type_name, bytes);
    (count, paths)
}

#[test]
fn what_the_types_write_the_table_knows() {
    let port = Some(address::Address::SocketAddress(SocketAddress {
        address: "127.0.0.1".into(),
        ..SocketAddress::default()
    }));
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(Address { address: port }),
            ..Endpoint::default()
        })),
        metadata: Some(Metadata {
            filter_metadata: [(
                "istio".to_owned(),
                Struct { fields: [("workload".to_owned(), Value::default())].into() },
            )]
            .into(),
            ..Metadata::default()
        }),
        ..LbEndpoint::default()
    };
    let endpoints = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() };
    let cluster = Cluster {
        name: "c".into(),
        load_assignment: Some(ClusterLoadAssignment {
            endpoints: vec![endpoints],
            ..ClusterLoadAssignment::default()
        }),
        ..Cluster::default()
    };
    assert_eq!(find(CLUSTER, &cluster.encode_to_vec()), Unknown::default());
    let ours = PluginConfig {
        metrics: vec![MetricConfig {
            dimensions: [("a".to_owned(), "b".to_owned())].into(),
            ..MetricConfig::default()
        }],
        ..PluginConfig::default()
    };
    assert_eq!(find("stats.PluginConfig", &ours.encode_to_vec()), Unknown::default());
}

#[test]
fn the_table_is_sorted_and_has_what_the_pool_has() {
    let names: Vec<_> = KNOWN.messages.iter().map(|[at, len, ..]| KNOWN.name(*at, *len)).collect();
    assert!(names.is_sorted());
    let pool = Pool::load();
    for (place, name) in names.iter().enumerate() {
        let message = pool.message(name).unwrap();
        let [_, _, first, end] = KNOWN.messages[place];
        assert_eq!((end - first) as usize, message.fields().len(), "{name}");
        for field in message.fields() {
            let known = KNOWN.field(Message(place.try_into().unwrap()), field.number()).unwrap();
            assert_eq!(known.name, field.name(), "{name}");
            let holds = known.holds.map(|Message(place)| names[place as usize].to_owned());
            let kind = field.kind();
            assert_eq!(holds.as_deref(), kind.as_message().map(|m| m.full_name()), "{name}");
        }
    }
}

#[test]
fn unknown_fields_are_found_wherever_they_stand() {
    let endpoint = [len(1, &UNKNOWN), len(3, &len(1, &len(1, b"istio")))].concat();
    let locality = |endpoint: &[u8]| len(2, &[len(2, b""), len(2, endpoint)].concat());
    let assignment = [locality(b""), locality(&endpoint)].concat();
    let inner = Any {
        type_url: any::type_url::<crate::envoy::extensions::upstreams::http::v3::HttpProtocolOptions>(
        ),
        value: UNKNOWN.to_vec(),
    };
    let options = [len(1, b"http"), len(2, &inner.encode_to_vec())].concat();
    let bytes = [len(1, b"c"), UNKNOWN.to_vec(), len(33, &assignment), len(36, &options)].concat();
    assert!(Cluster::decode(bytes.as_slice()).is_ok());
    let paths = [
        "9999",
        "load_assignment.endpoints[1].lb_endpoints[1].endpoint.9999",
        "typed_extension_protocol_options[0].value.9999",
    ];
    assert_eq!(found(CLUSTER, &bytes), (3, paths.map(String::from).into()));
}

#[test]
fn what_is_not_known_at_all_is_not_searched() {
    let other = Any { type_url: "x/y.Z".into(), value: UNKNOWN.to_vec() };
    let config = len(2, &other.encode_to_vec());
    assert_eq!(find("envoy.config.core.v3.TypedExtensionConfig", &config), Unknown::default());
    assert_eq!(find("y.Z", &UNKNOWN), Unknown::default());
    assert_eq!(find("", &UNKNOWN), Unknown::default());
}

#[test]
fn few_paths_are_kept_of_many() {
    let (count, paths) = found(CLUSTER, &UNKNOWN.repeat(100_000));
    assert_eq!((count, paths.len()), (100_000, PATHS_MAX));
}

#[test]
fn hostile_depth_ends_the_search_and_nothing_else() {
    // An extension in an extension in an extension: no decoder counts that.
    let mut any = Any { type_url: String::new(), value: UNKNOWN.to_vec() };
    for _ in 0..10_000 {
        let config = len(2, &any.encode_to_vec());
        any = Any { type_url: "x/envoy.config.core.v3.TypedExtensionConfig".into(), value: config };
    }
    assert_eq!(find("envoy.config.core.v3.TypedExtensionConfig", &any.value), Unknown::default());
    // Groups in groups, which end or do not.
    let open = 0x0b_u8;
    for groups in [vec![open; 100_000], [vec![open; 50], vec![0x0c; 50]].concat()] {
        let _ = find(CLUSTER, &groups);
    }
}

#[test]
fn bytes_that_are_no_message_end_the_search() {
    for cut in [
        &[0x0a_u8, 9][..],
        &[0xff; 12],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0],
    ] {
        let bytes = [&UNKNOWN[..], cut].concat();
        assert_eq!(find(CLUSTER, &bytes).count, 1, "{cut:?}");
    }
}
