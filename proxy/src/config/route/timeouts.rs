//! Times and sizes as routes count them.

use std::time::Duration;

use outrigger_policy::timeout::MaxStreamDuration;
use outrigger_xds_api::envoy::config::route::v3::route_action::MaxStreamDuration as Message;
use outrigger_xds_api::google::protobuf;

use crate::config::common::{Translated, duration};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

/// Bytes of one request that may be kept for another attempt, whatever the configuration asks for: beyond it a request is sent
/// but not tried again.
const MAX_BUFFER_BYTES: u64 = 64 << 20;

/// Whole milliseconds, the rest cut off, as Envoy counts.
pub(super) fn millis(value: Option<protobuf::Duration>, at: &At<'_>) -> Translated<Option<u64>> {
    let cut = |value: Duration| u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    Ok(duration(value, at)?.map(cut))
}

/// (envoy: config.route.v3.RouteAction.MaxStreamDuration)
pub(super) fn max_stream_duration(
    message: Message,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<MaxStreamDuration> {
    fields!(cx, at, message => Message {
        used: max_stream_duration, grpc_timeout_header_max, grpc_timeout_header_offset;
    });
    let millis = |value, field: &'static str| millis(value, &at.field(field));
    Ok(MaxStreamDuration {
        max_stream_duration_ms: millis(max_stream_duration, "max_stream_duration")?,
        grpc_timeout_header_max_ms: millis(grpc_timeout_header_max, "grpc_timeout_header_max")?,
        grpc_timeout_header_offset_ms: millis(
            grpc_timeout_header_offset,
            "grpc_timeout_header_offset",
        )?,
    })
}

/// Bytes of a request that may be kept: the newer field wins over the deprecated one.
pub(super) fn buffer_limit(
    body_limit: Option<protobuf::UInt64Value>,
    per_request_limit: Option<protobuf::UInt32Value>,
) -> Option<usize> {
    let limit = body_limit
        .map(|limit| limit.value)
        .or_else(|| per_request_limit.map(|limit| u64::from(limit.value)))?;
    usize::try_from(limit.min(MAX_BUFFER_BYTES)).ok()
}
