//! A management server that is spoken to over gRPC. (envoy: config.core.v3.ApiConfigSource)
//!
//! The bootstrap's `ads_config` is one, and a subscription may name one of its own. What is translated here says whom to call and how; the
//! control runtime calls. The cluster that is named must stand in the bootstrap, which whoever knows all clusters checks.

use std::sync::Arc;
use std::time::Duration;

use outrigger_xds::{Backoff, Mode};
use outrigger_xds_api::envoy::config::core::v3::api_config_source::ApiType;
use outrigger_xds_api::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use outrigger_xds_api::envoy::config::core::v3::{
    ApiConfigSource as Message, BackoffStrategy, GrpcService, RetryPolicy,
};

use super::common::{Translated, duration, enumeration, non_empty, required};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use super::source::api_version;

/// A server, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ManagementServer {
    /// The form of the protocol.
    pub mode: Mode,
    /// The cluster of the bootstrap that leads to it.
    pub cluster: Arc<str>,
    /// The `:authority` of requests.
    pub authority: Box<str>,
    /// The node is said once in a stream. (envoy: set_node_on_first_message_only)
    pub says_node_once: bool,
    /// The longest response, in bytes; `None` for what the client holds. (envoy: max_receive_message_length)
    pub message_bytes_max: Option<u32>,
    backoff: Option<(Duration, Option<Duration>)>,
}

impl ManagementServer {
    /// How long to wait between attempts.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.backoff.map_or_else(Backoff::default, |(base, max)| Backoff::new(base, max))
    }
}

/// Translates a server.
pub(super) fn management_server(
    message: Message,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<ManagementServer> {
    fields!(cx, at, message => Message {
        used: api_type, transport_api_version, grpc_services, set_node_on_first_message_only;
        ignored:
            refresh_delay = "only servers that are polled have one",
            request_timeout = "only servers that are polled have one";
        refused:
            cluster_names = "polling by REST",
            rate_limit_settings = "a limit of requests",
            config_validators = "a validator of configuration";
    });
    api_version(transport_api_version, &at.field("transport_api_version"))?;
    let type_at = at.field("api_type");
    let mode = match enumeration(api_type, &type_at)? {
        ApiType::Grpc => Mode::Sotw,
        ApiType::DeltaGrpc => Mode::Delta,
        ApiType::DeprecatedAndUnavailableDoNotUse | ApiType::Rest => {
            return Err(type_at.unsupported("polling by REST"));
        }
        ApiType::AggregatedGrpc | ApiType::AggregatedDeltaGrpc => {
            return Err(type_at.unsupported("an aggregated stream of federated names"));
        }
    };
    let services_at = at.field("grpc_services");
    let mut services = grpc_services.into_iter();
    let (Some(service), None) = (services.next(), services.next()) else {
        return Err(services_at.error("one server is supported, and there must be one"));
    };
    let at = services_at.index(0);
    fields!(cx, at, service => GrpcService {
        used: target_specifier;
        ignored: timeout = "a stream has no end";
        refused:
            initial_metadata = "further headers of a stream",
            retry_policy = "a policy of retries beside that of envoy_grpc";
    });
    let message = match required(target_specifier, &at.field("envoy_grpc"))? {
        TargetSpecifier::EnvoyGrpc(message) => message,
        TargetSpecifier::GoogleGrpc(_) => {
            return Err(at.field("google_grpc").unsupported("a client other than Envoy's"));
        }
    };
    let at = at.field("envoy_grpc");
    fields!(cx, at, message => EnvoyGrpc {
        used: cluster_name, authority, retry_policy, max_receive_message_length;
        ignored: skip_envoy_headers = "no such header is sent";
    });
    let cluster = non_empty(cluster_name, &at.field("cluster_name"))?;
    let retry_policy = retry_policy.map(|message| backoff(message, &at.field("retry_policy"), cx));
    Ok(ManagementServer {
        mode,
        authority: if authority.is_empty() { cluster.as_str().into() } else { authority.into() },
        cluster: cluster.into(),
        says_node_once: set_node_on_first_message_only,
        message_bytes_max: max_receive_message_length.map(|bytes| bytes.value),
        backoff: retry_policy.transpose()?.flatten(),
    })
}

/// The base and the longest interval, if they are set.
fn backoff(
    message: RetryPolicy,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<(Duration, Option<Duration>)>> {
    fields!(cx, at, message => RetryPolicy {
        used: retry_back_off;
        ignored:
            num_retries = "a stream is opened again for as long as the process lives",
            retry_on = "whatever ends a stream, it is opened again";
        refused:
            retry_priority = "a choice of its own among priorities",
            retry_host_predicate = "a choice of its own among hosts",
            host_selection_retry_max_attempts = "a choice of its own among hosts";
    });
    let Some(message) = retry_back_off else { return Ok(None) };
    let at = at.field("retry_back_off");
    fields!(cx, at, message => BackoffStrategy { used: base_interval, max_interval; });
    let base_at = at.field("base_interval");
    let base = required(duration(base_interval, &base_at)?, &base_at)?;
    if base < Duration::from_millis(1) {
        return Err(base_at.error("must be at least 1 ms"));
    }
    let max_at = at.field("max_interval");
    let max = duration(max_interval, &max_at)?;
    if max.is_some_and(|max| max < base) {
        return Err(max_at.error("must not be less than base_interval"));
    }
    Ok(Some((base, max)))
}
