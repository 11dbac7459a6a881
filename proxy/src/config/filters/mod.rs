//! HTTP filters, the network filter that shares their rules, and what routes change about them.
//!
//! [`http_filter`] is called by the connection manager with each of its filters, the functions beside it by routes with their
//! overrides. The router is not here: it is a stage of its own.

mod alpn;
mod compressor;
mod cors;
mod fault;
mod grpc_stats;
mod istio_stats;
pub(super) mod peer_metadata;
pub mod rbac;
#[cfg(test)]
mod tests;

use outrigger_xds_api::any;
use outrigger_xds_api::google::protobuf::Any;

pub(super) use cors::cors_level;
pub(super) use fault::fault;
pub(super) use istio_stats::istio_stats;

use super::common::{Translated, decode};
use super::cx::Cx;
use super::error::At;
use super::typed_struct;
use crate::http::filters::{Filter, IstioStatsFilter};
use crate::listener::Direction;

/// What a message that configures an HTTP filter stands for.
#[derive(Debug)]
pub enum Known {
    /// This filter.
    Filter(Filter),
    /// A filter that changes no answer here, for this reason.
    WithoutEffect(&'static str),
    /// Nothing that is known here.
    No,
}

/// The filter that `config` configures, in a connection manager with this `stat_prefix`, of a listener whose traffic goes in this
/// `direction`.
///
/// # Errors
/// If the message does not hold what its type promises, or asks for what is not supported.
pub fn http_filter(
    config: &Any,
    at: &At<'_>,
    cx: &Cx<'_>,
    stat_prefix: &str,
    direction: Direction,
) -> Translated<Known> {
    if let Some((type_url, members)) = typed_struct::unwrap(config, at)? {
        return Ok(match any::type_name(&type_url) {
            Some(peer_metadata::HTTP) => {
                Known::Filter(Filter::PeerMetadata(peer_metadata::http(members, at, cx)?))
            }
            _ => Known::No,
        });
    }
    let scope = format!("http.{stat_prefix}.");
    Ok(match any::type_name(&config.type_url) {
        Some("envoy.extensions.filters.http.cors.v3.Cors") => {
            Known::Filter(Filter::Cors(cors::filter(decode(config, at)?, at, cx, &scope)))
        }
        Some("envoy.extensions.filters.http.fault.v3.HTTPFault") => {
            Known::Filter(Filter::Fault(fault::filter(decode(config, at)?, at, cx, &scope)?))
        }
        Some("envoy.extensions.filters.http.rbac.v3.RBAC") => {
            Known::Filter(Filter::Rbac(rbac::filter(decode(config, at)?, at, cx, &scope)?))
        }
        Some("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig") => {
            Known::Filter(Filter::GrpcStats(grpc_stats::filter(decode(config, at)?, at, cx)?))
        }
        Some("stats.PluginConfig") => {
            let stats = istio_stats(decode(config, at)?, at, cx, direction)?;
            Known::Filter(Filter::IstioStats(IstioStatsFilter(stats)))
        }
        Some("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig") => {
            Known::Filter(Filter::Alpn(alpn::filter(decode(config, at)?, at, cx)?))
        }
        Some("envoy.extensions.filters.http.compressor.v3.Compressor") => {
            compressor::filter(decode(config, at)?, at, cx, &scope)?
        }
        _ => Known::No,
    })
}
