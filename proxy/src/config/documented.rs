//! What becomes of every field of every message that is translated: the table of `docs/configuration.md`.
//!
//! One line for each `fields!` of this folder; a test counts them. The document is written by `UPDATE_DOCS=1 cargo test -p outrigger --test configuration`.

use std::fmt::Write;

use outrigger_xds_api::{envoy, istio};
use prost::Name;

use super::fields::{Documented, Fate};

/// A message, by its full name, and its fields.
pub type Row = (String, &'static [(&'static str, Fate)]);

macro_rules! rows {
    ($($Message:ty,)+) => {
        /// Every message that a translator takes apart, by name.
        #[must_use]
        pub fn rows() -> Vec<Row> {
            let mut rows = vec![$((<$Message>::full_name(), <$Message as Documented>::FIELDS)),+];
            rows.sort_by(|(one, _), (other, _)| one.cmp(other));
            rows
        }
    };
}

rows! {
    istio::alpn::AlpnOverride,
    istio::alpn::FilterConfig,
    istio::stats::MetricConfig,
    istio::stats::MetricDefinition,
    istio::stats::PluginConfig,
    envoy::config::cluster::v3::Filter,
    envoy::config::core::v3::RuntimeFeatureFlag,
    envoy::extensions::compression::gzip::compressor::v3::Gzip,
    envoy::extensions::filters::http::compressor::v3::Compressor,
    envoy::extensions::filters::http::compressor::v3::compressor::CommonDirectionConfig,
    envoy::extensions::filters::http::compressor::v3::compressor::ResponseDirectionConfig,
    envoy::config::core::v3::GrpcMethodList,
    envoy::config::core::v3::grpc_method_list::Service,
    envoy::extensions::filters::http::grpc_stats::v3::FilterConfig,
    envoy::config::accesslog::v3::AccessLog,
    envoy::config::accesslog::v3::AccessLogFilter,
    envoy::config::accesslog::v3::AndFilter,
    envoy::config::accesslog::v3::ComparisonFilter,
    envoy::config::accesslog::v3::DurationFilter,
    envoy::config::accesslog::v3::GrpcStatusFilter,
    envoy::config::accesslog::v3::HeaderFilter,
    envoy::config::accesslog::v3::LogTypeFilter,
    envoy::config::accesslog::v3::OrFilter,
    envoy::config::accesslog::v3::ResponseFlagFilter,
    envoy::config::accesslog::v3::RuntimeFilter,
    envoy::config::accesslog::v3::StatusCodeFilter,
    envoy::config::bootstrap::v3::Admin,
    envoy::config::bootstrap::v3::Bootstrap,
    envoy::config::bootstrap::v3::ClusterManager,
    envoy::config::bootstrap::v3::LayeredRuntime,
    envoy::config::bootstrap::v3::RuntimeLayer,
    envoy::config::bootstrap::v3::bootstrap::ApplicationLogConfig,
    envoy::config::bootstrap::v3::bootstrap::DeferredStatOptions,
    envoy::config::bootstrap::v3::bootstrap::DynamicResources,
    envoy::config::bootstrap::v3::bootstrap::StaticResources,
    envoy::config::bootstrap::v3::bootstrap::application_log_config::LogFormat,
    envoy::config::cluster::v3::CircuitBreakers,
    envoy::config::cluster::v3::Cluster,
    envoy::config::cluster::v3::LoadBalancingPolicy,
    envoy::config::cluster::v3::OutlierDetection,
    envoy::config::cluster::v3::TrackClusterStats,
    envoy::config::cluster::v3::UpstreamConnectionOptions,
    envoy::config::cluster::v3::circuit_breakers::Thresholds,
    envoy::config::cluster::v3::circuit_breakers::thresholds::RetryBudget,
    envoy::config::cluster::v3::cluster::CommonLbConfig,
    envoy::config::cluster::v3::cluster::CustomClusterType,
    envoy::config::cluster::v3::cluster::EdsClusterConfig,
    envoy::config::cluster::v3::cluster::LeastRequestLbConfig,
    envoy::config::cluster::v3::cluster::OriginalDstLbConfig,
    envoy::config::cluster::v3::cluster::RefreshRate,
    envoy::config::cluster::v3::cluster::RoundRobinLbConfig,
    envoy::config::cluster::v3::cluster::TransportSocketMatch,
    envoy::config::cluster::v3::cluster::common_lb_config::LocalityWeightedLbConfig,
    envoy::config::cluster::v3::cluster::common_lb_config::ZoneAwareLbConfig,
    envoy::config::cluster::v3::load_balancing_policy::Policy,
    envoy::config::core::v3::Address,
    envoy::config::core::v3::ApiConfigSource,
    envoy::config::core::v3::BackoffStrategy,
    envoy::config::core::v3::BindConfig,
    envoy::config::core::v3::CidrRange,
    envoy::config::core::v3::ConfigSource,
    envoy::config::core::v3::DataSource,
    envoy::config::core::v3::DnsResolutionConfig,
    envoy::config::core::v3::DnsResolverOptions,
    envoy::config::core::v3::ExtraSourceAddress,
    envoy::config::core::v3::GrpcService,
    envoy::config::core::v3::HeaderValue,
    envoy::config::core::v3::HeaderValueOption,
    envoy::config::core::v3::Http1ProtocolOptions,
    envoy::config::core::v3::Http2ProtocolOptions,
    envoy::config::core::v3::HttpProtocolOptions,
    envoy::config::core::v3::JsonFormatOptions,
    envoy::config::core::v3::Locality,
    envoy::config::core::v3::Metadata,
    envoy::config::core::v3::Node,
    envoy::config::core::v3::PathConfigSource,
    envoy::config::core::v3::Pipe,
    envoy::config::core::v3::RetryPolicy,
    envoy::config::core::v3::RuntimeDouble,
    envoy::config::core::v3::RuntimeFractionalPercent,
    envoy::config::core::v3::RuntimeUInt32,
    envoy::config::core::v3::SocketAddress,
    envoy::config::core::v3::SubstitutionFormatString,
    envoy::config::core::v3::TcpKeepalive,
    envoy::config::core::v3::TransportSocket,
    envoy::config::core::v3::TypedExtensionConfig,
    envoy::config::core::v3::UpstreamHttpProtocolOptions,
    envoy::config::core::v3::WatchedDirectory,
    envoy::config::core::v3::grpc_service::EnvoyGrpc,
    envoy::config::endpoint::v3::ClusterLoadAssignment,
    envoy::config::endpoint::v3::Endpoint,
    envoy::config::endpoint::v3::LbEndpoint,
    envoy::config::endpoint::v3::LocalityLbEndpoints,
    envoy::config::endpoint::v3::cluster_load_assignment::Policy,
    envoy::config::endpoint::v3::cluster_load_assignment::policy::DropOverload,
    envoy::config::endpoint::v3::endpoint::AdditionalAddress,
    envoy::config::listener::v3::AdditionalAddress,
    envoy::config::listener::v3::Filter,
    envoy::config::listener::v3::FilterChain,
    envoy::config::listener::v3::FilterChainMatch,
    envoy::config::listener::v3::Listener,
    envoy::config::listener::v3::ListenerFilter,
    envoy::config::listener::v3::ListenerFilterChainMatchPredicate,
    envoy::config::listener::v3::listener::DeprecatedV1,
    envoy::config::listener::v3::listener_filter_chain_match_predicate::MatchSet,
    envoy::config::metrics::v3::HistogramBucketSettings,
    envoy::config::metrics::v3::StatsConfig,
    envoy::config::metrics::v3::StatsMatcher,
    envoy::config::metrics::v3::TagSpecifier,
    envoy::config::overload::v3::OverloadManager,
    envoy::config::overload::v3::ResourceMonitor,
    envoy::config::rbac::v3::Permission,
    envoy::config::rbac::v3::Policy,
    envoy::config::rbac::v3::Principal,
    envoy::config::rbac::v3::Rbac,
    envoy::config::rbac::v3::permission::Set,
    envoy::config::rbac::v3::principal::Authenticated,
    envoy::config::rbac::v3::principal::Set,
    envoy::config::rbac::v3::rbac::AuditLoggingOptions,
    envoy::config::route::v3::Decorator,
    envoy::config::route::v3::DirectResponseAction,
    envoy::config::route::v3::FilterConfig,
    envoy::config::route::v3::HeaderMatcher,
    envoy::config::route::v3::QueryParameterMatcher,
    envoy::config::route::v3::RedirectAction,
    envoy::config::route::v3::RetryPolicy,
    envoy::config::route::v3::Route,
    envoy::config::route::v3::RouteAction,
    envoy::config::route::v3::RouteConfiguration,
    envoy::config::route::v3::RouteMatch,
    envoy::config::route::v3::VirtualHost,
    envoy::config::route::v3::WeightedCluster,
    envoy::config::route::v3::retry_policy::RateLimitedRetryBackOff,
    envoy::config::route::v3::retry_policy::ResetHeader,
    envoy::config::route::v3::retry_policy::RetryBackOff,
    envoy::config::route::v3::retry_policy::RetryHostPredicate,
    envoy::config::route::v3::retry_policy::RetryPriority,
    envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig,
    envoy::config::route::v3::route_action::MaxStreamDuration,
    envoy::config::route::v3::route_action::RequestMirrorPolicy,
    envoy::config::route::v3::route_action::UpgradeConfig,
    envoy::config::route::v3::route_match::ConnectMatcher,
    envoy::config::route::v3::route_match::GrpcRouteMatchOptions,
    envoy::config::route::v3::weighted_cluster::ClusterWeight,
    envoy::extensions::access_loggers::file::v3::FileAccessLog,
    envoy::extensions::access_loggers::stream::v3::StderrAccessLog,
    envoy::extensions::access_loggers::stream::v3::StdoutAccessLog,
    envoy::extensions::clusters::dns::v3::DnsCluster,
    envoy::extensions::clusters::dns::v3::dns_cluster::RefreshRate,
    envoy::extensions::filters::common::fault::v3::FaultDelay,
    envoy::extensions::filters::common::fault::v3::fault_delay::HeaderDelay,
    envoy::extensions::filters::http::cors::v3::Cors,
    envoy::extensions::filters::http::cors::v3::CorsPolicy,
    envoy::extensions::filters::http::fault::v3::FaultAbort,
    envoy::extensions::filters::http::fault::v3::HttpFault,
    envoy::extensions::filters::http::fault::v3::fault_abort::HeaderAbort,
    envoy::extensions::filters::http::rbac::v3::Rbac,
    envoy::extensions::filters::http::rbac::v3::RbacPerRoute,
    envoy::extensions::filters::http::router::v3::Router,
    envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector,
    envoy::extensions::filters::network::direct_response::v3::Config,
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager,
    envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter,
    envoy::extensions::filters::network::http_connection_manager::v3::Rds,
    envoy::extensions::filters::network::http_connection_manager::v3::RequestIdExtension,
    envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::HcmAccessLogOptions,
    envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::InternalAddressConfig,
    envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::SetCurrentClientCertDetails,
    envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing,
    envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::UpgradeConfig,
    envoy::extensions::filters::network::rbac::v3::Rbac,
    envoy::extensions::filters::network::sni_cluster::v3::SniCluster,
    envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy,
    envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::TcpAccessLogOptions,
    envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::WeightedCluster,
    envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::weighted_cluster::ClusterWeight,
    envoy::extensions::load_balancing_policies::common::v3::LocalityLbConfig,
    envoy::extensions::load_balancing_policies::common::v3::locality_lb_config::LocalityWeightedLbConfig,
    envoy::extensions::load_balancing_policies::common::v3::locality_lb_config::ZoneAwareLbConfig,
    envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest,
    envoy::extensions::load_balancing_policies::random::v3::Random,
    envoy::extensions::load_balancing_policies::round_robin::v3::RoundRobin,
    envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig,
    envoy::extensions::network::dns_resolver::getaddrinfo::v3::GetAddrInfoDnsResolverConfig,
    envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig,
    envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig,
    envoy::extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig,
    envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate,
    envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext,
    envoy::extensions::transport_sockets::tls::v3::CommonTlsContext,
    envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext,
    envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig,
    envoy::extensions::transport_sockets::tls::v3::Secret,
    envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher,
    envoy::extensions::transport_sockets::tls::v3::TlsCertificate,
    envoy::extensions::transport_sockets::tls::v3::TlsParameters,
    envoy::extensions::transport_sockets::tls::v3::TlsSessionTicketKeys,
    envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext,
    envoy::extensions::transport_sockets::tls::v3::common_tls_context::CombinedCertificateValidationContext,
    envoy::extensions::upstreams::http::v3::HttpProtocolOptions,
    envoy::extensions::upstreams::http::v3::http_protocol_options::ExplicitHttpConfig,
    envoy::extensions::upstreams::http::v3::http_protocol_options::UseDownstreamHttpConfig,
    envoy::r#type::matcher::v3::ListStringMatcher,
    envoy::r#type::matcher::v3::PathMatcher,
    envoy::r#type::matcher::v3::RegexMatchAndSubstitute,
    envoy::r#type::matcher::v3::RegexMatcher,
    envoy::r#type::matcher::v3::StringMatcher,
    envoy::r#type::v3::FractionalPercent,
    envoy::r#type::v3::Int32Range,
    envoy::r#type::v3::Int64Range,
    envoy::r#type::v3::Percent,
}

/// The rows as Markdown: what does something in one line, the rest with its reason.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::new();
    for (name, fields) in rows() {
        // Writing to a string cannot fail.
        let _ = write!(out, "\n### `{name}`\n\n");
        let used: Vec<String> = fields
            .iter()
            .filter(|(_, fate)| *fate == Fate::Used)
            .map(|(field, _)| format!("`{field}`"))
            .collect();
        if !used.is_empty() {
            let _ = write!(out, "Supported: {}\n\n", used.join(", "));
        }
        let others: Vec<_> = fields.iter().filter(|(_, fate)| *fate != Fate::Used).collect();
        if !others.is_empty() {
            out.push_str("| Field | If it is set |\n|---|---|\n");
        }
        for (field, fate) in others {
            let _ = match fate {
                Fate::Used => Ok(()),
                Fate::Ignored(why) => writeln!(out, "| `{field}` | ignored: {why} |"),
                Fate::Refused(what) => {
                    writeln!(out, "| `{field}` | refused: {what} is not supported |")
                }
            };
        }
    }
    out
}
