//! The HTTP connection manager of a filter chain, compiled. (envoy: HttpConnectionManager)

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use outrigger_policy::timeout::RouterOptions;

use super::filters::FilterChain;
use super::forwarding::Forwarding;
use super::operation::Side;
use super::path::PathRules;
use super::route::RouteTable;
use super::tracing::Tracing;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{Http2Stats, HttpStats, ListenerHttpStats, Registry, RouterStats};

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// ALPN tells, else the first bytes.
    #[default]
    Auto,
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Where the routes come from.
#[derive(Clone, Debug)]
pub enum RouteSource {
    /// They stand in the connection manager.
    Inline(Arc<RouteTable>),
    /// The current route configuration of this name.
    Named(Arc<str>),
}

/// What happens to the `server` line of responses. (envoy: server_header_transformation)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerHeader {
    /// Ours replaces it.
    #[default]
    Overwrite,
    /// Ours is set if there is none.
    AppendIfAbsent,
    /// It passes.
    PassThrough,
}

/// What happens to names with an underscore. (envoy: headers_with_underscores_action)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They pass.
    #[default]
    Allow,
    /// The request is refused.
    RejectRequest,
    /// The line is dropped.
    DropHeader,
}

/// How the port of an authority is treated. (envoy: strip_matching_host_port, strip_any_host_port)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StripPort {
    /// It stays.
    #[default]
    No,
    /// It goes if it is the listener's.
    Matching,
    /// It goes.
    Any,
}

/// Timeouts; `None` means there is none.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A connection without requests. (envoy: HttpProtocolOptions.idle_timeout)
    pub connection_idle: Option<Duration>,
    /// A connection at all. (envoy: HttpProtocolOptions.max_connection_duration)
    pub max_connection_duration: Option<Duration>,
    /// A stream without progress. (envoy: stream_idle_timeout)
    pub stream_idle: Option<Duration>,
    /// A request from its first byte to its last. (envoy: request_timeout)
    pub request: Option<Duration>,
    /// A request's head. (envoy: request_headers_timeout)
    pub request_headers: Option<Duration>,
    /// A stream at all. (envoy: HttpProtocolOptions.max_stream_duration)
    pub max_stream_duration: Option<Duration>,
    /// HTTP/2: from the first GOAWAY to the second. (envoy: drain_timeout)
    pub drain: Duration,
    /// From our last byte to a forced close. (envoy: delayed_close_timeout)
    pub delayed_close: Duration,
}

/// Limits of requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head. (envoy: max_request_headers_kb)
    pub head_bytes: usize,
    /// Lines of a request's head. (envoy: HttpProtocolOptions.max_headers_count)
    pub headers: usize,
    /// Requests of one connection; 0 means no limit.
    /// (envoy: HttpProtocolOptions.max_requests_per_connection)
    pub requests_per_connection: u64,
    /// HTTP/2 streams at once. (envoy: Http2ProtocolOptions.max_concurrent_streams)
    pub concurrent_streams: u32,
    /// HTTP/2 window of a stream, in bytes. (envoy: initial_stream_window_size)
    pub stream_window: u32,
    /// HTTP/2 window of a connection, in bytes. (envoy: initial_connection_window_size)
    pub connection_window: u32,
}

/// HTTP/1 settings. (envoy: Http1ProtocolOptions)
#[derive(Clone, Debug, Default)]
pub struct Http1Options {
    /// Whether HTTP/1.0 is served.
    pub accept_http_10: bool,
    /// The host of HTTP/1.0 requests that name none.
    pub default_host: Box<str>,
    /// Whether trailers pass.
    pub enable_trailers: bool,
}

/// What codecs count for the whole process, from its first use on.
pub struct CodecStats {
    registry: Arc<Registry>,
    http2: OnceLock<Http2Stats>,
}

impl CodecStats {
    /// Nothing was used yet.
    #[must_use]
    pub const fn new(registry: Arc<Registry>) -> Self {
        Self { registry, http2: OnceLock::new() }
    }

    /// Those of HTTP/2.
    pub fn http2(&self) -> &Http2Stats {
        self.http2.get_or_init(|| self.registry.stats("http2."))
    }
}

impl std::fmt::Debug for CodecStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CodecStats").finish()
    }
}

/// A connection manager.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of Envoy's message")]
pub struct HttpConnectionManager {
    /// Which HTTP is spoken.
    pub codec: Codec,
    /// Counters of `http.<stat_prefix>.`.
    pub stats: HttpStats,
    /// Those of the router.
    pub router_stats: RouterStats,
    /// Counters of `listener.<address>.http.<stat_prefix>.`.
    pub listener_stats: ListenerHttpStats,
    /// Counters of `http2.`, from the first connection on.
    pub codec_stats: CodecStats,
    /// The routes.
    pub routes: RouteSource,
    /// The HTTP filters of routes that override none.
    pub filters: Arc<FilterChain>,
    /// Access logs.
    pub access_log: Arc<AccessLog>,
    /// Forwarding headers.
    pub forwarding: Forwarding,
    /// Path normalisation.
    pub path_rules: PathRules,
    /// Ports of authorities.
    pub strip_port: StripPort,
    /// A dot at the end of an authority goes. (envoy: strip_trailing_host_dot)
    pub strip_trailing_dot: bool,
    /// Names with underscores.
    pub underscores: Underscores,
    /// The `server` line.
    pub server_header: ServerHeader,
    /// Its value. (envoy: server_name)
    pub server_name: Box<str>,
    /// The response carries the request id. (envoy: always_set_request_id_in_response)
    pub request_id_in_response: bool,
    /// `100 Continue` is the upstream's to say. (envoy: proxy_100_continue)
    pub proxy_100_continue: bool,
    /// A malformed request ends its stream only, where the protocol has streams.
    /// (envoy: stream_error_on_invalid_http_message)
    pub stream_error_on_invalid: bool,
    /// Upgrades that are served, in lower case. (envoy: upgrade_configs)
    pub upgrades: Vec<Box<str>>,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Limits.
    pub limits: Limits,
    /// HTTP/1 settings.
    pub http1: Http1Options,
    /// Settings of the router filter.
    pub router: RouterOptions,
    /// Sampling; `None` without tracing.
    pub tracing: Option<Tracing>,
    /// Which side of a call it serves; `None` without tracing, when nobody is told what requests are.
    pub side: Option<Side>,
}
