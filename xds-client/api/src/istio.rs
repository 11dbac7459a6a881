//! Messages of Istio's extensions that `envoy-types` lacks.
//!
//! Names and numbers as in `istio.io/api` v1.31.1. Extensions that istiod sends as a `TypedStruct` (peer
//! metadata, metadata exchange) have no message here: the struct is all there is to read.

/// `istio.stats`: the metrics of the mesh. (istio: envoy/extensions/stats/config.proto)
pub mod stats {
    use std::collections::HashMap;

    use envoy_types::pb::google::protobuf::Duration;

    /// Configuration of the filter `istio.stats`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PluginConfig {
        /// Deprecated.
        #[prost(bool, tag = "1")]
        pub debug: bool,
        /// Deprecated.
        #[prost(int32, tag = "2")]
        pub max_peer_cache_size: i32,
        /// Deprecated. Default `istio_`.
        #[prost(string, tag = "3")]
        pub stat_prefix: String,
        /// Separator of the older stats form. Default `;;`.
        #[prost(string, tag = "4")]
        pub field_separator: String,
        /// Separator of the older stats form. Default `==`.
        #[prost(string, tag = "5")]
        pub value_separator: String,
        /// Never take the destination service from the host header.
        #[prost(bool, tag = "6")]
        pub disable_host_header_fallback: bool,
        /// Time between two reports of one TCP connection. Default 15 s.
        #[prost(message, optional, tag = "7")]
        pub tcp_reporting_duration: Option<Duration>,
        /// Changes to metrics.
        #[prost(message, repeated, tag = "8")]
        pub metrics: Vec<MetricConfig>,
        /// Metrics besides Istio's own.
        #[prost(message, repeated, tag = "9")]
        pub definitions: Vec<MetricDefinition>,
        /// Whose point of view is reported.
        #[prost(enumeration = "Reporter", tag = "10")]
        pub reporter: i32,
        /// Zero: series are never rotated.
        #[prost(message, optional, tag = "11")]
        pub rotation_interval: Option<Duration>,
        /// How long a rotated series is still reported. Default 5 min.
        #[prost(message, optional, tag = "12")]
        pub graceful_deletion_interval: Option<Duration>,
    }

    impl prost::Name for PluginConfig {
        const NAME: &'static str = "PluginConfig";
        const PACKAGE: &'static str = "stats";
    }

    /// A change to the labels of one metric, or of all.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct MetricConfig {
        /// Label name to CEL expression.
        #[prost(map = "string, string", tag = "1")]
        pub dimensions: HashMap<String, String>,
        /// The metric. Empty: all.
        #[prost(string, tag = "2")]
        pub name: String,
        /// Labels to leave out.
        #[prost(string, repeated, tag = "3")]
        pub tags_to_remove: Vec<String>,
        /// Not implemented in Istio's proxy.
        #[prost(string, tag = "4")]
        pub r#match: String,
        /// Do not report the metric.
        #[prost(bool, tag = "5")]
        pub drop: bool,
    }

    impl prost::Name for MetricConfig {
        const NAME: &'static str = "MetricConfig";
        const PACKAGE: &'static str = "stats";
    }

    /// A metric of the user's own.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct MetricDefinition {
        /// Name of the metric.
        #[prost(string, tag = "1")]
        pub name: String,
        /// CEL expression of its value.
        #[prost(string, tag = "2")]
        pub value: String,
        /// Kind of metric.
        #[prost(enumeration = "MetricType", tag = "3")]
        pub r#type: i32,
    }

    impl prost::Name for MetricDefinition {
        const NAME: &'static str = "MetricDefinition";
        const PACKAGE: &'static str = "stats";
    }

    /// Kind of metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    pub enum MetricType {
        /// Only grows.
        Counter = 0,
        /// Goes up and down.
        Gauge = 1,
        /// Distribution of values.
        Histogram = 2,
    }

    /// Whose point of view is reported.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    pub enum Reporter {
        /// Client or server, by the direction of the listener.
        Unspecified = 0,
        /// A gateway on the side of the server: a waypoint.
        ServerGateway = 1,
    }
}

/// `istio.alpn`: what is offered in TLS to an upstream, by the protocol of the request.
/// (istio: envoy/config/filter/http/alpn/v2alpha1/config.proto)
pub mod alpn {
    /// Configuration of the filter `istio.alpn`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FilterConfig {
        /// At most one for each protocol.
        #[prost(message, repeated, tag = "1")]
        pub alpn_override: Vec<AlpnOverride>,
    }

    impl prost::Name for FilterConfig {
        const NAME: &'static str = "FilterConfig";
        const PACKAGE: &'static str = "istio.envoy.config.filter.http.alpn.v2alpha1";
    }

    /// What is offered for one protocol.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct AlpnOverride {
        /// Protocol of the request to the upstream.
        #[prost(enumeration = "Protocol", tag = "1")]
        pub upstream_protocol: i32,
        /// Protocol names for the TLS handshake, in order.
        #[prost(string, repeated, tag = "2")]
        pub alpn_override: Vec<String>,
    }

    impl prost::Name for AlpnOverride {
        const NAME: &'static str = "FilterConfig.AlpnOverride";
        const PACKAGE: &'static str = "istio.envoy.config.filter.http.alpn.v2alpha1";
    }

    /// Protocol of a request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    pub enum Protocol {
        /// HTTP/1.0
        Http10 = 0,
        /// HTTP/1.1
        Http11 = 1,
        /// HTTP/2
        Http2 = 2,
    }
}
