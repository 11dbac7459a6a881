//! The head of a response.

use super::headers::Headers;
use super::name::Id;
use super::request::is_grpc_content_type;

/// Status and header lines of a response.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Header lines.
    pub headers: Headers,
}

impl ResponseHead {
    /// A response without header lines.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Headers::new() }
    }

    /// Whether the status lets a body follow. (RFC 9110 §6.4.1)
    #[must_use]
    pub const fn may_have_body(&self) -> bool {
        !matches!(self.status, 100..=199 | 204 | 304)
    }

    /// Whether the status lets it say a length. A 304 says that of the body that it does not have. (RFC 9110 §8.6, RFC 9112 §6.1)
    #[must_use]
    pub const fn may_have_length(&self) -> bool {
        !matches!(self.status, 100..=199 | 204)
    }

    /// True if `content-type` says gRPC.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.headers.get(Id::CONTENT_TYPE).is_some_and(is_grpc_content_type)
    }

    /// The three digits of `:status`; empty for a number that no codec lets through.
    #[must_use]
    pub fn status_text(&self) -> &'static [u8] {
        let index = usize::from(self.status).checked_sub(100);
        index.and_then(|at| STATUS_TEXT.get(at)).map_or(&[], <[u8; 3]>::as_slice)
    }

    /// The number in `grpc-status` of the headers: set in a trailers-only response.
    #[must_use]
    pub fn grpc_status(&self) -> Option<u32> {
        grpc_status(&self.headers)
    }
}

/// The digits of every status from 100 to 999, so that matchers and logs format none.
static STATUS_TEXT: [[u8; 3]; 900] = status_texts();

const fn status_texts() -> [[u8; 3]; 900] {
    let mut texts = [[0; 3]; 900];
    let mut at = 0;
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    while at < texts.len() {
        let status = at + 100;
        texts[at] = [digit(status / 100), digit(status / 10), digit(status)];
        at += 1;
    }
    texts
}

const fn digit(value: usize) -> u8 {
    b'0' + (value % 10) as u8
}

/// The number in `grpc-status`; `None` if the line is absent or no number.
pub(super) fn grpc_status(headers: &Headers) -> Option<u32> {
    std::str::from_utf8(headers.get(Id::GRPC_STATUS)?).ok()?.trim().parse().ok()
}

/// The reason phrase of HTTP/1 for a status (RFC 9110 §15); `Unknown` for others, as Envoy says.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        599 => "Last Unassigned Server Error Code",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_texts_are_the_digits_of_the_status() {
        for (status, text) in
            [(100, "100"), (204, "204"), (599, "599"), (999, "999"), (99, ""), (1000, "")]
        {
            assert_eq!(ResponseHead::new(status).status_text(), text.as_bytes());
        }
    }
}
