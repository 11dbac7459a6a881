//! What `/config_dump` shows: the messages as they came, and what became of them. (envoy: admin.v3.ConfigDump)

use std::time::{SystemTime, UNIX_EPOCH};

use outrigger_xds::{Resource, ResourceType};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::admin::v3::clusters_config_dump::{DynamicCluster, StaticCluster};
use outrigger_xds_api::envoy::admin::v3::endpoints_config_dump::{
    DynamicEndpointConfig, StaticEndpointConfig,
};
use outrigger_xds_api::envoy::admin::v3::listeners_config_dump::{
    DynamicListener, DynamicListenerState, StaticListener,
};
use outrigger_xds_api::envoy::admin::v3::routes_config_dump::{
    DynamicRouteConfig, StaticRouteConfig,
};
use outrigger_xds_api::envoy::admin::v3::secrets_config_dump::DynamicSecret;
use outrigger_xds_api::envoy::admin::v3::{
    BootstrapConfigDump, ClustersConfigDump, EndpointsConfigDump, ListenersConfigDump,
    RoutesConfigDump, SecretsConfigDump, UpdateFailureState,
};
use outrigger_xds_api::envoy::config::bootstrap::v3::Bootstrap;
use outrigger_xds_api::envoy::config::cluster::v3::Cluster;
use outrigger_xds_api::envoy::config::core::v3::Node;
use outrigger_xds_api::envoy::config::listener::v3::filter::ConfigType;
use outrigger_xds_api::envoy::config::listener::v3::{Filter, Listener};
use outrigger_xds_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use outrigger_xds_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use outrigger_xds_api::google::protobuf::{Any, Timestamp};
use outrigger_xds_api::write::{Redact, to_json};
use outrigger_xds_api::Pool;
use prost::{Message, Name};
use regex::Regex;
use serde_json::{Value, json};

use super::slot::{Origin, Refused, Version};
use super::store::Store;

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct DumpQuery {
    /// Endpoints too. (envoy: include_eds)
    pub with_endpoints: bool,
    /// Only resources whose names hold a match. (envoy: name_regex)
    pub name: Option<Regex>,
}

impl DumpQuery {
    pub(super) fn accepts(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|regex| regex.is_match(name))
    }
}

/// The JSON of the node, from its encoded message.
#[must_use]
pub fn node_json(original: &[u8]) -> Value {
    let pool = Pool::load();
    let json = to_json(&pool, &Node::full_name(), original, Redact::Secrets);
    json.ok().and_then(|json| serde_json::to_value(&json).ok()).unwrap_or_default()
}

impl Store {
    /// The parts of a dump, in Envoy's order; each knows its type by `@type`. `bootstrap` is the encoded message.
    #[must_use]
    pub fn dump(&self, bootstrap: &[u8], since: SystemTime, query: &DumpQuery) -> Vec<Value> {
        let pool = Pool::load();
        let show = |part: Any| shown(&pool, &part);
        let bootstrap = BootstrapConfigDump {
            // It was encoded by this process.
            bootstrap: Bootstrap::decode(bootstrap).ok(),
            last_updated: Some(timestamp(since)),
        };
        let mut parts = vec![show(any::encode(&bootstrap))];
        parts.push(show(any::encode(&self.dump_clusters(query))));
        if query.with_endpoints {
            parts.push(show(any::encode(&self.dump_endpoints(query))));
        }
        parts.push(show(any::encode(&self.dump_listeners(query))));
        parts.push(json!({ "@type": "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump" }));
        parts.push(show(any::encode(&self.dump_routes(query))));
        parts.push(show(any::encode(&self.dump_secrets(query))));
        parts
    }

