//! The HTTP connection manager. (envoy: extensions.filters.network.http_connection_manager.v3.HttpConnectionManager)

use std::sync::Arc;
use std::time::Duration;

use outrigger_policy::matcher::CidrSet;
use outrigger_xds::ResourceType;
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::core::v3::Http1ProtocolOptions;
use outrigger_xds_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    CodecType, ForwardClientCertDetails, HcmAccessLogOptions, InternalAddressConfig,
    PathWithEscapedSlashesAction, RouteSpecifier, ServerHeaderTransformation,
    SetCurrentClientCertDetails, StripPortMode, Tracing as TracingMessage, UpgradeConfig,
};
use outrigger_xds_api::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager as Message, Rds, RequestIdExtension,
};
use outrigger_xds_api::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;

use super::Scope;
use super::filters::{decode, http_filters};
use crate::config::common::{
    Translated, bool_or, cidrs, duration, enumeration, non_empty, percent, required, timeout,
    u32_or,
};
use crate::config::cx::{Cx, Need};
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::protocol::{common_options, http1_settings, http2_settings};
use crate::config::{access_log, route, source};
use crate::http::HttpConnectionManager;
use crate::http::forwarding::Forwarding;
use crate::http::manager::{
    Codec, CodecStats, Http1Options, Limits, RouteSource, ServerHeader, StripPort, Timeouts,
};
use crate::http::operation::Side;
use crate::http::path::{EscapedSlashes, PathRules};
use crate::http::tracing::Tracing;
use crate::http::xfcc::{Mode, Xfcc};
use crate::listener::Direction;

/// (envoy: stream_idle_timeout)
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// (envoy: drain_timeout)
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// (envoy: delayed_close_timeout)
const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// (envoy: max_request_headers_kb)
const REQUEST_HEADERS_KB: u32 = 60;

/// The runtime key that says whether a path with a fragment is refused.
const REJECT_FRAGMENT: &str = "envoy.reloadable_features.http_reject_path_with_fragment";

