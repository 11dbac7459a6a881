//! Route configurations: the message of RDS, or the one inside a connection manager, becomes a [`RouteTable`].
//! (envoy: config.route.v3.RouteConfiguration)
//!
//! One file per message that matters: `virtual_host`, `entry` (a route), `matching`, `action` and what stands in one. Levels that hold
//! for others (the table, a virtual host) are translated once and shared. Each route carries everything: at run time nothing is
//! inherited.

mod action;
mod direct_response;
mod entry;
mod header_ops;
mod matching;
mod mirror;
mod overrides;
mod redirect;
mod retry;
mod rewrite;
mod target;
mod timeouts;
mod virtual_host;

#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use outrigger_policy::route::RouteTableSpec;
use outrigger_xds::Resource;
use outrigger_xds_api::envoy::config::route::v3::RouteConfiguration;

use self::overrides::Overrides;
use super::common::{Translated, bool_or, message_of, u32_or};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use super::matcher::header_name;
use crate::http::filters::FilterOverrides;
use crate::http::route::{LevelOps, MirrorPolicy, RouteTable};

/// Bytes that the body of a direct response may have.
/// (envoy: RouteConfiguration.max_direct_response_body_size_bytes)
const DIRECT_RESPONSE_BODY_BYTES: u32 = 4096;

/// A route configuration that came by discovery: its clusters need not exist unless it says so.
///
/// # Errors
/// The first thing in it that cannot be done.
pub fn table(message: RouteConfiguration, at: &At<'_>, cx: &Cx<'_>) -> Translated<RouteTable> {
    translate(message, false, at, cx)
}

/// The route configuration that a resource holds.
///
/// # Errors
/// As [`table`].
pub fn from_resource(resource: &Resource, cx: &Cx<'_>) -> Translated<RouteTable> {
    let at = At::root("");
    table(message_of(resource, &at)?, &at, cx)
}

/// A route configuration inside a connection manager: its clusters must exist unless it says otherwise.
///
/// # Errors
/// As [`table`].
pub fn inline_table(
    message: RouteConfiguration,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<RouteTable> {
    translate(message, true, at, cx)
}

/// What the table says about all routes.
struct TableLevel {
    checks_clusters: bool,
    body_limit_bytes: u32,
    most_specific_wins: bool,
    header_ops: Option<Arc<LevelOps>>,
    overrides: Overrides,
    inherited: Arc<FilterOverrides>,
    mirrors: Arc<[MirrorPolicy]>,
}

impl TableLevel {
    /// Checks a cluster that a route names; the text is Envoy's.
    fn check_cluster(&self, kind: &str, name: &str, at: &At<'_>, cx: &Cx<'_>) -> Translated<()> {
        if self.checks_clusters && !cx.knows_cluster(name) {
            return Err(at.error(format_args!("route: unknown {kind} '{name}'")));
        }
        Ok(())
    }
}

fn translate(
    message: RouteConfiguration,
    is_inline: bool,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<RouteTable> {
    fields!(cx, at, message => RouteConfiguration {
        used: name, virtual_hosts, internal_only_headers, response_headers_to_add,
            response_headers_to_remove, request_headers_to_add, request_headers_to_remove,
            most_specific_header_mutations_wins, validate_clusters,
            max_direct_response_body_size_bytes, request_mirror_policies,
            ignore_port_in_host_matching, typed_per_filter_config;
        ignored: metadata = "nothing reads metadata of routes";
        refused:
            vhds = "discovery of virtual hosts",
            cluster_specifier_plugins = "a plugin that chooses clusters",
            vhost_header = "a virtual host by another header",
            ignore_path_parameters_in_path_matching = "matching without path parameters",
            route_specifiers = "a route specifier";
    });
    let overrides = Overrides::new(typed_per_filter_config, at, cx)?;
    let mut level = TableLevel {
        checks_clusters: bool_or(validate_clusters, is_inline),
        body_limit_bytes: u32_or(max_direct_response_body_size_bytes, DIRECT_RESPONSE_BODY_BYTES),
        most_specific_wins: most_specific_header_mutations_wins,
        header_ops: header_ops::Lists {
            request_add: request_headers_to_add,
            request_remove: request_headers_to_remove,
            response_add: response_headers_to_add,
            response_remove: response_headers_to_remove,
        }
        .level(at, cx)?,
        inherited: overrides.over(&[], None),
        overrides,
        mirrors: Arc::default(),
    };
    level.mirrors = mirror::policies(request_mirror_policies, &level, &level.mirrors, at, cx)?;
    let at_hosts = at.field("virtual_hosts");
    let host =
        |(index, message)| virtual_host::virtual_host(message, &level, &at_hosts.index(index), cx);
    let spec = RouteTableSpec {
        name,
        ignore_port_in_host_matching,
        internal_only_headers: internal_only_headers
            .iter()
            .enumerate()
            .map(|(index, name)| header_name(name, &at.field("internal_only_headers").index(index)))
            .collect::<Result<_, _>>()?,
        virtual_hosts: virtual_hosts.into_iter().enumerate().map(host).collect::<Result<_, _>>()?,
    };
    RouteTable::new(spec).map_err(|error| at_hosts.error(error))
}
