//! The bootstrap: what the process is made of before it is told anything else. (envoy: config.bootstrap.v3.Bootstrap)
//!
//! Static clusters and listeners are only handed on: they are resources like those of a control plane, and translated in the same place.

mod admin;
mod dynamic;
mod log_format;
mod node;
mod overload;
mod runtime_layers;
mod stats;

use std::time::Duration;

use outrigger_xds_api::envoy::config::bootstrap::v3::Bootstrap as Message;
use outrigger_xds_api::envoy::config::bootstrap::v3::ClusterManager;
use outrigger_xds_api::envoy::config::bootstrap::v3::bootstrap::{
    DeferredStatOptions, StaticResources, StatsFlush,
};
use outrigger_xds_api::envoy::config::cluster::v3::Cluster;
use outrigger_xds_api::envoy::config::core::v3::TypedExtensionConfig;
use outrigger_xds_api::envoy::config::listener::v3::Listener;
use outrigger_xds_api::{TypedStruct, any};

pub use admin::AdminSpec;
pub use dynamic::DynamicResources;
pub use log_format::LogFormat;
pub use node::Node;

use super::common::{Translated, duration, extension};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use super::runtime::Runtime;
use crate::telemetry::metrics::StatsSpec;

/// (envoy: Bootstrap.stats_flush_interval)
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// What Envoy allows. (envoy: Bootstrap.stats_flush_interval)
const FLUSH_LIMITS: std::ops::Range<Duration> = Duration::from_millis(1)..Duration::from_secs(300);

/// A bootstrap, translated but for its static resources.
#[derive(Debug)]
pub struct Bootstrap {
    /// Who this proxy is.
    pub node: Node,
    /// The admin server; without one there is none.
    pub admin: Option<AdminSpec>,
    /// Which stats there are.
    pub stats: StatsSpec,
    /// How often histograms are cut off; `None` if dumps do it.
    pub stats_flush_interval: Option<Duration>,
    /// Runtime values.
    pub runtime: Runtime,
    /// Connections at once of all listeners.
    pub connection_limit: Option<u64>,
    /// How the process's own log looks, if not by the command line.
    pub log_format: Option<LogFormat>,
    /// What a control plane says.
    pub dynamic: DynamicResources,
    /// Clusters, as messages.
    pub clusters: Vec<Cluster>,
    /// Listeners, as messages.
    pub listeners: Vec<Listener>,
}