    fn dump_clusters(&self, query: &DumpQuery) -> ClustersConfigDump {
        let mut dump = ClustersConfigDump {
            version_info: self.version_of(ResourceType::Cluster).into(),
            ..ClustersConfigDump::default()
        };
        for slot in self.clusters.iter().filter(|(name, _)| query.accepts(name)).map(|(_, s)| s) {
            let error_state = slot.refused.as_ref().map(refused);
            let dynamic = |version: &Version<_>| DynamicCluster {
                version_info: version.resource.version.to_string(),
                cluster: Some(original(&version.resource)),
                last_updated: Some(timestamp(version.since)),
                error_state: error_state.clone(),
                client_status: 0,
            };
            match slot.origin {
                Origin::Static => {
                    dump.static_clusters.extend(slot.versions().map(|version| StaticCluster {
                        cluster: Some(original(&version.resource)),
                        last_updated: Some(timestamp(version.since)),
                    }))
                }
                Origin::Dynamic => {
                    dump.dynamic_active_clusters.extend(slot.active.as_ref().map(dynamic));
                    dump.dynamic_warming_clusters.extend(slot.warming.as_ref().map(dynamic));
                    if slot.is_vacant() && error_state.is_some() {
                        let refused = DynamicCluster { error_state, ..DynamicCluster::default() };
                        dump.dynamic_warming_clusters.push(refused);
                    }
                }
            }
        }
        dump
    }

    fn dump_endpoints(&self, query: &DumpQuery) -> EndpointsConfigDump {
        let mut dump = EndpointsConfigDump::default();
        for slot in self.clusters.iter().filter(|(name, _)| query.accepts(name)).map(|(_, s)| s) {
            let Some(version) = &slot.active else { continue };
            // It was valid when it arrived.
            let Ok(message) = Cluster::decode(version.resource.body.clone()) else { continue };
            let Some(assignment) = message.load_assignment else { continue };
            let endpoint_config = Some(any::encode(&assignment));
            let last_updated = Some(timestamp(version.since));
            match slot.origin {
                Origin::Static => dump
                    .static_endpoint_configs
                    .push(StaticEndpointConfig { endpoint_config, last_updated }),
                Origin::Dynamic => dump.dynamic_endpoint_configs.push(DynamicEndpointConfig {
                    endpoint_config,
                    last_updated,
                    ..DynamicEndpointConfig::default()
                }),
            }
        }
        for slot in self.endpoints.iter().filter(|(name, _)| query.accepts(name)).map(|(_, s)| s) {
            let active = slot.active.as_ref();
            dump.dynamic_endpoint_configs.push(DynamicEndpointConfig {
                version_info: active.map(|v| v.resource.version.to_string()).unwrap_or_default(),
                endpoint_config: active.map(|version| original(&version.resource)),
                last_updated: active.map(|version| timestamp(version.since)),
                error_state: slot.refused.as_ref().map(refused),
                client_status: 0,
            });
        }
        dump
    }

    fn dump_listeners(&self, query: &DumpQuery) -> ListenersConfigDump {
        let mut dump = ListenersConfigDump {
            version_info: self.version_of(ResourceType::Listener).into(),
            ..ListenersConfigDump::default()
        };
        let state = |version: &Version<_>| DynamicListenerState {
            version_info: version.resource.version.to_string(),
            listener: Some(original(&version.resource)),
            last_updated: Some(timestamp(version.since)),
        };
        for (name, slot) in self.listeners.iter().filter(|(name, _)| query.accepts(name)) {
            match slot.origin {
                Origin::Static => {
                    dump.static_listeners.extend(slot.versions().map(|version| StaticListener {
                        listener: Some(original(&version.resource)),
                        last_updated: Some(timestamp(version.since)),
                    }))
                }
                Origin::Dynamic => dump.dynamic_listeners.push(DynamicListener {
                    name: name.to_string(),
                    active_state: slot.active.as_ref().map(state),
                    warming_state: slot.warming.as_ref().map(state),
                    error_state: slot.refused.as_ref().map(refused),
                    ..DynamicListener::default()
                }),
            }
        }
        dump
    }