#[expect(clippy::too_many_lines, reason = "the message is taken apart as a whole")]
pub(super) fn manager(
    message: Message,
    at: &At<'_>,
    cx: &Cx<'_>,
    scope: &Scope<'_>,
) -> Translated<HttpConnectionManager> {
    fields!(cx, at, message => Message {
        used: codec_type, stat_prefix, http_filters, tracing, common_http_protocol_options,
            http_protocol_options, http2_protocol_options, server_name,
            server_header_transformation, max_request_headers_kb, stream_idle_timeout, request_timeout,
            request_headers_timeout, drain_timeout, delayed_close_timeout, access_log,
            access_log_options, use_remote_address, xff_num_trusted_hops, internal_address_config,
            skip_xff_append, via, generate_request_id, preserve_external_request_id,
            always_set_request_id_in_response, forward_client_cert_details,
            set_current_client_cert_details, proxy_100_continue, upgrade_configs, normalize_path,
            merge_slashes, path_with_escaped_slashes_action, request_id_extension,
            strip_matching_host_port, stream_error_on_invalid_http_message, strip_trailing_host_dot,
            append_x_forwarded_port, route_specifier, strip_port_mode;
        ignored:
            http1_safe_max_connection_duration = "a connection never ends inside a response",
            stream_flush_timeout = "the stream's idle timeout holds until the last byte",
            drain_timeout_jitter = "clients are told to leave at once",
            access_log_flush_interval = "a request is logged when it ends",
            flush_access_log_on_new_request = "a request is logged when it ends",
            add_proxy_protocol_connection_state = "the PROXY protocol is not spoken",
            append_local_overload = "nothing is shed yet",
            http3_protocol_options = "HTTP/3 is not spoken";
        refused:
            add_user_agent = "the user agent of this proxy",
            scheme_header_transformation = "another scheme",
            original_ip_detection_extensions = "an extension that finds the client's address",
            early_header_mutation_extensions = "early changes of headers",
            forward_client_cert_matcher = "a matcher tree for client certificates",
            represent_ipv4_remote_address_as_ipv4_mapped_ipv6 = "mapped addresses",
            local_reply_config = "local replies of its own",
            path_normalization_options = "a path normalization of its own",
            proxy_status_config = "proxy-status",
            typed_header_validation_config = "another header validation",
            forward_proto_config = "another rule for x-forwarded-proto";
    });
    let stat_prefix = non_empty(stat_prefix, &at.field("stat_prefix"))?;
    let (filters, router) = self::http_filters(
        http_filters,
        &at.field("http_filters"),
        cx,
        &stat_prefix,
        scope.direction,
    )?;
    let common_at = at.field("common_http_protocol_options");
    let common = common_options(common_http_protocol_options, &common_at, cx)?;
    if common.max_response_head_kb.is_some() {
        cx.note_ignored(&common_at.field("max_response_headers_kb"), "it is about upstreams");
    }
    let http2 = http2_settings(http2_protocol_options, &at.field("http2_protocol_options"), cx)?;
    if let Some(message) = access_log_options {
        let at = at.field("access_log_options");
        fields!(cx, at, message => HcmAccessLogOptions {
            ignored:
                access_log_flush_interval = "a request is logged when it ends",
                flush_access_log_on_new_request = "a request is logged when it ends",
                flush_log_on_tunnel_successfully_established = "a request is logged when it ends";
        });
    }
    let head_kb = u32_or(max_request_headers_kb, REQUEST_HEADERS_KB);
    if !(1..=8192).contains(&head_kb) {
        return Err(at.field("max_request_headers_kb").error("must be between 1 and 8192"));
    }
    let prefix = format!("http.{stat_prefix}.");
    Ok(HttpConnectionManager {
        codec: match enumeration(codec_type, &at.field("codec_type"))? {
            CodecType::Auto => Codec::Auto,
            CodecType::Http1 => Codec::Http1,
            CodecType::Http2 => Codec::Http2,
            CodecType::Http3 => return Err(at.field("codec_type").unsupported("HTTP/3")),
        },
        stats: cx.registry.stats(&prefix),
        router_stats: cx.registry.stats(&prefix),
        codec_stats: CodecStats::new(cx.registry.clone()),
        listener_stats: cx.registry.stats(&format!("{}{prefix}", scope.prefix)),
        routes: routes(
            required(route_specifier, &at.field("route_config"))?,
            &stat_prefix,
            at,
            cx,
        )?,
        filters: Arc::new(filters),
        router,
        access_log: access_log::logs(access_log, &at.field("access_log"), cx)?,
        forwarding: forwarding(
            ForwardingFields {
                use_remote_address: bool_or(use_remote_address, false),
                trusted_hops: xff_num_trusted_hops as usize,
                skip_append: skip_xff_append,
                append_port: append_x_forwarded_port,
                via,
                generate_request_id: bool_or(generate_request_id, true),
                preserve_external_request_id,
                internal_address_config,
                client_cert: xfcc(
                    forward_client_cert_details,
                    set_current_client_cert_details,
                    at,
                    cx,
                )?,
            },
            at,
            cx,
        )?,
        path_rules: PathRules {
            normalize: bool_or(normalize_path, false),
            merge_slashes,
            strips_fragment: !cx.runtime.flag(REJECT_FRAGMENT, true),
            escaped_slashes: escaped_slashes(path_with_escaped_slashes_action, at)?,
        },
        strip_port: match strip_port_mode {
            Some(StripPortMode::StripAnyHostPort(true)) => StripPort::Any,
            Some(StripPortMode::StripAnyHostPort(false)) | None if strip_matching_host_port => {
                StripPort::Matching
            }
            _ => StripPort::No,
        },
        strip_trailing_dot: strip_trailing_host_dot,
        underscores: common.underscores,
        server_header: match enumeration(
            server_header_transformation,
            &at.field("server_header_transformation"),
        )? {
            ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite,
            ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
            ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
        },
        server_name: if server_name.is_empty() { "envoy".into() } else { server_name.into() },
        request_id_in_response: always_set_request_id_in_response,
        proxy_100_continue,
        stream_error_on_invalid: bool_or(stream_error_on_invalid_http_message, false),
        upgrades: upgrades(upgrade_configs, &at.field("upgrade_configs"), cx)?,
        timeouts: Timeouts {
            connection_idle: common.idle_timeout,
            max_connection_duration: common.max_connection_duration,
            stream_idle: timeout(
                stream_idle_timeout,
                Some(STREAM_IDLE_TIMEOUT),
                &at.field("stream_idle_timeout"),
            )?,
            request: timeout(request_timeout, None, &at.field("request_timeout"))?,
            request_headers: timeout(
                request_headers_timeout,
                None,
                &at.field("request_headers_timeout"),
            )?,
            max_stream_duration: common.max_stream_duration,
            drain: duration(drain_timeout, &at.field("drain_timeout"))?.unwrap_or(DRAIN_TIMEOUT),
            delayed_close: duration(delayed_close_timeout, &at.field("delayed_close_timeout"))?
                .unwrap_or(DELAYED_CLOSE_TIMEOUT),
        },
        limits: Limits {
            head_bytes: head_kb as usize * 1024,
            headers: common.max_headers,
            requests_per_connection: common.max_requests_per_connection,
            concurrent_streams: http2.concurrent_streams,
            stream_window: http2.stream_window,
            connection_window: http2.connection_window,
        },
        http1: http1_options(http_protocol_options, &at.field("http_protocol_options"), cx)?,
        side: tracing.is_some().then_some(match scope.direction {
            Direction::Outbound => Side::Client,
            Direction::Inbound | Direction::Unspecified => Side::Server,
        }),
        tracing: match tracing {
            Some(message) => {
                let tracing = self::tracing(message, &at.field("tracing"), cx)?;
                uses_request_id(request_id_extension, at, cx)?.then_some(tracing)
            }
            None => None,
        },
    })
}

