//! Which cluster a request is sent to. (envoy: config.route.v3.RouteAction.cluster_specifier)

use std::sync::Arc;

use outrigger_policy::head::Name;
use outrigger_policy::route::{Split, Target};
use outrigger_xds_api::envoy::config::route::v3::WeightedCluster;
use outrigger_xds_api::envoy::config::route::v3::route_action::ClusterSpecifier;
use outrigger_xds_api::envoy::config::route::v3::weighted_cluster::cluster_weight::HostRewriteSpecifier;
use outrigger_xds_api::envoy::config::route::v3::weighted_cluster::{
    ClusterWeight, RandomValueSpecifier,
};

use super::entry::OverrideLevels;
use super::overrides::Overrides;
use super::rewrite::host_literal;
use super::{TableLevel, header_ops};
use crate::config::common::{Translated, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher::header_name;
use crate::http::route::TargetCluster;

/// What the clusters of a route need to know of it.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) table: &'a TableLevel,
    /// The route's name.
    pub(super) route: &'a str,
    pub(super) overrides: OverrideLevels<'a>,
}

/// `at` is the action.
pub(super) fn target(
    specifier: ClusterSpecifier,
    around: Around<'_>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Target<Arc<TargetCluster>>> {
    match specifier {
        ClusterSpecifier::Cluster(name) => {
            let at = at.field("cluster");
            let name = non_empty(name, &at)?;
            around.table.check_cluster("cluster", &name, &at, cx)?;
            Ok(Target::Cluster(Arc::new(TargetCluster {
                name: name.into(),
                header_ops: None,
                host_rewrite: None,
                overrides: Arc::default(),
            })))
        }
        ClusterSpecifier::ClusterHeader(name) => {
            Ok(Target::Header(header_name(&name, &at.field("cluster_header"))?))
        }
        ClusterSpecifier::WeightedClusters(message) => {
            weighted(message, around, &at.field("weighted_clusters"), cx)
        }
        ClusterSpecifier::ClusterSpecifierPlugin(_) => {
            Err(at.field("cluster_specifier_plugin").unsupported("a plugin that chooses clusters"))
        }
        ClusterSpecifier::InlineClusterSpecifierPlugin(_) => {
            let at = at.field("inline_cluster_specifier_plugin");
            Err(at.unsupported("a plugin that chooses clusters"))
        }
    }
}

fn weighted(
    message: WeightedCluster,
    around: Around<'_>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Target<Arc<TargetCluster>>> {
    fields!(cx, at, message => WeightedCluster {
        used: clusters, random_value_specifier;
        ignored:
            total_weight = "the total is the sum of the weights",
            runtime_key_prefix = "runtime keys cannot be changed while the proxy runs";
    });
    let header_name = match random_value_specifier {
        None => None,
        Some(RandomValueSpecifier::HeaderName(name)) => random_header(&name, at)?,
        Some(RandomValueSpecifier::UseHashPolicy(flag)) if !flag.value => None,
        Some(RandomValueSpecifier::UseHashPolicy(_)) => {
            return Err(at.field("use_hash_policy").unsupported("a hash policy"));
        }
    };
    let at = at.field("clusters");
    let mut weights = Vec::with_capacity(clusters.len());
    for (index, message) in clusters.into_iter().enumerate() {
        weights.push(cluster_weight(message, around, &at.index(index), cx)?);
    }
    let split = Split::new(weights, around.route).map_err(|error| at.error(error))?;
    Ok(Target::Weighted { split, header_name })
}

fn random_header(name: &str, at: &At<'_>) -> Translated<Option<Name>> {
    if name.is_empty() { Ok(None) } else { header_name(name, &at.field("header_name")).map(Some) }
}

fn cluster_weight(
    message: ClusterWeight,
    around: Around<'_>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(u32, Arc<TargetCluster>)> {
    fields!(cx, at, message => ClusterWeight {
        used: name, weight, request_headers_to_add, request_headers_to_remove,
            response_headers_to_add, response_headers_to_remove, typed_per_filter_config,
            host_rewrite_specifier;
        refused:
            cluster_header = "a weighted cluster named by a header",
            metadata_match = "a choice of hosts by metadata";
    });
    let name = non_empty(name, &at.field("name"))?;
    around.table.check_cluster("weighted cluster", &name, &at.field("name"), cx)?;
    let weight = required(weight, &at.field("weight"))?.value;
    let own = Overrides::new(typed_per_filter_config, at, cx)?;
    let cluster = TargetCluster {
        name: name.into(),
        header_ops: header_ops::Lists {
            request_add: request_headers_to_add,
            request_remove: request_headers_to_remove,
            response_add: response_headers_to_add,
            response_remove: response_headers_to_remove,
        }
        .level(at, cx)?,
        host_rewrite: match host_rewrite_specifier {
            Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
                host_literal(host, at)?.map(String::into_boxed_str)
            }
            None => None,
        },
        // A filter that the cluster does not name is looked up in its route.
        overrides: own.over(&around.overrides, None),
    };
    Ok((weight, Arc::new(cluster)))
}
