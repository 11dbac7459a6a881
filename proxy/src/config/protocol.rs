//! Options of HTTP/1 and HTTP/2 connections, of clients and of hosts alike. (envoy: config.core.v3.Http*ProtocolOptions)
//!
//! What concerns one side only is for the caller to refuse or to note.

use std::time::Duration;

use outrigger_xds_api::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use outrigger_xds_api::envoy::config::core::v3::{
    Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions,
};

use super::common::{Translated, bool_or, duration, enumeration, timeout, u32_or};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use crate::http::manager::Underscores;

/// (envoy: HttpProtocolOptions.idle_timeout)
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// (envoy: HttpProtocolOptions.max_headers_count)
const HEADERS: u32 = 100;

/// Streams at once that a connection carries where the configuration says nothing. (envoy: Http2ProtocolOptions.max_concurrent_streams)
const CONCURRENT_STREAMS: u32 = 1024;
/// Window of a stream where the configuration says nothing: Envoy's 16 MiB is memory for a hostile peer to fill.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Window of a connection, likewise.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Windows are at least what the protocol starts with (RFC 9113 §6.9.2), and at most what it allows.
const WINDOW_LIMITS: std::ops::RangeInclusive<u32> = 65_535..=2_147_483_647;

/// What is set of connections of both versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommonOptions {
    /// An unused connection is closed after this.
    pub(super) idle_timeout: Option<Duration>,
    /// A connection takes no request after this.
    pub(super) max_connection_duration: Option<Duration>,
    /// A request ends after this.
    pub(super) max_stream_duration: Option<Duration>,
    /// Lines of a head.
    pub(super) max_headers: usize,
    /// Kilobytes of a response's head, if that is said.
    pub(super) max_response_head_kb: Option<u32>,
    /// Requests of one connection; 0 means no limit.
    pub(super) max_requests_per_connection: u64,
    /// What is done about names with underscores.
    pub(super) underscores: Underscores,
}

/// Translates the options; unset ones have Envoy's defaults.
pub(super) fn common_options(
    message: Option<HttpProtocolOptions>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<CommonOptions> {
    let message = message.unwrap_or_default();
    fields!(cx, at, message => HttpProtocolOptions {
        used: idle_timeout, max_connection_duration, max_headers_count, max_stream_duration,
            headers_with_underscores_action, max_requests_per_connection, max_response_headers_kb;
        ignored:
            max_connection_duration_jitter = "connections end at their time";
    });
    let headers = u32_or(max_headers_count, HEADERS);
    if headers == 0 {
        return Err(at.field("max_headers_count").error("must be at least 1"));
    }
    let response_kb = max_response_headers_kb.map(|kb| kb.value);
    if response_kb.is_some_and(|kb| !(1..=8192).contains(&kb)) {
        return Err(at.field("max_response_headers_kb").error("must be between 1 and 8192"));
    }
    Ok(CommonOptions {
        idle_timeout: timeout(idle_timeout, Some(IDLE_TIMEOUT), &at.field("idle_timeout"))?,
        max_connection_duration: duration(
            max_connection_duration,
            &at.field("max_connection_duration"),
        )?,
        max_stream_duration: timeout(max_stream_duration, None, &at.field("max_stream_duration"))?,
        max_headers: headers as usize,
        max_response_head_kb: response_kb,
        max_requests_per_connection: u64::from(u32_or(max_requests_per_connection, 0)),
        underscores: match enumeration(
            headers_with_underscores_action,
            &at.field("headers_with_underscores_action"),
        )? {
            HeadersWithUnderscoresAction::Allow => Underscores::Allow,
            HeadersWithUnderscoresAction::RejectRequest => Underscores::RejectRequest,
            HeadersWithUnderscoresAction::DropHeader => Underscores::DropHeader,
        },
    })
}

/// What is set of an HTTP/1 connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Http1Settings {
    /// Targets may be absolute.
    pub(super) allow_absolute_url: bool,
    /// Whether HTTP/1.0 is served.
    pub(super) accept_http_10: bool,
    /// The host of HTTP/1.0 requests that name none.
    pub(super) default_host: Box<str>,
    /// Whether trailers pass.
    pub(super) enable_trailers: bool,
}

