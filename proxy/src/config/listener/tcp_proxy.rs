//! (envoy: extensions.filters.network.tcp_proxy.v3.TcpProxy)

use std::sync::Arc;
use std::time::Duration;

use outrigger_policy::route::Split;
use outrigger_xds_api::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy as Message;
use outrigger_xds_api::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::weighted_cluster::ClusterWeight;
use outrigger_xds_api::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, TcpAccessLogOptions, WeightedCluster,
};

use crate::config::access_log;
use crate::config::common::{Translated, duration, non_empty, required, timeout, u32_or};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::listener::network::TcpProxy;
use crate::listener::network::tcp_proxy::Target;

/// (envoy: TcpProxy.idle_timeout)
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Attempts that a configuration may ask for.
const MOST_ATTEMPTS: u32 = 100;

pub(super) fn tcp_proxy(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<TcpProxy> {
    fields!(cx, at, message => Message {
        used: stat_prefix, idle_timeout, access_log, max_connect_attempts,
            max_downstream_connection_duration, access_log_options, cluster_specifier,
            upstream_connect_mode;
        ignored:
            backoff_options = "another host is tried at once",
            max_downstream_connection_duration_jitter_percentage = "connections end at their time",
            check_drain_close = "connections of TCP end by themselves",
            proxy_protocol_tlv_merge_policy = "no PROXY protocol is sent",
            hash_policy = "only load balancers that hash read it, and their clusters are refused",
            max_early_data_bytes = "it only matters for other connect modes",
            access_log_flush_interval = "a connection is logged when it ends",
            flush_access_log_on_connected = "a connection is logged when it ends";
        refused:
            on_demand = "on-demand discovery",
            metadata_match = "a match of endpoint metadata",
            downstream_idle_timeout = "an idle timeout of one direction",
            upstream_idle_timeout = "an idle timeout of one direction",
            tunneling_config = "tunnelling over HTTP",
            proxy_protocol_tlvs = "the PROXY protocol";
    });
    if upstream_connect_mode != 0 {
        return Err(at.field("upstream_connect_mode").unsupported("connecting late"));
    }
    if let Some(message) = access_log_options {
        fields!(cx, at, message => TcpAccessLogOptions {
            ignored:
                access_log_flush_interval = "a connection is logged when it ends",
                flush_access_log_on_connected = "a connection is logged when it ends",
                flush_access_log_on_start = "a connection is logged when it ends";
        });
    }
    let stat_prefix = non_empty(stat_prefix, &at.field("stat_prefix"))?;
    let connect_attempts = u32_or(max_connect_attempts, 1);
    if !(1..=MOST_ATTEMPTS).contains(&connect_attempts) {
        let at = at.field("max_connect_attempts");
        return Err(at.error(format_args!("must be between 1 and {MOST_ATTEMPTS}")));
    }
    let target = match required(cluster_specifier, &at.field("cluster"))? {
        ClusterSpecifier::Cluster(name) => {
            Target::Cluster(non_empty(name, &at.field("cluster"))?.into())
        }
        ClusterSpecifier::WeightedClusters(message) => {
            Target::Weighted(weighted(message, &at.field("weighted_clusters"), cx)?)
        }
    };
    Ok(TcpProxy {
        by_server_name: false,
        target,
        idle_timeout: timeout(idle_timeout, Some(IDLE_TIMEOUT), &at.field("idle_timeout"))?,
        max_duration: duration(
            max_downstream_connection_duration,
            &at.field("max_downstream_connection_duration"),
        )?,
        connect_attempts,
        access_log: access_log::logs(access_log, &at.field("access_log"), cx)?,
        stats: cx.registry.stats(&format!("tcp.{stat_prefix}.")),
        peer_exchange: None,
        istio_stats: Vec::new(),
    })
}

fn weighted(message: WeightedCluster, at: &At<'_>, cx: &Cx<'_>) -> Translated<Split<Arc<str>>> {
    fields!(cx, at, message => WeightedCluster { used: clusters; });
    let at = at.field("clusters");
    let mut weights = Vec::with_capacity(clusters.len());
    for (index, message) in clusters.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => ClusterWeight {
            used: name, weight;
            refused: metadata_match = "a match of endpoint metadata";
        });
        if weight == 0 {
            return Err(at.field("weight").error("must be at least 1"));
        }
        weights.push((weight, Arc::from(non_empty(name, &at.field("name"))?)));
    }
    Split::new(weights, "tcp_proxy").map_err(|error| at.error(error))
}
