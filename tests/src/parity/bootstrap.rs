//! A whole bootstrap from the short forms of a group.
//!
//! A listener is an HTTP connection manager with one virtual host and a text access log unless its
//! fields say otherwise; a cluster is STATIC with one upstream. Every field of Envoy's messages can be
//! given: short forms only fill in what a case does not care about.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use super::case::Group;
use super::document::{expand, merge, object};

/// What the default access log shows of a request.
const LOG: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL% \
%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% in=%BYTES_RECEIVED% out=%BYTES_SENT% route=%ROUTE_NAME% \
cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% \
transport=%UPSTREAM_TRANSPORT_FAILURE_REASON% closed=%CONNECTION_TERMINATION_DETAILS%\n";

const HCM: &str = "filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The bootstrap of a group, with names like `$UPSTREAM1` still in it.
///
/// # Errors
/// When a short form is wrong.
pub fn build(group: &Group) -> Result<Value> {
    let listeners = group.listeners.iter().map(|(name, fields)| listener(name, fields));
    let defaults = [("one".to_owned(), json!({"hosts": ["UPSTREAM1"]}))].into();
    let clusters = if group.clusters.is_empty() { &defaults } else { &group.clusters };
    let clusters = clusters.iter().map(|(name, fields)| cluster(name, fields));
    let mut bootstrap = json!({
        "node": {"id": "parity", "cluster": "parity"},
        "admin": {"address": address("$ADMIN")},
        "static_resources": {
            "listeners": listeners.collect::<Result<Vec<_>>>()?,
            "clusters": clusters.collect::<Result<Vec<_>>>()?,
        },
    });
    merge(&mut bootstrap, group.bootstrap.clone());
    expand(&mut bootstrap);
    Ok(bootstrap)
}

fn listener(name: &str, fields: &Value) -> Result<Value> {
    let mut fields = object(fields)?;
    let mut listener =
        json!({"name": name, "stat_prefix": name, "address": address(&format!("$PORT_{name}"))});
    let chains = match fields.remove("chains") {
        Some(Value::Array(chains)) => {
            chains.iter().map(|fields| chain(name, object(fields)?)).collect::<Result<Vec<_>>>()?
        }
        Some(_) => bail!("{name}: chains is a list"),
        None => Vec::new(),
    };
    merge(&mut listener, fields.remove("listener").unwrap_or_default());
    let chains = if chains.is_empty() { vec![chain(name, fields)?] } else { chains };
    merge(&mut listener, json!({"filter_chains": chains}));
    filters_in(&mut listener, "listener_filters")?;
    if let Some(default) = listener.get_mut("default_filter_chain").map(Value::take) {
        merge(&mut listener, json!({"default_filter_chain": chain(name, object(&default)?)?}));
    }
    Ok(listener)
}

fn chain(name: &str, mut fields: Map<String, Value>) -> Result<Value> {
    let mut take = |key: &str| fields.remove(key).unwrap_or_default();
    let mut filters = named_filters(take("before"))?;
    match take("network") {
        Value::Null => filters.push(http(name, &mut take)?),
        network => filters.extend(named_filters(network)?),
    }
    let mut chain = json!({"filters": filters});
    if let matcher @ Value::Object(_) = take("match") {
        merge(&mut chain, json!({"filter_chain_match": matcher}));
    }
    if let tls @ Value::Object(_) = take("tls") {
        merge(&mut chain, json!({"transport_socket": downstream_tls(tls)}));
    }
    merge(&mut chain, take("chain"));
    match fields.keys().next() {
        Some(unknown) => bail!("{name}: {unknown} is no field of a listener"),
        None => Ok(chain),
    }
}

/// The HTTP connection manager, from the fields that `take` yields.
fn http(name: &str, take: &mut impl FnMut(&str) -> Value) -> Result<Value> {
    let routes = match take("routes") {
        Value::Null => json!([{"match": {"prefix": "/"}, "route": {"cluster": "one"}}]),
        routes => routes,
    };
    let hosts = match take("virtual_hosts") {
        Value::Null => json!([{"name": "all", "domains": ["*"], "routes": routes}]),
        hosts => hosts,
    };
    let mut route_config = json!({"name": name, "virtual_hosts": hosts});
    merge(&mut route_config, take("route_config"));
    let mut filters = named_filters(take("filters"))?;
    let mut router = json!({"@type": "filters.http.router.v3.Router"});
    merge(&mut router, take("router"));
    filters.push(json!({"name": "envoy.filters.http.router", "typed_config": router}));
    let mut hcm = json!({
        "@type": HCM,
        "stat_prefix": name,
        // The default second would make every case with a closed connection wait for it.
        "delayed_close_timeout": "0.05s",
        "route_config": route_config,
        "http_filters": filters,
        "access_log": access_log(take("log")),
    });
    merge(&mut hcm, take("hcm"));
    Ok(json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}))
}

