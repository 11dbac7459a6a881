//! Clusters: what a message says becomes a [`ClusterSpec`], from which a cluster is built when it is used.
//! (envoy: config.cluster.v3.Cluster)
//!
//! One file per message that matters: `discovery` (where hosts come from), `dns`, `balancing`, `breakers`, `outliers`, `http`, `transport`,
//! `connection`.

mod balancing;
mod breakers;
mod connection;
mod discovery;
mod dns;
mod filters;
mod http;
mod metadata;
mod outliers;
mod transport;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use outrigger_policy::breaker::{CircuitBreakers, RoutingPriority};
use outrigger_policy::outlier::OutlierPolicy;
use outrigger_xds::Resource;
use outrigger_xds_api::envoy::config::cluster::v3::{Cluster as Message, TrackClusterStats};

pub(super) use self::dns::Rules;
pub(super) use self::metadata::{labels, metadata, workload};

use self::breakers::Limits;
use self::discovery::Place;
use super::common::{Translated, duration, message_of, non_empty, u32_or};
use super::cx::Cx;
use super::endpoints;
use super::error::At;
use super::fields::fields;
use super::source::ConfigSource;
use super::tls::client_transport;
use crate::telemetry::metrics::{Registry, cluster_prefix};
use crate::upstream::Cluster;
use crate::upstream::cluster::ClusterSettings;
use crate::upstream::counters::ClusterCounters;
use crate::upstream::destinations::OriginalDestinations;
use crate::upstream::dns::Names;
use crate::upstream::host_set::Assignment;
use crate::upstream::metadata::Mesh;
use crate::upstream::outlier::Outliers;
use crate::upstream::transport::Transports;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// Its name.
    pub name: Arc<str>,
    /// Where its hosts come from.
    pub discovery: Discovery,
    /// Its name in stats, if it has another. (envoy: alt_stat_name)
    alt_stat_name: Box<str>,
    settings: ClusterSettings,
    limits: Limits,
    outliers: Option<Arc<OutlierPolicy>>,
}

/// Where hosts come from.
#[derive(Clone, Debug)]
pub enum Discovery {
    /// They stand in the cluster, or nowhere: where requests were going.
    Static(Assignment),
    /// Names are resolved.
    Dns(Arc<Names>),
    /// A control plane tells them.
    Eds {
        /// The name that it knows them by.
        service_name: Arc<str>,
        /// The control plane.
        from: ConfigSource,
    },
}

impl ClusterSpec {
    /// A cluster without hosts, unless they stand in the specification: those the caller sets.
    #[must_use]
    pub fn build(&self, registry: &Arc<Registry>) -> Arc<Cluster> {
        let breakers = CircuitBreakers::new(&self.limits.default, &self.limits.high);
        Cluster::new(
            self.name.clone(),
            self.settings.clone(),
            breakers,
            self.outliers.clone().map(Outliers::new),
            ClusterCounters::new(registry, &self.name, &self.alt_stat_name),
        )
    }

    /// Its name in stats and logs.
    #[must_use]
    pub fn observability_name(&self) -> Arc<str> {
        if self.alt_stat_name.is_empty() {
            self.name.clone()
        } else {
            (&*self.alt_stat_name).into()
        }
    }

    /// The scope of its counters, with the last dot.
    #[must_use]
    pub fn stats_prefix(&self) -> String {
        cluster_prefix(&self.name, &self.alt_stat_name)
    }

    /// A cluster of this name that has no hosts and never gets any.
    #[must_use]
    pub fn unusable(name: Arc<str>) -> Self {
        Self {
            settings: ClusterSettings::new(name.clone(), Transports::plain()),
            name,
            discovery: Discovery::Static(Assignment::default()),
            alt_stat_name: Box::default(),
            limits: Limits::default(),
            outliers: None,
        }
    }
}

