//! `/config_dump`: the configuration, from the messages as they came.
//!
//! `resource` picks the elements of one list (`static_clusters`), `mask` the fields of each element, or of the dump's parts without `resource`.
//! (envoy: operations/admin#get--config_dump)

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{Endpoint, Reply, Request, Server};
use crate::config::DumpQuery;

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/config_dump",
    is_post: false,
    help: "dump current Envoy configs",
    parameters: &[
        ("resource", "The resource to dump: a list such as static_clusters"),
        ("mask", "The mask to apply, as a protobuf FieldMask; with resource to every element"),
        ("name_regex", "Dump only the configurations whose names match the regular expression"),
        ("include_eds", "Dump endpoints too"),
    ],
    reply,
};

fn reply(server: &Server, request: &Request) -> Reply {
    let refused =
        |status, text: String| Reply { content_type: "text/plain", ..Reply::text(status, text) };
    let name = match request.parameter("name_regex").map(Regex::new).transpose() {
        Ok(name) => name,
        Err(error) => return refused(400, format!("Error while parsing name_regex: {error}")),
    };
    let resource = request.parameter("resource");
    let query = DumpQuery {
        // Whoever asks for endpoints by name wants them.
        with_endpoints: request.has("include_eds")
            || resource.is_some_and(|resource| resource.ends_with("_endpoint_configs")),
        name,
    };
    let control = server.control.borrow();
    let parts = control.store.dump(&server.bootstrap, control.lifecycle.started_at, &query);
    let unknown = control.store.dump_unknown_fields(&query);
    drop(control);
    let mask = request.parameter("mask").map(|mask| mask.split(',').collect::<Vec<_>>());
    let is_whole = resource.is_none() && mask.is_none();
    let configs = match (resource, mask) {
        (Some(resource), mask) => match elements(parts, resource) {
            Ok(elements) => match mask {
                Some(mask) => elements.into_iter().map(|element| masked(element, &mask)).collect(),
                None => elements,
            },
            Err((status, text)) => return refused(status, text),
        },
        (None, Some(mask)) => {
            let parts: Vec<Value> = parts
                .into_iter()
                .map(|part| masked(part, &mask))
                .filter(|part| part.as_object().is_some_and(|fields| fields.len() > 1))
                .collect();
            if parts.is_empty() {
                let mask = mask.join(",");
                return refused(
                    400,
                    format!("FieldMask {mask} could not be successfully applied to any configs."),
                );
            }
            parts
        }
        (None, None) => parts,
    };
    let mut dump = if configs.is_empty() { json!({}) } else { json!({ "configs": configs }) };
    if let Some(fields) = dump.as_object_mut().filter(|_| is_whole && !unknown.is_empty()) {
        // Of ours, and only if there is something to tell: readers of Envoy's form skip what they do not know.
        fields.insert("unknown_fields".into(), unknown.into());
    }
    Reply::json(&dump)
}

/// The lists that the parts of a dump have, and the messages in them.
const LISTS: &[(&str, &str)] = &[
    ("static_clusters", "ClustersConfigDump.StaticCluster"),
    ("dynamic_active_clusters", "ClustersConfigDump.DynamicCluster"),
    ("dynamic_warming_clusters", "ClustersConfigDump.DynamicCluster"),
    ("static_listeners", "ListenersConfigDump.StaticListener"),
    ("dynamic_listeners", "ListenersConfigDump.DynamicListener"),
    ("static_route_configs", "RoutesConfigDump.StaticRouteConfig"),
    ("dynamic_route_configs", "RoutesConfigDump.DynamicRouteConfig"),
    ("inline_scoped_route_configs", "ScopedRoutesConfigDump.InlineScopedRouteConfigs"),
    ("dynamic_scoped_route_configs", "ScopedRoutesConfigDump.DynamicScopedRouteConfigs"),
    ("static_secrets", "SecretsConfigDump.StaticSecret"),
    ("dynamic_active_secrets", "SecretsConfigDump.DynamicSecret"),
    ("dynamic_warming_secrets", "SecretsConfigDump.DynamicSecret"),
    ("static_endpoint_configs", "EndpointsConfigDump.StaticEndpointConfig"),
    ("dynamic_endpoint_configs", "EndpointsConfigDump.DynamicEndpointConfig"),
];

/// The elements of one list, each with its type.
fn elements(parts: Vec<Value>, resource: &str) -> Result<Vec<Value>, (u16, String)> {
    let Some((_, message)) = LISTS.iter().find(|(list, _)| *list == resource) else {
        let is_field = parts.iter().any(|part| part.get(resource).is_some());
        return Err(if is_field {
            let text = format!(
                "{resource} is not a repeated field. Use ?mask={resource} to get only this field"
            );
            (400, text)
        } else {
            (404, format!("{resource} not found in config dump"))
        });
    };
    let mut elements = Vec::new();
    for part in parts {
        let Value::Object(mut part) = part else { continue };
        let Some(Value::Array(list)) = part.remove(resource) else { continue };
        for element in list {
            let Value::Object(fields) = element else { continue };
            let mut typed = Map::new();
            let url = format!("type.googleapis.com/envoy.admin.v3.{message}");
            typed.insert("@type".into(), url.into());
            typed.extend(fields);
            elements.push(Value::Object(typed));
        }
    }
    Ok(elements)
}

/// The fields that a mask names, and the type.
fn masked(value: Value, mask: &[&str]) -> Value {
    let mut kept = Map::new();
    if let Some(type_url) = value.get("@type") {
        kept.insert("@type".into(), type_url.clone());
    }
    for path in mask {
        keep(&value, path, &mut kept);
    }
    Value::Object(kept)
}

/// Copies what `path` leads to. A path cannot lead through a list.
fn keep(from: &Value, path: &str, to: &mut Map<String, Value>) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(value) = from.get(name) else { return };
    let Some(rest) = rest else {
        to.insert(name.into(), value.clone());
        return;
    };
    if !value.is_object() {
        return;
    }
    let mut inner = match to.remove(name) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    if let Some(type_url) = value.get("@type") {
        inner.insert("@type".into(), type_url.clone());
    }
    keep(value, rest, &mut inner);
    if !inner.is_empty() {
        to.insert(name.into(), Value::Object(inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<Value> {
        vec![
            json!({ "@type": "B", "bootstrap": { "node": { "id": "n", "cluster": "c" } } }),
            json!({ "@type": "C", "static_clusters": [
                { "cluster": { "@type": "X", "name": "c", "type": "STATIC" }, "last_updated": "t" }
            ] }),
        ]
    }

    #[test]
    fn a_resource_is_a_list() {
        let found = elements(parts(), "static_clusters").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            masked(found[0].clone(), &["cluster.name"]),
            json!({
                "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster",
                "cluster": { "@type": "X", "name": "c" }
            })
        );
        assert_eq!(elements(parts(), "dynamic_listeners").unwrap(), [Value::Null; 0]);
        assert_eq!(elements(parts(), "bootstrap").unwrap_err().0, 400);
        assert_eq!(elements(parts(), "nosuch").unwrap_err().0, 404);
    }

    #[test]
    fn a_mask_keeps_what_it_names() {
        let [bootstrap, clusters] = &parts()[..] else { panic!() };
        assert_eq!(
            masked(bootstrap.clone(), &["bootstrap.node.id", "bootstrap.nosuch"]),
            json!({ "@type": "B", "bootstrap": { "node": { "id": "n" } } })
        );
        assert_eq!(masked(clusters.clone(), &["static_clusters.cluster"]), json!({ "@type": "C" }));
    }
}
