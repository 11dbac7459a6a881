//! Cross-origin requests: the filter, which only counts, and the policies that routes bring.

use outrigger_policy::cors::{CorsLevel, CorsPolicy};
use outrigger_xds_api::envoy::extensions::filters::http::cors::v3::{
    Cors, CorsPolicy as PolicyMessage,
};

use crate::config::common::{Translated, runtime_fraction};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;
use crate::http::filters::CorsFilter;

/// (envoy: extensions.filters.http.cors.v3.Cors); `scope` is the connection manager's.
pub(super) fn filter(message: Cors, at: &At<'_>, cx: &Cx<'_>, scope: &str) -> CorsFilter {
    fields!(cx, at, message => Cors {});
    CorsFilter { stats: cx.registry.stats(&format!("{scope}cors.")) }
}

/// What one level says. (envoy: extensions.filters.http.cors.v3.CorsPolicy)
///
/// # Errors
/// If a text cannot stand in a header; Envoy would send it.
pub(in crate::config) fn cors_level(
    message: PolicyMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<CorsLevel> {
    fields!(cx, at, message => PolicyMessage {
        used: allow_origin_string_match, allow_methods, allow_headers, expose_headers, max_age,
            allow_credentials, filter_enabled, shadow_enabled, allow_private_network_access,
            forward_not_matching_preflights;
    });
    let fraction = |message: Option<_>, field: &'static str| {
        message.map(|message| runtime_fraction(message, &at.field(field), cx)).transpose()
    };
    let origins = at.field("allow_origin_string_match");
    let origin = |(index, message)| matcher::string(message, &origins.index(index), cx);
    let level = CorsLevel {
        allow_origins: allow_origin_string_match
            .into_iter()
            .enumerate()
            .map(origin)
            .collect::<Result<_, _>>()?,
        allow_methods: allow_methods.into(),
        allow_headers: allow_headers.into(),
        expose_headers: expose_headers.into(),
        max_age: max_age.into(),
        allow_credentials: allow_credentials.map(|flag| flag.value),
        allow_private_network: allow_private_network_access.map(|flag| flag.value),
        forward_not_matching_preflights: forward_not_matching_preflights.map(|flag| flag.value),
        filter_enabled: fraction(filter_enabled, "filter_enabled")?,
        shadow_enabled: fraction(shadow_enabled, "shadow_enabled")?,
    };
    // The texts of a level alone tell whether it can be merged: here the place of the mistake is known.
    CorsPolicy::new([level.clone()]).map_err(|error| at.error(error))?;
    Ok(level)
}
