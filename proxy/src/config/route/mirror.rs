//! Copies of requests that are sent elsewhere. (envoy: config.route.v3.RouteAction.RequestMirrorPolicy)
//!
//! The most specific level that has any policy decides alone.

use std::sync::Arc;

use outrigger_xds_api::envoy::config::route::v3::route_action::RequestMirrorPolicy as Message;

use super::TableLevel;
use crate::config::common::{Translated, non_empty, runtime_fraction};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::route::MirrorPolicy;

/// The policies of a level, or without any those that it inherits; `at` is the level.
pub(super) fn policies(
    messages: Vec<Message>,
    table: &TableLevel,
    inherited: &Arc<[MirrorPolicy]>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Arc<[MirrorPolicy]>> {
    if messages.is_empty() {
        return Ok(inherited.clone());
    }
    let at = at.field("request_mirror_policies");
    let each = |(index, message)| policy(message, table, &at.index(index), cx);
    messages.into_iter().enumerate().map(each).collect()
}

fn policy(
    message: Message,
    table: &TableLevel,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<MirrorPolicy> {
    fields!(cx, at, message => Message {
        used: cluster, runtime_fraction, disable_shadow_host_suffix_append;
        ignored: trace_sampled = "spans are not sent";
        refused:
            cluster_header = "a cluster named by a header",
            request_headers_mutations = "other headers for the copy",
            host_rewrite_literal = "another host for the copy";
    });
    let cluster = non_empty(cluster, &at.field("cluster"))?;
    table.check_cluster("shadow cluster", &cluster, &at.field("cluster"), cx)?;
    let at = at.field("runtime_fraction");
    Ok(MirrorPolicy {
        cluster: cluster.into(),
        fraction: runtime_fraction
            .map(|message| self::runtime_fraction(message, &at, cx))
            .transpose()?,
        keeps_host: disable_shadow_host_suffix_append,
    })
}