fn routes(
    specifier: RouteSpecifier,
    stat_prefix: &str,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<RouteSource> {
    match specifier {
        RouteSpecifier::RouteConfig(message) => {
            let table = route::inline_table(message, &at.field("route_config"), cx)?;
            Ok(RouteSource::Inline(Arc::new(table)))
        }
        RouteSpecifier::Rds(message) => {
            let at = at.field("rds");
            fields!(cx, at, message => Rds { used: config_source, route_config_name; });
            let name: Arc<str> =
                non_empty(route_config_name, &at.field("route_config_name"))?.into();
            let from = required(config_source, &at.field("config_source"))?;
            cx.need(Need {
                kind: ResourceType::Routes,
                name: name.clone(),
                from: source::config_source(from, &at.field("config_source"), cx)?,
                stats_prefix: format!("http.{stat_prefix}.rds.{name}."),
            });
            Ok(RouteSource::Named(name))
        }
        RouteSpecifier::ScopedRoutes(_) => {
            Err(at.field("scoped_routes").unsupported("scoped routing"))
        }
    }
}

fn http1_options(
    message: Option<Http1ProtocolOptions>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Http1Options> {
    let settings = http1_settings(message, at, cx)?;
    if !settings.allow_absolute_url {
        return Err(at.field("allow_absolute_url").unsupported("refusing absolute targets"));
    }
    Ok(Http1Options {
        accept_http_10: settings.accept_http_10,
        default_host: settings.default_host,
        enable_trailers: settings.enable_trailers,
    })
}

struct ForwardingFields {
    use_remote_address: bool,
    trusted_hops: usize,
    skip_append: bool,
    append_port: bool,
    via: String,
    generate_request_id: bool,
    preserve_external_request_id: bool,
    internal_address_config: Option<InternalAddressConfig>,
    client_cert: Xfcc,
}

fn forwarding(given: ForwardingFields, at: &At<'_>, cx: &Cx<'_>) -> Translated<Forwarding> {
    if !given.via.bytes().all(outrigger_policy::head::is_value_byte) {
        return Err(at.field("via").error("holds a control character"));
    }
    let (ranges, unix_is_internal) = match given.internal_address_config {
        None => (Vec::new(), false),
        Some(message) => {
            let at = at.field("internal_address_config");
            fields!(cx, at, message => InternalAddressConfig { used: unix_sockets, cidr_ranges; });
            (cidrs(cidr_ranges, &at.field("cidr_ranges"), cx)?, unix_sockets)
        }
    };
    Ok(Forwarding {
        use_remote_address: given.use_remote_address,
        trusted_hops: given.trusted_hops,
        skip_append: given.skip_append,
        append_port: given.append_port,
        internal_addresses: CidrSet::new(ranges),
        unix_is_internal,
        via: given.via.into(),
        generate_request_id: given.generate_request_id,
        preserve_external_request_id: given.preserve_external_request_id,
        client_cert: given.client_cert,
    })
}

fn xfcc(
    mode: i32,
    details: Option<SetCurrentClientCertDetails>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Xfcc> {
    let mode = match enumeration(mode, &at.field("forward_client_cert_details"))? {
        ForwardClientCertDetails::Sanitize => Mode::Sanitize,
        ForwardClientCertDetails::ForwardOnly => Mode::ForwardOnly,
        ForwardClientCertDetails::AppendForward => Mode::AppendForward,
        ForwardClientCertDetails::SanitizeSet => Mode::SanitizeSet,
        ForwardClientCertDetails::AlwaysForwardOnly => Mode::AlwaysForwardOnly,
    };
    let message = details.unwrap_or_default();
    let at = at.field("set_current_client_cert_details");
    fields!(cx, at, message => SetCurrentClientCertDetails {
        used: subject, cert, chain, dns, uri;
        refused: issuer = "the issuer", format = "another format";
    });
    Ok(Xfcc { mode, subject: bool_or(subject, false), cert, chain, dns, uri })
}

fn escaped_slashes(action: i32, at: &At<'_>) -> Translated<EscapedSlashes> {
    let at = at.field("path_with_escaped_slashes_action");
    Ok(match enumeration(action, &at)? {
        PathWithEscapedSlashesAction::ImplementationSpecificDefault
        | PathWithEscapedSlashesAction::KeepUnchanged => EscapedSlashes::Keep,
        PathWithEscapedSlashesAction::RejectRequest => EscapedSlashes::Reject,
        PathWithEscapedSlashesAction::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
        PathWithEscapedSlashesAction::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
    })
}

fn upgrades(messages: Vec<UpgradeConfig>, at: &At<'_>, cx: &Cx<'_>) -> Translated<Vec<Box<str>>> {
    let mut upgrades: Vec<Box<str>> = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => UpgradeConfig {
            used: upgrade_type, enabled;
            refused: filters = "filters of an upgrade";
        });
        let kind = non_empty(upgrade_type, &at.field("upgrade_type"))?.to_ascii_lowercase();
        if kind == "connect" || kind == "connect-udp" {
            return Err(at.field("upgrade_type").unsupported("CONNECT"));
        }
        if upgrades.iter().any(|held| **held == *kind) {
            return Err(at.field("upgrade_type").error(format_args!("'{kind}' stands twice")));
        }
        if bool_or(enabled, true) {
            upgrades.push(kind.into());
        }
    }
    Ok(upgrades)
}

fn tracing(message: TracingMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<Tracing> {
    fields!(cx, at, message => TracingMessage {
        used: client_sampling, random_sampling, overall_sampling;
        ignored:
            verbose = "spans are not sent yet",
            max_path_tag_length = "spans are not sent yet",
            custom_tags = "spans are not sent yet",
            provider = "spans are not sent yet: the decision is made and carried in x-request-id",
            spawn_upstream_span = "spans are not sent yet",
            operation = "spans are not sent yet",
            upstream_operation = "spans are not sent yet",
            no_context_propagation = "trace headers of the client pass unchanged";
    });
    Ok(Tracing {
        client: percent(client_sampling, 10_000, &at.field("client_sampling"), cx)?,
        random: percent(random_sampling, 10_000, &at.field("random_sampling"), cx)?,
        overall: percent(overall_sampling, 10_000, &at.field("overall_sampling"), cx)?,
    })
}

/// Whether the trace decision is carried in `x-request-id`.
fn uses_request_id(
    message: Option<RequestIdExtension>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<bool> {
    let Some(message) = message else { return Ok(true) };
    let at = at.field("request_id_extension");
    fields!(cx, at, message => RequestIdExtension { used: typed_config; });
    let at = at.field("typed_config");
    let config = required(typed_config, &at)?;
    if any::type_name(&config.type_url)
        != Some("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig")
    {
        return Err(at.unsupported(format_args!("the request id {}", config.type_url)));
    }
    let message: UuidRequestIdConfig = decode(&config, &at)?;
    fields!(cx, at, message => UuidRequestIdConfig {
        used: pack_trace_reason;
        ignored: use_request_id_for_trace_sampling = "the request id always decides";
    });
    Ok(bool_or(pack_trace_reason, true))
}