/// Translates the options; unset ones have Envoy's defaults.
pub(super) fn http1_settings(
    message: Option<Http1ProtocolOptions>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Http1Settings> {
    let message = message.unwrap_or_default();
    fields!(cx, at, message => Http1ProtocolOptions {
        used: allow_absolute_url, accept_http_10, default_host_for_http_10, enable_trailers;
        ignored:
            override_stream_error_on_invalid_http_message = "a malformed message always ends its connection",
            use_balsa_parser = "there is one parser";
        refused:
            header_key_format = "another spelling of header names",
            allow_chunked_length = "both lengths in one message",
            send_fully_qualified_url = "absolute targets",
            allow_custom_methods = "methods of its own",
            ignore_http_11_upgrade = "ignored upgrades";
    });
    Ok(Http1Settings {
        allow_absolute_url: bool_or(allow_absolute_url, true),
        accept_http_10,
        default_host: default_host_for_http_10.into(),
        enable_trailers,
    })
}

/// What is set of an HTTP/2 connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Http2Settings {
    /// Streams at once.
    pub(super) concurrent_streams: u32,
    /// Window of a stream, in bytes.
    pub(super) stream_window: u32,
    /// Window of the connection, in bytes.
    pub(super) connection_window: u32,
}

/// Translates the options; unset ones have our defaults.
pub(super) fn http2_settings(
    message: Option<Http2ProtocolOptions>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Http2Settings> {
    let message = message.unwrap_or_default();
    fields!(cx, at, message => Http2ProtocolOptions {
        used: max_concurrent_streams, initial_stream_window_size, initial_connection_window_size;
        ignored:
            hpack_table_size = "the table has 4 KiB",
            max_outbound_frames = "frames are limited by our own budget",
            max_outbound_control_frames = "frames are limited by our own budget",
            max_consecutive_inbound_frames_with_empty_payload = "frames are limited by our own budget",
            max_inbound_priority_frames_per_stream = "frames are limited by our own budget",
            max_inbound_window_update_frames_per_data_frame_sent = "frames are limited by our own budget",
            stream_error_on_invalid_http_messaging = "an invalid message always ends its stream only",
            override_stream_error_on_invalid_http_message = "an invalid message always ends its stream only",
            connection_keepalive = "dead peers are found by TCP",
            use_oghttp2_codec = "there is one codec",
            max_metadata_size = "metadata frames are not accepted",
            enable_huffman_encoding = "it changes sizes only",
            max_header_field_size_kb = "the limit of the whole block holds",
            disallow_obs_text = "bytes above 0x7f pass",
            stream_reset_burst = "resets are limited by the codec",
            stream_reset_rate = "resets are limited by the codec";
        refused:
            allow_connect = "CONNECT",
            allow_metadata = "metadata frames",
            custom_settings_parameters = "further settings";
    });
    let window = |value, default, field: &'static str| {
        let window = u32_or(value, default);
        if WINDOW_LIMITS.contains(&window) {
            Ok(window)
        } else {
            let (least, most) = (WINDOW_LIMITS.start(), WINDOW_LIMITS.end());
            Err(at.field(field).error(format_args!("must be between {least} and {most}")))
        }
    };
    let streams = u32_or(max_concurrent_streams, CONCURRENT_STREAMS);
    if !(1..=2_147_483_647).contains(&streams) {
        return Err(at.field("max_concurrent_streams").error("must be between 1 and 2147483647"));
    }
    Ok(Http2Settings {
        concurrent_streams: streams,
        stream_window: window(
            initial_stream_window_size,
            STREAM_WINDOW,
            "initial_stream_window_size",
        )?,
        connection_window: window(
            initial_connection_window_size,
            CONNECTION_WINDOW,
            "initial_connection_window_size",
        )?,
    })
}
