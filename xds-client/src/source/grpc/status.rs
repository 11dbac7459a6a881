//! How a stream ended, as gRPC says it. (gRPC over HTTP/2, "Responses"; "HTTP to gRPC Status Code Mapping")

use std::fmt;

use http::{HeaderMap, StatusCode};

/// A status of gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `google.rpc.Code`
    pub code: u32,
    /// Why, for people.
    pub message: String,
}

impl Status {
    /// The server is to blame, or what is between us. (`INTERNAL`)
    pub(super) fn internal(message: impl fmt::Display) -> Self {
        Self { code: 13, message: message.to_string() }
    }

    /// There is no server, or no more. (`UNAVAILABLE`)
    pub(super) fn unavailable(message: impl fmt::Display) -> Self {
        Self { code: 14, message: message.to_string() }
    }

    /// There was no answer yet; the words are Envoy's, which operators search for.
    pub(super) fn before_headers(reason: impl fmt::Display) -> Self {
        Self::unavailable(format_args!(
            "upstream connect error or disconnect/reset before headers. reset reason: {reason}"
        ))
    }

    /// A message is larger than it may be. (`RESOURCE_EXHAUSTED`)
    pub(super) fn too_large(length: usize, limit: usize) -> Self {
        let message = format!("a message of {length} bytes is larger than {limit}");
        Self { code: 8, message }
    }

    /// The status in trailers, or in the headers of a response without a body.
    pub(super) fn in_headers(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?;
        let code = code.to_str().ok().and_then(|code| code.parse().ok());
        let message = headers.get("grpc-message").map_or(&[][..], |message| message.as_bytes());
        // A code that is no number is an unknown one.
        Some(Self { code: code.unwrap_or(2), message: percent_decode(message) })
    }

    /// What an answer without a status means.
    pub(super) fn of_http(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502 | 503 | 504 => 14,
            _ => 2,
        };
        Self { code, message: format!("HTTP status {}", status.as_u16()) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.code, self.message)
    }
}

/// What is no valid escape stays as it is.
fn percent_decode(text: &[u8]) -> String {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                digit(high).zip(digit(low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, after));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_status_is_read_from_headers() {
        for (code, message, expected) in [
            ("7", "no%20way", Some((7, "no way"))),
            ("0", "100% %zz %4", Some((0, "100% %zz %4"))),
            ("x", "%C3%B6", Some((2, "ö"))),
            ("", "", None),
        ] {
            let mut headers = HeaderMap::new();
            if !code.is_empty() {
                headers.insert("grpc-status", HeaderValue::from_static(code));
                headers.insert("grpc-message", HeaderValue::from_static(message));
            }
            let status = Status::in_headers(&headers);
            let expected = expected.map(|(code, message)| Status { code, message: message.into() });
            assert_eq!(status, expected);
        }
    }

    #[test]
    fn an_answer_that_is_no_grpc_has_a_status_too() {
        for (http, code) in [(503, 14), (404, 12), (200, 2), (500, 2), (403, 7)] {
            assert_eq!(Status::of_http(StatusCode::from_u16(http).unwrap()).code, code);
        }
    }
}