/// Translates a bootstrap. `cx` needs no registry that lasts: nothing here counts.
///
/// # Errors
/// What is wrong with it, or not supported.
#[expect(clippy::too_many_lines, reason = "the message is taken apart as a whole")]
pub fn bootstrap(message: Message, cx: &Cx<'_>) -> Translated<Bootstrap> {
    let at = At::root("");
    fields!(cx, at, message => Message {
        used: node, static_resources, dynamic_resources, cluster_manager, stats_config,
            stats_flush_interval, layered_runtime, admin, overload_manager, bootstrap_extensions,
            application_log_config, stats_flush, deferred_stat_options;
        ignored:
            node_context_params = "only federated resource names carry it",
            flags_path = "there are no flag files",
            watchdog = "a worker that hangs is not watched",
            watchdogs = "a worker that hangs is not watched",
            tracing = "spans are not sent yet",
            enable_dispatcher_stats = "there is no dispatcher",
            stats_server_version_override = "the stat server.version is not kept",
            fatal_actions = "a crash ends the process without further action",
            inline_headers = "headers of all names cost the same",
            perf_tracing_file_path = "there is no such trace",
            default_regex_engine = "there is one engine, of linear time",
            grpc_async_client_manager_config = "clients of control planes are not cached",
            memory_allocator_manager = "the allocator returns memory by itself",
            enable_worker_cpu_affinity = "the kernel places threads",
            stats_eviction = "stats live as long as what they count";
        refused:
            hds_config = "the health discovery service",
            stats_sinks = "a stats sink",
            header_prefix = "another prefix than x-envoy",
            use_tcp_for_dns_lookups = "DNS over TCP only",
            dns_resolution_config = "a DNS resolver of its own",
            typed_dns_resolver_config = "a DNS resolver of its own",
            config_sources = "a federation of control planes",
            default_config_source = "a federation of control planes",
            default_socket_interface = "another socket interface",
            certificate_provider_instances = "a certificate provider",
            xds_delegate_extension = "an xDS delegate",
            xds_config_tracker_extension = "an xDS config tracker",
            listener_manager = "another listener manager";
    });
    extensions(bootstrap_extensions, &at.field("bootstrap_extensions"), cx)?;
    if let Some(message) = deferred_stat_options {
        let at = at.field("deferred_stat_options");
        fields!(cx, at, message => DeferredStatOptions {
            ignored: enable_deferred_creation_stats = "stats are always made at their first use";
        });
    }
    if let Some(message) = cluster_manager {
        self::cluster_manager(message, &at.field("cluster_manager"), cx)?;
    }
    let message = static_resources.unwrap_or_default();
    let resources_at = at.field("static_resources");
    fields!(cx, resources_at, message => StaticResources {
        used: listeners, clusters;
        refused: secrets = "a secret that stands alone";
    });
    let flushes_on_dump = match stats_flush {
        Some(StatsFlush::StatsFlushOnAdmin(on)) => on,
        None => false,
    };
    Ok(Bootstrap {
        node: node::node(node.unwrap_or_default(), &at.field("node"), cx)?,
        admin: admin.map(|m| admin::admin(m, &at.field("admin"), cx)).transpose()?,
        stats: stats::stats(stats_config.unwrap_or_default(), &at.field("stats_config"), cx)?,
        stats_flush_interval: if flushes_on_dump {
            None
        } else {
            let at = at.field("stats_flush_interval");
            let interval = duration(stats_flush_interval, &at)?.unwrap_or(FLUSH_INTERVAL);
            if !FLUSH_LIMITS.contains(&interval) {
                return Err(at.error("must be at least 1 ms and less than 5 minutes"));
            }
            Some(interval)
        },
        runtime: runtime_layers::runtime(
            layered_runtime.unwrap_or_default(),
            &at.field("layered_runtime"),
            cx,
        )?,
        connection_limit: overload_manager
            .map(|m| overload::overload(m, &at.field("overload_manager"), cx))
            .transpose()?
            .flatten(),
        log_format: application_log_config
            .map(|m| log_format::log_format(m, &at.field("application_log_config"), cx))
            .transpose()?
            .flatten(),
        dynamic: dynamic::dynamic(
            dynamic_resources.unwrap_or_default(),
            &at.field("dynamic_resources"),
            cx,
        )?,
        clusters,
        listeners,
    })
}

fn extensions(messages: Vec<TypedExtensionConfig>, at: &At<'_>, cx: &Cx<'_>) -> Translated<()> {
    for (index, message) in messages.into_iter().enumerate() {
        let at = at.index(index);
        let (name, typed_config) = extension(message, &at, cx);
        let at = at.field("typed_config");
        // Istio writes the type in a wrapper, whose own type says nothing.
        let type_url = match typed_config {
            Some(config) => TypedStruct::from_any(&config)
                .map_err(|error| at.error(error))?
                .map_or(config.type_url, |inner| inner.type_url),
            None => String::new(),
        };
        match any::type_name(&type_url) {
            Some("envoy.extensions.bootstrap.internal_listener.v3.InternalListener") => {
                cx.note_ignored(&at, "no internal listener is served yet");
            }
            _ => return Err(at.unsupported(format_args!("the extension {name} ({type_url})"))),
        }
    }
    Ok(())
}

fn cluster_manager(message: ClusterManager, at: &At<'_>, cx: &Cx<'_>) -> Translated<()> {
    fields!(cx, at, message => ClusterManager {
        ignored:
            local_cluster_name = "hosts of the own zone are not preferred yet",
            load_stats_config = "loads are not reported yet",
            enable_deferred_cluster_creation = "clusters are always made at their first use";
        refused:
            outlier_detection = "a log of ejections",
            upstream_bind_config = "a local address for all clusters";
    });
    Ok(())
}
