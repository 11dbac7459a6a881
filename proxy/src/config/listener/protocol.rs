//! Options of HTTP/1 and HTTP/2 connections, of clients and of hosts alike. (envoy: config.core.v3.Http*ProtocolOptions)

use outrigger_xds_api::envoy::config::core::v3::Http2ProtocolOptions;

use crate::config::common::{Translated, u32_or};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

/// Streams at once that a connection carries where the configuration says nothing. (envoy: Http2ProtocolOptions.max_concurrent_streams)
const CONCURRENT_STREAMS: u32 = 1024;
/// Window of a stream where the configuration says nothing: Envoy's 16 MiB is memory for a hostile peer to fill.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Window of a connection, likewise.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Windows are at least what the protocol starts with (RFC 9113 §6.9.2), and at most what it allows.
const WINDOW_LIMITS: std::ops::RangeInclusive<u32> = 65_535..=2_147_483_647;

/// What is set of an HTTP/2 connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Settings {
    /// Streams at once.
    pub concurrent_streams: u32,
    /// Window of a stream, in bytes.
    pub stream_window: u32,
    /// Window of the connection, in bytes.
    pub connection_window: u32,
}

/// Translates the options; unset ones have our defaults.
pub fn http2_settings(
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