/// The cluster that a resource holds.
///
/// # Errors
/// The first thing in it that cannot be done.
pub fn from_resource(resource: &Resource, cx: &Cx<'_>) -> Translated<ClusterSpec> {
    let at = At::root("");
    cluster(message_of(resource, &at)?, &at, cx)
}

/// Translates a cluster.
///
/// # Errors
/// As [`from_resource`].
#[expect(clippy::too_many_lines, reason = "half of it is the list of the message's fields")]
pub fn cluster(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<ClusterSpec> {
    fields!(cx, at, message => Message {
        used: transport_socket_matches, name, alt_stat_name, eds_cluster_config, connect_timeout,
            per_connection_buffer_limit_bytes, lb_policy, load_assignment,
            max_requests_per_connection, circuit_breakers, upstream_http_protocol_options,
            common_http_protocol_options, http_protocol_options, http2_protocol_options,
            typed_extension_protocol_options, dns_refresh_rate, dns_jitter,
            dns_failure_refresh_rate, respect_dns_ttl, dns_lookup_family, dns_resolvers,
            use_tcp_for_dns_lookups, dns_resolution_config, typed_dns_resolver_config,
            outlier_detection, cleanup_interval, upstream_bind_config, common_lb_config,
            transport_socket, metadata, protocol_selection, upstream_connection_options,
            load_balancing_policy, track_cluster_stats, cluster_discovery_type, lb_config, filters;
        ignored:
            wait_for_warm_on_init = "the start always waits",
            close_connections_on_host_health_failure = "there are no active health checks",
            ignore_health_on_host_removal = "there are no active health checks",
            lrs_report_endpoint_metrics = "loads are not reported yet",
            preconnect_policy = "connections are made when they are needed";
        refused:
            transport_socket_matcher = "a matcher tree for transports",
            stats_matcher = "a choice of its own among stats",
            per_connection_buffer_high_watermark_timeout = "a timeout of full buffers",
            health_checks = "an active health check",
            lb_subset_config = "balancing over subsets",
            lrs_server = "a load report",
            track_timeout_budgets = "histograms of timeout budgets",
            upstream_config = "another kind of connection pool",
            connection_pool_per_downstream_connection = "a pool for each client",
            queuing_policies = "a queuing policy";
    });
    let name: Arc<str> = non_empty(name, &at.field("name"))?.into();
    if let Some(message) = track_cluster_stats {
        let at = at.field("track_cluster_stats");
        fields!(cx, at, message => TrackClusterStats {
            refused:
                timeout_budgets = "histograms of timeout budgets",
                request_response_sizes = "histograms of sizes",
                per_endpoint_stats = "stats per endpoint";
        });
    }
    let cleanup_interval =
        connection::cleanup_interval(cleanup_interval, &at.field("cleanup_interval"))?;
    let fields = http::Fields {
        typed: typed_extension_protocol_options,
        max_requests_per_connection,
        upstream: upstream_http_protocol_options,
        common: common_http_protocol_options,
        http1: http_protocol_options,
        http2: http2_protocol_options,
        selection: protocol_selection,
    };
    let http = http::http(fields, at, cx)?;
    cx.set_scope(&cluster_prefix(&name, &alt_stat_name));
    let socket_at = at.field("transport_socket");
    let transports = Transports {
        default: Arc::new(client_transport(
            transport_socket,
            http.validates_requested,
            &socket_at,
            cx,
        )?),
        matches: transport::matches(
            transport_socket_matches,
            http.validates_requested,
            &at.field("transport_socket_matches"),
            cx,
        )?,
    };
    let dns = dns::ClusterFields {
        refresh_rate: dns_refresh_rate,
        jitter: dns_jitter,
        failure_refresh_rate: dns_failure_refresh_rate,
        respects_ttl: respect_dns_ttl,
        lookup_family: dns_lookup_family,
        resolvers: dns_resolvers,
        uses_tcp: use_tcp_for_dns_lookups,
        resolution: dns_resolution_config,
        resolver: typed_dns_resolver_config,
    };
    let place = discovery::place(cluster_discovery_type, dns, at, cx)?;
    let is_original_dst = matches!(place, Place::OriginalDst);
    let discovery = match place {
        Place::Eds => discovery::eds(eds_cluster_config, load_assignment.is_some(), &name, at, cx)?,
        Place::OriginalDst => {
            if load_assignment.is_some() {
                return Err(at
                    .field("load_assignment")
                    .error("ORIGINAL_DST clusters must have no load assignment configured"));
            }
            Discovery::Static(Assignment::default())
        }
        place => {
            if eds_cluster_config.is_some() {
                return Err(at
                    .field("eds_cluster_config")
                    .error("is set in a cluster without EDS"));
            }
            let assignment_at = at.field("load_assignment");
            match place {
                Place::Dns(rules) => Discovery::Dns(Arc::new(endpoints::named(
                    load_assignment,
                    rules,
                    &transports,
                    &assignment_at,
                    cx,
                )?)),
                Place::Static | Place::Eds | Place::OriginalDst => Discovery::Static(
                    endpoints::fixed(load_assignment, &transports, &assignment_at, cx)?,
                ),
            }
        }
    };
    let metadata = metadata::metadata(metadata, &at.field("metadata"), cx)?;
    let limits = breakers::limits(circuit_breakers, &name, &at.field("circuit_breakers"), cx)?;
    let observability_name =
        if alt_stat_name.is_empty() { name.clone() } else { alt_stat_name.as_str().into() };
    let defaults = ClusterSettings::new(observability_name, transports);
    let timeout_at = at.field("connect_timeout");
    let connect_timeout =
        duration(connect_timeout, &timeout_at)?.unwrap_or(defaults.connect_timeout);
    if connect_timeout.is_zero() {
        return Err(timeout_at.error("must be greater than 0"));
    }
    let buffer_limit = u32::try_from(defaults.buffer_limit_bytes).unwrap_or(u32::MAX);
    let options = connection::options(
        upstream_connection_options,
        &at.field("upstream_connection_options"),
        cx,
    )?;
    let (balancing, destination) = balancing::settings(
        balancing::Fields {
            policy: lb_policy,
            config: lb_config,
            common: common_lb_config,
            typed: load_balancing_policy,
            is_original_dst,
        },
        at,
        cx,
    )?;
    let outliers_at = at.field("outlier_detection");
    let outliers = outliers::policy(outlier_detection, &outliers_at, cx)?.map(Arc::new);
    if is_original_dst && outliers.is_some() {
        cx.note_ignored(&outliers_at, "a host that was asked for by its address is never ejected");
    }
    Ok(ClusterSpec {
        discovery,
        alt_stat_name: alt_stat_name.into(),
        settings: ClusterSettings {
            maintenance: cx.runtime.fraction(&format!("upstream.maintenance_mode.{name}")),
            connect_timeout,
            balancing,
            original_destinations: is_original_dst.then_some(OriginalDestinations {
                cleanup_interval,
                port: destination.port,
                header: destination.header,
            }),
            http: http.settings,
            buffer_limit_bytes: u32_or(per_connection_buffer_limit_bytes, buffer_limit) as usize,
            bind_addresses: connection::bind_addresses(
                upstream_bind_config,
                &at.field("upstream_bind_config"),
                cx,
            )?,
            keepalive: options,
            mesh: Arc::new(Mesh::of(&metadata)),
            metadata: Arc::new(metadata),
            peer_exchange: filters::peer_exchange(filters, &at.field("filters"), cx)?,
            tracks_remaining: limits.tracked(),
            ..defaults
        },
        limits,
        outliers: outliers.filter(|_| !is_original_dst),
        name,
    })
}

const PRIORITIES: [RoutingPriority; 2] = [RoutingPriority::Default, RoutingPriority::High];
