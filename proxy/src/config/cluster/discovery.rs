//! Where the hosts of a cluster come from. (envoy: Cluster.type, cluster_type)

use std::sync::Arc;

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CustomClusterType, DiscoveryType, EdsClusterConfig,
};

use super::Discovery;
use super::dns::{self, Rules};
use crate::config::common::{Translated, decode, enumeration, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::source;

const DNS_CLUSTER: &str = "envoy.extensions.clusters.dns.v3.DnsCluster";

/// Who tells the hosts.
pub(super) enum Place {
    Static,
    Dns(Rules),
    Eds,
    OriginalDst,
}

/// Translates the kind; `at` is the cluster, whose fields about names hold unless its kind has some of its own.
pub(super) fn place(
    kind: Option<ClusterDiscoveryType>,
    dns: dns::ClusterFields,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Place> {
    let type_at = at.field("type");
    let kind = match kind {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(kind)) => enumeration(kind, &type_at)?,
        Some(ClusterDiscoveryType::ClusterType(message)) => {
            dns::of_cluster(dns, false, at, cx)?;
            return custom(message, &at.field("cluster_type"), cx).map(Place::Dns);
        }
    };
    // Wrong values are refused in every cluster, as in Envoy.
    let rules = dns::of_cluster(dns, kind == DiscoveryType::LogicalDns, at, cx)?;
    match kind {
        DiscoveryType::Static => Ok(Place::Static),
        DiscoveryType::StrictDns | DiscoveryType::LogicalDns => Ok(Place::Dns(rules)),
        DiscoveryType::Eds => Ok(Place::Eds),
        DiscoveryType::OriginalDst => Ok(Place::OriginalDst),
    }
}

fn custom(message: CustomClusterType, at: &At<'_>, cx: &Cx<'_>) -> Translated<Rules> {
    fields!(cx, at, message => CustomClusterType { used: name, typed_config; });
    let name = non_empty(name, &at.field("name"))?;
    let at = at.field("typed_config");
    let unsupported = || at.unsupported(format_args!("the cluster type {name}"));
    let config = typed_config.ok_or_else(unsupported)?;
    if any::type_name(&config.type_url) != Some(DNS_CLUSTER) {
        return Err(unsupported());
    }
    dns::of_type(decode(&config, &at)?, &at, cx)
}

/// Discovery by a control plane; `at` is the cluster.
pub(super) fn eds(
    message: Option<EdsClusterConfig>,
    has_assignment: bool,
    cluster: &Arc<str>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Discovery> {
    if has_assignment {
        cx.note_ignored(&at.field("load_assignment"), "hosts are discovered");
    }
    let at = at.field("eds_cluster_config");
    let message = required(message, &at)?;
    fields!(cx, at, message => EdsClusterConfig { used: eds_config, service_name; });
    let from_at = at.field("eds_config");
    let from = source::config_source(required(eds_config, &from_at)?, &from_at, cx)?;
    let service_name = if service_name.is_empty() { cluster.clone() } else { service_name.into() };
    Ok(Discovery::Eds { service_name, from })
}
