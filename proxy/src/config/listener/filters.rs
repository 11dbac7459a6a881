//! Network filters of a filter chain, and HTTP filters of a connection manager.

use std::sync::Arc;

use outrigger_policy::timeout::RouterOptions;
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::listener::v3::Filter as NetworkMessage;
use outrigger_xds_api::envoy::config::listener::v3::filter::ConfigType as NetworkConfig;
use outrigger_xds_api::envoy::extensions::filters::http::router::v3::Router;
use outrigger_xds_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter as HttpMessage;
use outrigger_xds_api::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType as HttpConfig;
use outrigger_xds_api::envoy::extensions::filters::network::sni_cluster::v3::SniCluster;
use outrigger_xds_api::envoy::extensions::filters::network::direct_response::v3::Config as DirectResponse;
use outrigger_xds_api::google::protobuf::Any;

use super::{Scope, hcm, tcp_proxy};
use crate::config::common::{Translated, bool_or, data_source, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::{At, ConfigError};
use crate::config::fields::fields;
use crate::config::{filters as http_filters, typed_struct};
use crate::http::filters::{FilterChain, PlacedFilter};
use crate::listener::network::{RbacNetwork, TcpProxy};
use crate::listener::{Direction, Terminal};

/// Decodes a message whose type was looked at.
pub(super) fn decode<M: prost::Message + prost::Name + Default>(
    config: &Any,
    at: &At<'_>,
) -> Result<M, ConfigError> {
    any::decode(config).map_err(|error| at.error(error))
}

/// Translates a chain's network filters: authorization, then one that takes the bytes.
pub(super) fn network_filters(
    messages: Vec<NetworkMessage>,
    at: &At<'_>,
    cx: &Cx<'_>,
    scope: &Scope<'_>,
) -> Translated<(Vec<Arc<RbacNetwork>>, Terminal)> {
    let mut rbac = Vec::new();
    let mut peer_exchange = None;
    let mut istio_stats = Vec::new();
    let mut terminal = None;
    let mut by_server_name = false;
    for (index, message) in messages.into_iter().enumerate() {
        let at = at.index(index);
        if terminal.is_some() {
            return Err(at.error("a filter after the one that takes the bytes would never run"));
        }
        fields!(cx, at, message => NetworkMessage {
            used: name, config_type;
        });
        // The type of the configuration says what it is.
        drop(name);
        let at = at.field("typed_config");
        let config = match required(config_type, &at)? {
            NetworkConfig::TypedConfig(config) => config,
            NetworkConfig::ConfigDiscovery(_) => {
                return Err(at.unsupported("discovery of a network filter"));
            }
        };
        match any::type_name(&config.type_url) {
            Some(
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            ) => {
                let manager = hcm::manager(decode(&config, &at)?, &at, cx, scope)?;
                terminal = Some(Terminal::Http(Arc::new(manager)));
            }
            Some("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy") => {
                let proxy = TcpProxy {
                    by_server_name,
                    peer_exchange: peer_exchange.take(),
                    istio_stats: std::mem::take(&mut istio_stats),
                    ..tcp_proxy::tcp_proxy(decode(&config, &at)?, &at, cx)?
                };
                terminal = Some(Terminal::Tcp(Arc::new(proxy)));
            }
            Some("envoy.extensions.filters.network.sni_cluster.v3.SniCluster") => {
                let message: SniCluster = decode(&config, &at)?;
                fields!(cx, at, message => SniCluster {});
                by_server_name = true;
            }
            Some("envoy.extensions.filters.network.direct_response.v3.Config") => {
                let message: DirectResponse = decode(&config, &at)?;
                fields!(cx, at, message => DirectResponse { used: response; });
                let bytes = response.map(|source| data_source(source, &at.field("response"), cx));
                terminal = Some(Terminal::Direct(bytes.transpose()?.unwrap_or_default().into()));
            }
            Some("envoy.extensions.filters.network.rbac.v3.RBAC") => {
                let filter = http_filters::rbac::network(decode(&config, &at)?, &at, cx)?;
                rbac.push(Arc::new(filter));
            }
            Some("stats.PluginConfig") => {
                let message = decode(&config, &at)?;
                istio_stats.push(http_filters::istio_stats(message, &at, cx, scope.direction)?);
            }
            _ => match typed_struct::unwrap(&config, &at)? {
                Some((type_url, members))
                    if any::type_name(&type_url) == Some(http_filters::peer_metadata::TCP) =>
                {
                    peer_exchange = Some(http_filters::peer_metadata::exchange(members, &at, cx)?);
                }
                inner => {
                    let type_url = inner.map_or(config.type_url, |(type_url, _)| type_url);
                    return Err(at.unsupported(format_args!("the network filter {type_url}")));
                }
            },
        }
    }
    let terminal = terminal.ok_or_else(|| {
        at.error(
            "the last filter must be an HTTP connection manager, a TCP proxy or a direct response",
        )
    })?;
    if peer_exchange.is_some() && matches!(terminal, Terminal::Http(_)) {
        let reason = "peers tell themselves in headers, and no bytes come before a request";
        cx.note_ignored(at, reason);
    }
    if !istio_stats.is_empty() {
        return Err(at.unsupported("istio.stats before another filter than a TCP proxy"));
    }
    Ok((rbac, terminal))
}

/// Translates a connection manager's HTTP filters; the last must be the router.
pub(super) fn http_filters(
    messages: Vec<HttpMessage>,
    at: &At<'_>,
    cx: &Cx<'_>,
    stat_prefix: &str,
    direction: Direction,
) -> Translated<(FilterChain, RouterOptions)> {
    let mut filters = Vec::new();
    let mut router = None;
    for (index, message) in messages.into_iter().enumerate() {
        let at = at.index(index);
        if router.is_some() {
            return Err(at.error("the router must be the last filter"));
        }
        fields!(cx, at, message => HttpMessage { used: name, is_optional, disabled, config_type; });
        let name: Arc<str> = non_empty(name, &at.field("name"))?.into();
        let at = at.field("typed_config");
        let config = match required(config_type, &at)? {
            HttpConfig::TypedConfig(config) => config,
            HttpConfig::ConfigDiscovery(_) => {
                return Err(at.unsupported("discovery of an HTTP filter"));
            }
        };
        if any::type_name(&config.type_url)
            == Some("envoy.extensions.filters.http.router.v3.Router")
        {
            if disabled {
                return Err(at.error("the router cannot be disabled"));
            }
            router = Some(self::router(decode(&config, &at)?, &at, cx)?);
            continue;
        }
        match http_filters::http_filter(&config, &at, cx, stat_prefix, direction)? {
            http_filters::Known::Filter(filter) => {
                filters.push(PlacedFilter { name, is_disabled: disabled, filter });
            }
            http_filters::Known::WithoutEffect(reason) => cx.note_ignored(&at, reason),
            http_filters::Known::No if is_optional => {
                cx.note_ignored(&at, "the filter is optional")
            }
            http_filters::Known::No => {
                return Err(at.unsupported(format_args!("the HTTP filter {}", config.type_url)));
            }
        }
    }
    let router = router.ok_or_else(|| at.error("the last filter must be the router"))?;
    Ok((FilterChain { filters: filters.into() }, router))
}

fn router(message: Router, at: &At<'_>, cx: &Cx<'_>) -> Translated<RouterOptions> {
    fields!(cx, at, message => Router {
        used: suppress_envoy_headers, respect_expected_rq_timeout, dynamic_stats;
        ignored:
            start_child_span = "spans are not sent yet",
            suppress_grpc_request_failure_code_stats = "only stats of gRPC failures would change",
            reject_connect_request_early_data = "CONNECT is not served";
        refused:
            upstream_log = "a log of attempts",
            upstream_log_options = "a log of attempts",
            strict_check_headers = "strict checks of x-envoy headers",
            upstream_http_filters = "filters of attempts";
    });
    if !bool_or(dynamic_stats, true) {
        cx.note_ignored(&at.field("dynamic_stats"), "stats of clusters are always kept");
    }
    Ok(RouterOptions { respect_expected_rq_timeout, suppress_envoy_headers })
}
