//! Messages of small meshes, as proto JSON.

use serde_json::{Value, json};

const TYPES: &str = "type.googleapis.com/envoy.config";
const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const HTTP: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A source: the aggregated stream; what waits for it waits for ever.
pub fn ads() -> Value {
    json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" })
}

/// An address of this host.
pub fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// A cluster whose endpoints are discovered, with `more` laid over it.
pub fn cluster(name: &str, more: Value) -> Value {
    let cluster = json!({
        "@type": format!("{TYPES}.cluster.v3.Cluster"),
        "name": name, "type": "EDS", "connect_timeout": "5s",
        "eds_cluster_config": { "eds_config": ads() },
    });
    merged(cluster, more)
}

/// The endpoints of a cluster.
pub fn endpoints(cluster: &str, ports: &[u16]) -> Value {
    let endpoints: Vec<_> =
        ports.iter().map(|port| json!({ "endpoint": { "address": address(*port) } })).collect();
    json!({
        "@type": format!("{TYPES}.endpoint.v3.ClusterLoadAssignment"),
        "cluster_name": cluster, "endpoints": [{ "lb_endpoints": endpoints }],
    })
}

/// A listener of HTTP whose routes are discovered, with `more` laid over its filter chain.
pub fn listener(name: &str, port: u16, routes: &str, more: Value) -> Value {
    let chain = json!({
        "name": "http",
        "filters": [{ "name": "hcm", "typed_config": {
            "@type": HCM, "stat_prefix": "mesh",
            "rds": { "route_config_name": routes, "config_source": ads() },
            "http_filters": [{ "name": "router", "typed_config": { "@type": ROUTER } }],
        } }],
    });
    json!({
        "@type": format!("{TYPES}.listener.v3.Listener"),
        "name": name, "address": address(port), "filter_chains": [merged(chain, more)],
    })
}

/// A route configuration that sends everything to one cluster.
pub fn routes(name: &str, cluster: &str) -> Value {
    routes_of(name, json!([{ "match": { "prefix": "/" }, "route": { "cluster": cluster } }]))
}

/// A route configuration with these routes.
pub fn routes_of(name: &str, routes: Value) -> Value {
    json!({
        "@type": format!("{TYPES}.route.v3.RouteConfiguration"),
        "name": name,
        "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }],
    })
}

/// A bootstrap whose clusters and listeners come from the control plane at `server`: an address or a path. `mode` is the `api_type`.
pub fn bootstrap(admin: u16, mode: &str, server: &str) -> Value {
    json!({
        "node": { "id": "sidecar~127.0.0.1~test.default~default.svc.cluster.local", "cluster": "test" },
        "admin": { "address": address(admin) },
        "dynamic_resources": {
            "lds_config": ads(),
            "cds_config": ads(),
            "ads_config": {
                "api_type": mode, "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds-grpc" } }],
            },
        },
        "static_resources": { "clusters": [server_cluster("xds-grpc", server)] },
    })
}

/// A cluster of the bootstrap that leads to a server of gRPC.
pub fn server_cluster(name: &str, server: &str) -> Value {
    let address = match server.rsplit_once(':') {
        Some((host, port)) => json!({ "socket_address": {
            "address": host, "port_value": port.parse::<u16>().unwrap_or_default()
        } }),
        None => json!({ "pipe": { "path": server } }),
    };
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [
            { "endpoint": { "address": address } }
        ] }] },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": HTTP, "explicit_http_config": { "http2_protocol_options": {} }
        } },
    })
}

/// A value with another laid over it, field by field at the top.
pub fn merged(mut value: Value, over: Value) -> Value {
    if let (Value::Object(value), Value::Object(over)) = (&mut value, over) {
        value.extend(over);
    }
    value
}

/// A secret: a certificate and its key, as PEM.
pub fn certificate(name: &str, chain: &str, key: &str) -> Value {
    json!({
        "@type": SECRET, "name": name,
        "tls_certificate": {
            "certificate_chain": { "inline_string": chain },
            "private_key": { "inline_string": key },
        },
    })
}

/// A secret: roots, as PEM.
pub fn roots(name: &str, authorities: &str) -> Value {
    json!({
        "@type": SECRET, "name": name,
        "validation_context": { "trusted_ca": { "inline_string": authorities } },
    })
}

/// TLS whose certificate and roots are discovered, as Istio has it: `side` is `Downstream` or `Upstream`.
pub fn mutual_tls(side: &str, source: &Value, more: Value) -> Value {
    let context = json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext"),
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{ "name": "default", "sds_config": source }],
            "combined_validation_context": {
                "default_validation_context": { "match_typed_subject_alt_names": [
                    { "san_type": "URI", "matcher": { "prefix": "spiffe://cluster.local/" } }
                ] },
                "validation_context_sds_secret_config": { "name": "ROOTCA", "sds_config": source },
            },
        },
    });
    json!({ "name": "tls", "typed_config": merged(context, more) })
}

/// A source of secrets: a stream of its own to a cluster of the bootstrap. What waits for it waits so long.
pub fn sds(cluster: &str, patience: &str) -> Value {
    json!({
        "api_config_source": {
            "api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
            "grpc_services": [{ "envoy_grpc": { "cluster_name": cluster } }],
        },
        "resource_api_version": "V3", "initial_fetch_timeout": patience,
    })
}
