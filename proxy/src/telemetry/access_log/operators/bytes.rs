//! Sizes of bodies and heads.

use outrigger_policy::head::{Headers, RequestHead, ResponseHead};

use super::{Row, number};

pub(super) const ROWS: &[Row] = &[
    Row::number("BYTES_RECEIVED", |record, out| number(out, record.info.bytes_received)),
    Row::number("BYTES_SENT", |record, out| number(out, record.info.bytes_sent)),
    Row::number("REQUEST_HEADERS_BYTES", |record, out| {
        number(out, record.request.map_or(0, of_request))
    }),
    Row::number("RESPONSE_HEADERS_BYTES", |record, out| {
        number(out, record.response.map_or(0, of_response))
    }),
    Row::number("RESPONSE_TRAILERS_BYTES", |record, out| {
        number(out, record.info.response_trailers.as_ref().map_or(0, Headers::byte_size))
    }),
    // Of QUIC only.
    Row::number("BYTES_RETRANSMITTED", |_, out| number(out, 0_u8)),
    Row::number("PACKETS_RETRANSMITTED", |_, out| number(out, 0_u8)),
];

/// Names and values, pseudo-headers included. (envoy: `HeaderMap::byteSize`)
fn of_request(request: &RequestHead) -> usize {
    let pseudo = |name: &str, value: Option<&[u8]>| value.map_or(0, |v| name.len() + v.len());
    request.headers.byte_size()
        + pseudo(":method", Some(request.method()))
        + pseudo(":authority", request.authority())
        + pseudo(":path", Some(request.path()).filter(|path| !path.is_empty()))
        + pseudo(":scheme", Some(request.scheme.as_str().as_bytes()))
}

fn of_response(response: &ResponseHead) -> usize {
    response.headers.byte_size() + ":status".len() + response.status_text().len()
}
