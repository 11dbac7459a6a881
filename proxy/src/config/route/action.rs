//! How a request is forwarded. (envoy: config.route.v3.RouteAction)

use std::sync::Arc;
use std::time::Duration;

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::route::Target;
use outrigger_policy::timeout::TimeoutPolicy;
use outrigger_xds_api::envoy::config::core::v3::RoutingPriority as PriorityMessage;
use outrigger_xds_api::envoy::config::route::v3::RouteAction;
use outrigger_xds_api::envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, InternalRedirectAction, UpgradeConfig,
};

use super::entry::OverrideLevels;
use super::retry::retries;
use super::target::{Around, target};
use super::timeouts::{max_stream_duration, millis};
use super::virtual_host::HostLevel;
use super::{mirror, rewrite};
use crate::config::common::{Translated, bool_or, enumeration, header_value, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::route::{ForwardPolicy, TargetCluster};

/// (envoy: RouteAction.timeout)
const TIMEOUT_MS: u64 = 15_000;

/// Upgrades that a route may name: more than there are, and few enough for a search.
const MAX_UPGRADES: usize = 100;

/// The clusters and the policies of a route of this name, with these overrides of filters.
pub(super) fn forward(
    message: RouteAction,
    host: &HostLevel<'_>,
    (route, overrides): (&str, OverrideLevels<'_>),
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(Target<Arc<TargetCluster>>, ForwardPolicy)> {
    fields!(cx, at, message => RouteAction {
        used: cluster_specifier, cluster_not_found_response_code, prefix_rewrite, regex_rewrite,
            host_rewrite_specifier, append_x_forwarded_host, timeout, idle_timeout, retry_policy,
            request_mirror_policies, priority, max_grpc_timeout, grpc_timeout_offset,
            upgrade_configs, internal_redirect_action, max_stream_duration;
        ignored:
            flush_timeout = "the stream's idle timeout holds until the last byte",
            early_data_policy = "no request is sent as early data",
            include_vh_rate_limits = "no virtual host has rate limits",
            hash_policy = "only load balancers that hash read it, and their clusters are refused",
            max_internal_redirects = "redirects go to the client";
        refused:
            metadata_match = "a choice of hosts by metadata",
            path_rewrite_policy = "a path extension",
            path_rewrite = "a path made by a format",
            retry_policy_typed_config = "a retry extension",
            rate_limits = "a rate limit of a service",
            cors = "the deprecated policy (typed_per_filter_config has another)",
            internal_redirect_policy = "a redirect that is followed here",
            hedge_policy = "hedging";
    });
    let redirects = at.field("internal_redirect_action");
    match enumeration(internal_redirect_action, &redirects)? {
        InternalRedirectAction::PassThroughInternalRedirect => {}
        InternalRedirectAction::HandleInternalRedirect => {
            return Err(redirects.unsupported("a redirect that is followed here"));
        }
    }
    let around = Around { table: host.table, route, overrides };
    let specifier = required(cluster_specifier, &at.field("cluster_specifier"))?;
    let (host_rewrite, auto_host_rewrite) = rewrite::host(host_rewrite_specifier, at, cx)?;
    let retries = match retries(retry_policy, &at.field("retry_policy"), cx)? {
        Some(own) => own,
        None => host.retries.clone(),
    };
    let at_stream = at.field("max_stream_duration");
    let millis = |value, field: &'static str| millis(value, &at.field(field));
    let policy = ForwardPolicy {
        timeouts: TimeoutPolicy {
            timeout_ms: millis(timeout, "timeout")?.unwrap_or(TIMEOUT_MS),
            max_stream_duration: max_stream_duration
                .map(|message| self::max_stream_duration(message, &at_stream, cx))
                .transpose()?,
            max_grpc_timeout_ms: millis(max_grpc_timeout, "max_grpc_timeout")?,
            grpc_timeout_offset_ms: millis(grpc_timeout_offset, "grpc_timeout_offset")?,
            per_try_timeout_ms: retries.per_try_timeout_ms,
            per_try_idle_timeout_ms: retries.per_try_idle_timeout_ms,
        },
        idle_timeout: millis(idle_timeout, "idle_timeout")?.map(Duration::from_millis),
        retry: retries.policy,
        path_rewrite: rewrite::path(prefix_rewrite, regex_rewrite, at, cx)?,
        host_rewrite,
        auto_host_rewrite,
        append_x_forwarded_host,
        priority: match enumeration(priority, &at.field("priority"))? {
            PriorityMessage::Default => RoutingPriority::Default,
            PriorityMessage::High => RoutingPriority::High,
        },
        cluster_not_found_status: not_found_status(cluster_not_found_response_code, at)?,
        mirrors: mirror::policies(request_mirror_policies, host.table, &host.mirrors, at, cx)?,
        upgrades: upgrades(upgrade_configs, &at.field("upgrade_configs"), cx)?,
        attempt_count_in_request: host.attempt_count_in_request,
        attempt_count_in_response: host.attempt_count_in_response,
        buffer_limit_bytes: host.buffer_limit_bytes,
    };
    Ok((target(specifier, around, at, cx)?, policy))
}

fn not_found_status(code: i32, at: &At<'_>) -> Translated<u16> {
    Ok(match enumeration(code, &at.field("cluster_not_found_response_code"))? {
        ClusterNotFoundResponseCode::ServiceUnavailable => 503,
        ClusterNotFoundResponseCode::NotFound => 404,
        ClusterNotFoundResponseCode::InternalServerError => 500,
    })
}

/// Upgrades with what the route says of them. (envoy: RouteAction.UpgradeConfig)
fn upgrades(
    messages: Vec<UpgradeConfig>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Box<[(Box<str>, bool)]>> {
    if messages.len() > MAX_UPGRADES {
        return Err(at.error(format_args!("has more than {MAX_UPGRADES} elements")));
    }
    let mut upgrades: Vec<(Box<str>, bool)> = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => UpgradeConfig {
            used: upgrade_type, enabled;
            refused: connect_config = "CONNECT that ends here";
        });
        let at = at.field("upgrade_type");
        let name = header_value(non_empty(upgrade_type, &at)?, &at)?.to_ascii_lowercase();
        let is_enabled = bool_or(enabled, true);
        if is_enabled && name.starts_with("connect") {
            return Err(at.unsupported("CONNECT"));
        }
        if upgrades.iter().any(|(earlier, _)| **earlier == *name) {
            return Err(at.error(format_args!("Duplicate upgrade {name}")));
        }
        upgrades.push((name.into(), is_enabled));
    }
    Ok(upgrades.into())
}