    fn dump_routes(&self, query: &DumpQuery) -> RoutesConfigDump {
        let mut dump = RoutesConfigDump::default();
        for version in self.listeners.values().filter_map(|slot| slot.active.as_ref()) {
            // It was valid when it arrived.
            let Ok(listener) = Listener::decode(version.resource.body.clone()) else { continue };
            let inline = inline_routes(listener).filter(|(name, _)| query.accepts(name));
            dump.static_route_configs.extend(inline.map(|(_, route_config)| StaticRouteConfig {
                route_config: Some(route_config),
                last_updated: Some(timestamp(version.since)),
            }));
        }
        for slot in self.routes.iter().filter(|(name, _)| query.accepts(name)).map(|(_, s)| s) {
            let active = slot.active.as_ref();
            dump.dynamic_route_configs.push(DynamicRouteConfig {
                version_info: active.map(|v| v.resource.version.to_string()).unwrap_or_default(),
                route_config: active.map(|version| original(&version.resource)),
                last_updated: active.map(|version| timestamp(version.since)),
                error_state: slot.refused.as_ref().map(refused),
                client_status: 0,
            });
        }
        dump
    }
}

impl Store {
    /// Secrets that are there, and those that are waited for.
    fn dump_secrets(&self, query: &DumpQuery) -> SecretsConfigDump {
        let mut dump = SecretsConfigDump::default();
        for name in self.needed(ResourceType::Secret).filter(|name| query.accepts(name)) {
            let slot = self.secrets.get(name);
            let active = slot.and_then(|slot| slot.active.as_ref());
            let secret = DynamicSecret {
                name: name.to_string(),
                version_info: active.map(|v| v.resource.version.to_string()).unwrap_or_default(),
                last_updated: active.map(|version| timestamp(version.since)),
                secret: active.map(|version| original(&version.resource)),
                error_state: slot.and_then(|slot| slot.refused.as_ref()).map(refused),
                client_status: 0,
            };
            match active {
                Some(_) => dump.dynamic_active_secrets.push(secret),
                None => dump.dynamic_warming_secrets.push(secret),
            }
        }
        dump
    }
}

/// Route configurations that are part of a listener, with their names.
fn inline_routes(listener: Listener) -> impl Iterator<Item = (String, Any)> {
    let chains = listener.filter_chains.into_iter().chain(listener.default_filter_chain);
    chains.flat_map(|chain| chain.filters).filter_map(|Filter { config_type, .. }| {
        let ConfigType::TypedConfig(config) = config_type? else { return None };
        let manager: HttpConnectionManager = any::decode(&config).ok()?;
        match manager.route_specifier? {
            RouteSpecifier::RouteConfig(routes) => {
                Some((routes.name.clone(), any::encode(&routes)))
            }
            RouteSpecifier::Rds(_) | RouteSpecifier::ScopedRoutes(_) => None,
        }
    })
}

fn original(resource: &Resource) -> Any {
    Any { type_url: resource.kind.type_url(), value: resource.body.to_vec() }
}

fn refused(refused: &Refused) -> UpdateFailureState {
    UpdateFailureState {
        failed_configuration: Some(original(&refused.resource)),
        last_update_attempt: Some(timestamp(refused.at)),
        details: refused.reason.clone(),
        version_info: refused.resource.version.to_string(),
    }
}

/// To the millisecond, as Envoy has it.
fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_millis() * 1_000_000).unwrap_or(0),
    }
}

/// A part as JSON; one that cannot be shown says so.
/// The JSON of a message, without secrets.
fn shown(pool: &Pool, part: &Any) -> Value {
    let json = to_json(pool, &Any::full_name(), &part.encode_to_vec(), Redact::Secrets);
    let value = json
        .map_err(|error| error.to_string())
        .and_then(|json| serde_json::to_value(&json).map_err(|error| error.to_string()));
    value.unwrap_or_else(|error| json!({ "@type": part.type_url, "error": error }))
}
