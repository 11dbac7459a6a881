//! The routes for some domains. (envoy: config.route.v3.VirtualHost)

use std::cell::RefCell;
use std::sync::Arc;

use outrigger_policy::route::{TlsRequirement, VirtualHostSpec};
use outrigger_xds_api::envoy::config::route::v3::VirtualHost as Message;
use outrigger_xds_api::envoy::config::route::v3::virtual_host::TlsRequirementType;

use super::entry::route;
use super::overrides::Overrides;
use super::retry::{Retries, retries};
use super::timeouts::buffer_limit;
use super::{TableLevel, header_ops, mirror};
use crate::config::common::{Translated, enumeration, header_value, non_empty};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::filters::FilterOverrides;
use crate::http::route::{LevelOps, MirrorPolicy, RouteEntry};
use crate::upstream::Metadata;

/// What a virtual host says about its routes, with what the table says where it is silent.
pub(super) struct HostLevel<'t> {
    pub(super) table: &'t TableLevel,
    pub(super) name: Arc<str>,
    pub(super) header_ops: Option<Arc<LevelOps>>,
    /// Its own.
    pub(super) overrides: Overrides,
    /// Those of a route that has none of its own.
    pub(super) inherited: Arc<FilterOverrides>,
    pub(super) retries: Retries,
    pub(super) mirrors: Arc<[MirrorPolicy]>,
    pub(super) attempt_count_in_request: bool,
    pub(super) attempt_count_in_response: bool,
    pub(super) buffer_limit_bytes: Option<usize>,
    /// That of the route before.
    pub(super) last_metadata: RefCell<Option<Arc<Metadata>>>,
}

impl HostLevel<'_> {
    /// What the control plane says of a route. Routes that come from one object say the same, one after the other: they share it.
    pub(super) fn shared(&self, said: Metadata) -> Option<Arc<Metadata>> {
        if said.is_empty() {
            return None;
        }
        let mut last = self.last_metadata.borrow_mut();
        if last.as_deref() != Some(&said) {
            *last = Some(Arc::new(said));
        }
        last.clone()
    }
}

pub(super) fn virtual_host(
    message: Message,
    table: &TableLevel,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<VirtualHostSpec<RouteEntry>> {
    fields!(cx, at, message => Message {
        used: name, domains, routes, require_tls, request_headers_to_add, request_headers_to_remove,
            response_headers_to_add, response_headers_to_remove, typed_per_filter_config,
            include_request_attempt_count, include_attempt_count_in_response, retry_policy,
            per_request_buffer_limit_bytes, request_body_buffer_limit, request_mirror_policies;
        ignored:
            virtual_clusters = "requests are not counted for each virtual cluster",
            metadata = "nothing reads metadata of virtual hosts";
        refused:
            matcher = "a matcher tree of routes",
            rate_limits = "a rate limit of a service",
            cors = "the deprecated policy (typed_per_filter_config has another)",
            retry_policy_typed_config = "a retry extension",
            hedge_policy = "hedging",
            include_is_timeout_retry_header = "x-envoy-is-timeout-retry",
            route_specifiers = "a route specifier";
    });
    let name = non_empty(name, &at.field("name"))?;
    if domains.is_empty() {
        return Err(at.field("domains").error("must not be empty"));
    }
    let domain = |(index, domain)| header_value(domain, &at.field("domains").index(index));
    let domains = domains.into_iter().enumerate().map(domain).collect::<Result<_, _>>()?;
    let overrides = Overrides::new(typed_per_filter_config, at, cx)?;
    let level = HostLevel {
        table,
        name: name.as_str().into(),
        header_ops: header_ops::Lists {
            request_add: request_headers_to_add,
            request_remove: request_headers_to_remove,
            response_add: response_headers_to_add,
            response_remove: response_headers_to_remove,
        }
        .level(at, cx)?,
        inherited: overrides.over(&[&table.overrides], Some(&table.inherited)),
        overrides,
        retries: retries(retry_policy, &at.field("retry_policy"), cx)?.unwrap_or_default(),
        mirrors: mirror::policies(request_mirror_policies, table, &table.mirrors, at, cx)?,
        attempt_count_in_request: include_request_attempt_count,
        attempt_count_in_response: include_attempt_count_in_response,
        buffer_limit_bytes: buffer_limit(request_body_buffer_limit, per_request_buffer_limit_bytes),
        last_metadata: RefCell::default(),
    };
    let at_routes = at.field("routes");
    let route = |(index, message)| route(message, &level, &at_routes.index(index), cx);
    Ok(VirtualHostSpec {
        name,
        domains,
        require_tls: match enumeration(require_tls, &at.field("require_tls"))? {
            TlsRequirementType::None => TlsRequirement::None,
            TlsRequirementType::ExternalOnly => TlsRequirement::ExternalOnly,
            TlsRequirementType::All => TlsRequirement::All,
        },
        routes: routes.into_iter().enumerate().map(route).collect::<Result<_, _>>()?,
    })
}
