//! One route: what it matches and what it does. (envoy: config.route.v3.Route)

use outrigger_policy::route::{Action, Route};
use outrigger_xds_api::envoy::config::route::v3::route::Action as Kind;
use outrigger_xds_api::envoy::config::route::v3::{Decorator, Route as Message};

use super::action::forward;
use super::direct_response::direct_response;
use super::header_ops;
use super::matching::route_match;
use super::overrides::Overrides;
use super::redirect::redirect;
use super::timeouts::buffer_limit;
use super::virtual_host::HostLevel;
use crate::config::cluster::metadata;
use crate::config::common::{Translated, bool_or, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::route::{ForwardPolicy, RouteEntry, RouteStats};

/// Filters' overrides that hold for a route, the most specific first.
pub(super) type OverrideLevels<'a> = [&'a Overrides; 3];

pub(super) fn route(
    message: Message,
    host: &HostLevel<'_>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Route<RouteEntry>> {
    fields!(cx, at, message => Message {
        used: name, r#match, action, typed_per_filter_config, request_headers_to_add,
            request_headers_to_remove, response_headers_to_add, response_headers_to_remove,
            per_request_buffer_limit_bytes, request_body_buffer_limit, stat_prefix, decorator, metadata;
        refused:
            tracing = "sampling of its own",
            route_specifiers = "a route specifier";
    });
    let matcher = route_match(required(r#match, &at.field("match"))?, &at.field("match"), cx)?;
    let overrides = Overrides::new(typed_per_filter_config, at, cx)?;
    let levels: OverrideLevels<'_> = [&overrides, &host.overrides, &host.table.overrides];
    let buffer_limit = buffer_limit(request_body_buffer_limit, per_request_buffer_limit_bytes)
        .or(host.buffer_limit_bytes);
    let (action, forward) = match required(action, &at.field("action"))? {
        Kind::Route(message) => {
            let (target, forward) =
                forward(message, host, (&name, levels), &at.field("route"), cx)?;
            (Action::Forward(target), ForwardPolicy { buffer_limit_bytes: buffer_limit, ..forward })
        }
        Kind::Redirect(message) => {
            let redirect = redirect(message, &at.field("redirect"), cx)?;
            (Action::Redirect(redirect), ForwardPolicy::default())
        }
        Kind::DirectResponse(message) => {
            let limit = host.table.body_limit_bytes;
            let response = direct_response(message, limit, &at.field("direct_response"), cx)?;
            (Action::DirectResponse(response), ForwardPolicy::default())
        }
        Kind::FilterAction(_) => {
            return Err(at.field("filter_action").unsupported("an action of a filter"));
        }
        Kind::NonForwardingAction(_) => {
            return Err(at.field("non_forwarding_action").unsupported("serving a request"));
        }
    };
    let own_ops = header_ops::Lists {
        request_add: request_headers_to_add,
        request_remove: request_headers_to_remove,
        response_add: response_headers_to_add,
        response_remove: response_headers_to_remove,
    }
    .level(at, cx)?;
    let inherited_ops = [&host.header_ops, &host.table.header_ops].into_iter().flatten().cloned();
    let entry = RouteEntry {
        name: name.as_str().into(),
        virtual_host: host.name.clone(),
        action,
        header_ops: own_ops.into_iter().chain(inherited_ops).collect(),
        most_specific_wins: host.table.most_specific_wins,
        overrides: overrides.over(&[&host.overrides, &host.table.overrides], Some(&host.inherited)),
        forward,
        stats: route_stats(&stat_prefix, host, cx),
        operation: match decorator {
            Some(message) => operation(message, &at.field("decorator"), cx)?,
            None => None,
        },
        metadata: host.shared(self::metadata(metadata, &at.field("metadata"), cx)?),
    };
    Ok(Route { name, matcher, payload: entry })
}

/// What the other side is told that this is; nothing if it is not to be told.
fn operation(message: Decorator, at: &At<'_>, cx: &Cx<'_>) -> Translated<Option<Box<[u8]>>> {
    fields!(cx, at, message => Decorator { used: operation, propagate; });
    let operation = non_empty(operation, &at.field("operation"))?;
    if !operation.bytes().all(outrigger_policy::head::is_value_byte) {
        return Err(at.field("operation").error("holds a control character"));
    }
    Ok(bool_or(propagate, true).then(|| operation.into_bytes().into()))
}

fn route_stats(prefix: &str, host: &HostLevel<'_>, cx: &Cx<'_>) -> Option<Box<RouteStats>> {
    if prefix.is_empty() {
        return None;
    }
    let scope = format!("vhost.{}.route.{prefix}.", host.name);
    Some(Box::new(RouteStats {
        codes: cx.registry.stats(&scope),
        requests: cx.registry.stats(&scope),
    }))
}
