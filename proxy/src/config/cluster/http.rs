//! HTTP towards hosts. (envoy: extensions.upstreams.http.v3.HttpProtocolOptions, and what clusters had before it)

use std::collections::HashMap;

use outrigger_xds_api::envoy::config::cluster::v3::cluster::ClusterProtocolSelection;
use outrigger_xds_api::envoy::config::core::v3::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonMessage,
    UpstreamHttpProtocolOptions,
};
use outrigger_xds_api::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use outrigger_xds_api::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use outrigger_xds_api::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use outrigger_xds_api::google::protobuf::{Any, UInt32Value};

use crate::config::common::{Translated, decode, enumeration, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher::header_name;
use crate::config::protocol::{common_options, http1_settings, http2_settings};
use crate::http::manager::Underscores;
use crate::upstream::RequestedName;
use crate::upstream::cluster::{HttpSettings, HttpVersion};

const TYPED: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Where HTTP stands in a cluster.
pub(super) struct Fields {
    pub(super) typed: HashMap<String, Any>,
    pub(super) max_requests_per_connection: Option<UInt32Value>,
    pub(super) upstream: Option<UpstreamHttpProtocolOptions>,
    pub(super) common: Option<CommonMessage>,
    pub(super) http1: Option<Http1ProtocolOptions>,
    pub(super) http2: Option<Http2ProtocolOptions>,
    pub(super) selection: i32,
}

/// Which HTTP, and the options of both.
struct Versions {
    version: HttpVersion,
    http1: Option<Http1ProtocolOptions>,
    http2: Option<Http2ProtocolOptions>,
}

/// What is set of HTTP.
pub(super) struct Http {
    pub(super) settings: HttpSettings,
    /// A host's certificate must have the name that a request brings.
    pub(super) validates_requested: bool,
}

/// Translates it; `at` is the cluster. The extension goes before the cluster's own fields.
pub(super) fn http(fields: Fields, at: &At<'_>, cx: &Cx<'_>) -> Translated<Http> {
    let map_at = at.field("typed_extension_protocol_options");
    let mut typed = None;
    for (name, config) in fields.typed {
        let at = map_at.key(&name);
        if name != TYPED {
            return Err(at.unsupported("the protocol"));
        }
        typed = Some(decode::<HttpProtocolOptions>(&config, &at)?);
    }
    if let Some(message) = typed {
        return of_type(message, &map_at.key(TYPED), cx);
    }
    let selection = enumeration(fields.selection, &at.field("protocol_selection"))?;
    let version = match selection {
        ClusterProtocolSelection::UseDownstreamProtocol => HttpVersion::Downstream,
        ClusterProtocolSelection::UseConfiguredProtocol if fields.http2.is_some() => {
            if fields.http1.is_some() {
                return Err(at.field("http_protocol_options").error(
                    "must not be set together with http2_protocol_options unless protocol_selection says so",
                ));
            }
            HttpVersion::Http2
        }
        ClusterProtocolSelection::UseConfiguredProtocol => HttpVersion::Http1,
    };
    let versions = Versions { version, http1: fields.http1, http2: fields.http2 };
    let mut settings = common(fields.common, &at.field("common_http_protocol_options"), cx)?;
    if let Some(limit) = fields.max_requests_per_connection
        && settings.max_requests_per_connection == 0
    {
        settings.max_requests_per_connection = limit.value.into();
    }
    let upstream_at = at.field("upstream_http_protocol_options");
    let validates_requested;
    (settings.requested_name, validates_requested) =
        requested_name(fields.upstream, &upstream_at, cx)?;
    Ok(Http { settings: with_versions(settings, versions, at, cx)?, validates_requested })
}

fn of_type(message: HttpProtocolOptions, at: &At<'_>, cx: &Cx<'_>) -> Translated<Http> {
    fields!(cx, at, message => HttpProtocolOptions {
        used: common_http_protocol_options, upstream_http_protocol_options,
            upstream_protocol_options;
        refused:
            http_filters = "a filter of attempts",
            header_validation_config = "another header validation",
            outlier_detection = "a matcher of errors",
            request_mirror_policies = "copies of all requests of a cluster",
            hash_policy = "a hash of requests",
            retry_policy = "retries of all requests of a cluster";
    });
    let mut settings =
        common(common_http_protocol_options, &at.field("common_http_protocol_options"), cx)?;
    let upstream_at = at.field("upstream_http_protocol_options");
    let validates_requested;
    (settings.requested_name, validates_requested) =
        requested_name(upstream_http_protocol_options, &upstream_at, cx)?;
    let options_at = at.field("upstream_protocol_options");
    let settings = match required(upstream_protocol_options, &options_at)? {
        UpstreamProtocolOptions::ExplicitHttpConfig(message) => {
            let at = at.field("explicit_http_config");
            fields!(cx, at, message => ExplicitHttpConfig { used: protocol_config; });
            let (version, http1, http2) = match required(protocol_config, &at)? {
                ProtocolConfig::HttpProtocolOptions(message) => {
                    (HttpVersion::Http1, Some(message), None)
                }
                ProtocolConfig::Http2ProtocolOptions(message) => {
                    (HttpVersion::Http2, None, Some(message))
                }
                ProtocolConfig::Http3ProtocolOptions(_) => {
                    return Err(at.field("http3_protocol_options").unsupported("HTTP/3"));
                }
            };
            with_versions(settings, Versions { version, http1, http2 }, &at, cx)?
        }
        UpstreamProtocolOptions::UseDownstreamProtocolConfig(message) => {
            let at = at.field("use_downstream_protocol_config");
            fields!(cx, at, message => UseDownstreamHttpConfig {
                used: http_protocol_options, http2_protocol_options;
                refused: http3_protocol_options = "HTTP/3";
            });
            let versions = Versions {
                version: HttpVersion::Downstream,
                http1: http_protocol_options,
                http2: http2_protocol_options,
            };
            with_versions(settings, versions, &at, cx)?
        }
        UpstreamProtocolOptions::AutoConfig(_) => {
            return Err(at.field("auto_config").unsupported("a version that ALPN chooses"));
        }
    };
    Ok(Http { settings, validates_requested })
}

fn common(message: Option<CommonMessage>, at: &At<'_>, cx: &Cx<'_>) -> Translated<HttpSettings> {
    let options = common_options(message, at, cx)?;
    if options.underscores != Underscores::Allow {
        let at = at.field("headers_with_underscores_action");
        return Err(at.unsupported("a rule for names with underscores in responses"));
    }
    let defaults = HttpSettings::default();
    let kilobytes = options.max_response_head_kb;
    Ok(HttpSettings {
        idle_timeout: options.idle_timeout,
        max_connection_duration: options.max_connection_duration,
        max_requests_per_connection: options.max_requests_per_connection,
        max_stream_duration: options.max_stream_duration,
        max_response_headers: options.max_headers,
        max_response_head_bytes: kilobytes
            .map_or(defaults.max_response_head_bytes, |kb| kb as usize * 1024),
        ..defaults
    })
}

/// Where the server name of a request stands, and whether certificates must have it.
fn requested_name(
    message: Option<UpstreamHttpProtocolOptions>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(Option<RequestedName>, bool)> {
    let Some(message) = message else { return Ok((None, false)) };
    fields!(cx, at, message => UpstreamHttpProtocolOptions {
        used: auto_sni, override_auto_sni_header, auto_san_validation;
    });
    if auto_san_validation && !auto_sni {
        // Connections have no name then that could be checked.
        return Err(at.field("auto_san_validation").unsupported("a check without auto_sni"));
    }
    let header = match override_auto_sni_header.as_str() {
        "" => None,
        name => Some(header_name(name, &at.field("override_auto_sni_header"))?),
    };
    Ok((auto_sni.then_some(RequestedName { header }), auto_san_validation))
}

fn with_versions(
    settings: HttpSettings,
    versions: Versions,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<HttpSettings> {
    let http1_at = at.field("http_protocol_options");
    let http1 = http1_settings(versions.http1, &http1_at, cx)?;
    let of_servers = [
        ("allow_absolute_url", !http1.allow_absolute_url),
        ("accept_http_10", http1.accept_http_10),
        ("default_host_for_http_10", !http1.default_host.is_empty()),
    ];
    for (name, is_set) in of_servers {
        if is_set {
            cx.note_ignored(&http1_at.field(name), "it is about clients");
        }
    }
    let http2 = http2_settings(versions.http2, &at.field("http2_protocol_options"), cx)?;
    Ok(HttpSettings {
        version: versions.version,
        enable_trailers: http1.enable_trailers,
        max_concurrent_streams: http2.concurrent_streams,
        stream_window: http2.stream_window,
        connection_window: http2.connection_window,
        ..settings
    })
}
