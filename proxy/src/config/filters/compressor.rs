//! Compression of responses. (envoy: extensions.filters.http.compressor.v3.Compressor)

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::core::v3::RuntimeFeatureFlag;
use outrigger_xds_api::envoy::extensions::compression::gzip::compressor::v3::Gzip;
use outrigger_xds_api::envoy::extensions::filters::http::compressor::v3::Compressor as Message;
use outrigger_xds_api::envoy::extensions::filters::http::compressor::v3::compressor::{
    CommonDirectionConfig, ResponseDirectionConfig,
};
use outrigger_xds_api::google::protobuf::UInt32Value;

use super::Known;
use crate::config::common::{Translated, bool_or, decode, extension, required, u32_or};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::filters::{CompressorFilter, Filter};

/// What is compressed if nothing is said.
const CONTENT_TYPES: [&str; 8] = [
    "application/javascript",
    "application/json",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/plain",
    "text/xml",
];
/// Bytes from which on it is worth it.
const MIN_LENGTH: u32 = 30;
/// zlib's own choice.
const LEVEL: u32 = 6;

pub(super) fn filter(message: Message, at: &At<'_>, cx: &Cx<'_>, scope: &str) -> Translated<Known> {
    fields!(cx, at, message => Message {
        used: content_length, content_type, disable_on_etag_header, remove_accept_encoding_header,
            runtime_enabled, compressor_library, response_direction_config;
        ignored:
            request_direction_config = "requests are passed on as they come",
            choose_first = "there is one encoding";
    });
    let library_at = at.field("compressor_library");
    let (library, config) = extension(required(compressor_library, &library_at)?, &library_at, cx);
    let library_at = library_at.field("typed_config");
    let config = required(config, &library_at)?;
    let level = match any::type_name(&config.type_url) {
        Some("envoy.extensions.compression.gzip.compressor.v3.Gzip") => {
            level(decode(&config, &library_at)?, &library_at, cx)?
        }
        Some(
            "envoy.extensions.compression.brotli.compressor.v3.Brotli"
            | "envoy.extensions.compression.zstd.compressor.v3.Zstd",
        ) => return Ok(Known::WithoutEffect("gzip is the only encoding that is written")),
        _ => return Err(library_at.unsupported(format_args!("the library {}", config.type_url))),
    };
    let stats = format!("{scope}compressor.{library}.gzip.");
    let side = if response_direction_config.is_some() { "response." } else { "" };
    let compressed = cx.registry.stats(&format!("{stats}{side}"));
    // What stands beside the configuration of responses is what it was before there was one.
    let response = response_direction_config.unwrap_or_else(|| ResponseDirectionConfig {
        common_config: Some(CommonDirectionConfig {
            enabled: runtime_enabled,
            min_content_length: content_length,
            content_type,
            ..CommonDirectionConfig::default()
        }),
        disable_on_etag_header,
        remove_accept_encoding_header,
        ..ResponseDirectionConfig::default()
    });
    let at = at.field("response_direction_config");
    fields!(cx, at, response => ResponseDirectionConfig {
        used: common_config, disable_on_etag_header, weaken_etag_on_compress,
            remove_accept_encoding_header, uncompressible_response_codes;
        refused: status_header_enabled = "a header line about the compression";
    });
    let common = common_config.unwrap_or_default();
    let at = at.field("common_config");
    fields!(cx, at, common => CommonDirectionConfig {
        used: enabled, min_content_length, content_type;
        refused: content_type_matcher = "a matcher of content types";
    });
    let types: Vec<_> = if content_type.is_empty() {
        CONTENT_TYPES.map(str::to_owned).into()
    } else {
        content_type
    };
    let codes = uncompressible_response_codes.into_iter();
    Ok(Known::Filter(Filter::Compressor(CompressorFilter {
        is_enabled: is_enabled(enabled, &at.field("enabled"), cx),
        min_length: u32_or(min_content_length, MIN_LENGTH).into(),
        content_types: types.into_iter().map(|name| name.to_ascii_lowercase().into()).collect(),
        spares_etags: disable_on_etag_header,
        weakens_etags: weaken_etag_on_compress,
        hides_accepted: remove_accept_encoding_header,
        spared_codes: codes.filter_map(|code| u16::try_from(code).ok()).collect(),
        level,
        stats: cx.registry.stats(&stats),
        compressed,
    })))
}

fn is_enabled(message: Option<RuntimeFeatureFlag>, at: &At<'_>, cx: &Cx<'_>) -> bool {
    let Some(message) = message else { return true };
    fields!(cx, at, message => RuntimeFeatureFlag {
        used: default_value;
        ignored: runtime_key = "flags of filters do not follow the runtime";
    });
    bool_or(default_value, true)
}

/// How hard gzip tries.
fn level(message: Gzip, at: &At<'_>, cx: &Cx<'_>) -> Translated<u32> {
    fields!(cx, at, message => Gzip {
        used: memory_level, compression_level, window_bits, chunk_size;
        ignored: compression_strategy = "the strategy is zlib's own";
    });
    for (value, field, range) in [
        (memory_level, "memory_level", 1..=9),
        (window_bits, "window_bits", 9..=15),
        (chunk_size, "chunk_size", 4096..=65536),
    ] {
        let Some(UInt32Value { value }) = value else { continue };
        let at = at.field(field);
        if !range.contains(&value) {
            let (low, high) = range.into_inner();
            return Err(at.error(format_args!("must be between {low} and {high}")));
        }
        cx.note_ignored(&at, "memory is what the encoder takes: a window of 32 KiB");
    }
    let level_at = at.field("compression_level");
    match u32::try_from(compression_level) {
        Ok(0) => Ok(LEVEL),
        Ok(level @ 1..=9) => Ok(level),
        _ => Err(level_at.error("unknown value")),
    }
}