/// A file log: `null` is the default format, a string a text format, a map a JSON format.
fn access_log(format: Value) -> Value {
    let format = match format {
        Value::Null => json!({"text_format_source": {"inline_string": LOG}}),
        Value::String(text) => json!({"text_format_source": {"inline_string": text + "\n"}}),
        Value::Array(list) => return Value::Array(list),
        map => json!({"json_format": map}),
    };
    let file = json!({"@type": "access_loggers.file.v3.FileAccessLog", "path": "$LOG", "log_format": format});
    json!([{"name": "envoy.access_loggers.file", "typed_config": file}])
}

fn cluster(name: &str, fields: &Value) -> Result<Value> {
    let mut fields = object(fields)?;
    let mut cluster = json!({"name": name, "connect_timeout": "1s", "type": "STATIC"});
    let hosts = fields.remove("hosts").unwrap_or_default();
    if let Some(hosts) = hosts.as_array() {
        let endpoints: Vec<_> = hosts.iter().filter_map(Value::as_str).map(endpoint).collect();
        let load = json!({"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]});
        merge(&mut cluster, json!({"load_assignment": load}));
    }
    if let Some(Value::Bool(true)) = fields.remove("h2") {
        let options = json!({
            "@type": "upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        });
        let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        merge(&mut cluster, json!({"typed_extension_protocol_options": {key: options}}));
    }
    if let Some(tls) = fields.remove("tls") {
        let mut context = json!({"@type": "transport_sockets.tls.v3.UpstreamTlsContext"});
        merge(&mut context, tls);
        let socket = json!({"name": "envoy.transport_sockets.tls", "typed_config": context});
        merge(&mut cluster, json!({"transport_socket": socket}));
    }
    merge(&mut cluster, Value::Object(fields));
    Ok(cluster)
}

fn downstream_tls(fields: Value) -> Value {
    let chain = json!({"filename": "$CERTS/server.crt"});
    let key = json!({"filename": "$CERTS/server.key"});
    let mut context = json!({
        "@type": "transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [{"certificate_chain": chain, "private_key": key}]},
    });
    merge(&mut context, fields);
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn endpoint(name: &str) -> Value {
    json!({"endpoint": {"address": address(&format!("${name}"))}})
}

fn address(port: &str) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// Filters written as `{http.fault.v3.HTTPFault: {…}}` get a name and a typed config.
fn named_filters(list: Value) -> Result<Vec<Value>> {
    match list {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list.into_iter().map(named_filter).collect(),
        other => bail!("filters are a list, not {other}"),
    }
}

fn named_filter(filter: Value) -> Result<Value> {
    let fields = object(&filter)?;
    let Some((kind, config)) = fields.iter().next().filter(|(kind, _)| kind.contains(".v3."))
    else {
        return Ok(filter);
    };
    let (name, _) = kind.split_once(".v3.").context("a filter's type has a version")?;
    let mut typed = json!({"@type": format!("filters.{kind}")});
    merge(&mut typed, config.clone());
    Ok(json!({"name": format!("envoy.filters.{name}"), "typed_config": typed}))
}

fn filters_in(parent: &mut Value, key: &str) -> Result<()> {
    if let Some(list) = parent.get_mut(key) {
        *list = Value::Array(named_filters(list.take())?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(listeners: Value, clusters: Value) -> Value {
        let group =
            json!({"group": "g", "listeners": listeners, "clusters": clusters, "cases": []});
        build(&serde_json::from_value(group).unwrap()).unwrap()
    }

    #[test]
    fn short_forms_are_filled_in_and_own_fields_win() {
        let filter = json!({"http.fault.v3.HTTPFault": {"max_active_faults": 1}});
        let main = json!({"hcm": {"stat_prefix": "other", "delayed_close_timeout": null}, "filters": [filter]});
        let bootstrap = built(json!({"main": main}), Value::Object(Map::new()));
        let hcm = bootstrap
            .pointer("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
            .unwrap();
        assert_eq!(hcm["stat_prefix"], "other");
        assert!(hcm.get("delayed_close_timeout").is_none());
        assert_eq!(hcm["http_filters"][0]["name"], "envoy.filters.http.fault");
        let kind = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
        assert_eq!(hcm["http_filters"][0]["typed_config"]["@type"], kind);
        assert_eq!(hcm["http_filters"][1]["name"], "envoy.filters.http.router");
        assert_eq!(bootstrap["static_resources"]["clusters"][0]["name"], "one");
    }

    #[test]
    fn a_field_that_no_listener_has_is_refused() {
        let group = json!({"group": "g", "listeners": {"main": {"ruotes": []}}});
        assert!(build(&serde_json::from_value(group).unwrap()).is_err());
    }

    #[test]
    fn hosts_become_endpoints() {
        let bootstrap =
            built(json!({}), json!({"two": {"hosts": ["UPSTREAM2"], "lb_policy": "RANDOM"}}));
        let cluster = &bootstrap["static_resources"]["clusters"][0];
        let path = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value";
        assert_eq!(cluster.pointer(path).unwrap(), "$UPSTREAM2");
        assert_eq!(cluster["lb_policy"], "RANDOM");
    }
}
