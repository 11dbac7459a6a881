//! Why a head was refused, and what the peer is told.

/// A head that is not a request or response that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A line ends in LF without CR.
    #[error("line ends without CR")]
    BareLineFeed,
    /// The head is longer than the limit.
    #[error("head over the size limit")]
    TooLarge,
    /// More lines than the limit.
    #[error("too many header lines")]
    TooManyHeaders,
    /// A header value holds a control character.
    #[error("control character in a header value")]
    Characters,
    /// The start line or a header line does not parse.
    #[error("malformed head")]
    Malformed,
    /// The request target has a form or a character that we refuse.
    #[error("invalid request target")]
    Target,
    /// A second `host`, or one with characters that no host has.
    #[error("invalid host")]
    Host,
    /// HTTP/1.0 where it is off, or a version that does not exist.
    #[error("unsupported version")]
    Version,
    /// A `connection` line names a header that proxies tell each other by.
    #[error("forwarding header in connection")]
    Nominated,
    /// Both lengths.
    #[error("both content-length and transfer-encoding")]
    BothLengths,
    /// A `content-length` that is no number, or a second one.
    #[error("invalid content-length")]
    ContentLength,
    /// A `transfer-encoding` other than `chunked`.
    #[error("unsupported transfer-encoding")]
    TransferEncoding,
    /// A body in a chunked encoding that does not parse, or one that is cut short.
    #[error("malformed body")]
    Body,
    /// An upgrade or CONNECT in HTTP/1.0, or with a body.
    #[error("invalid upgrade")]
    Upgrade,
}

impl HeadError {
    /// Status of the answer to a client.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyHeaders => 431,
            Self::Version => 426,
            Self::TransferEncoding => 501,
            _ => 400,
        }
    }

    /// `%RESPONSE_CODE_DETAILS%`, as Envoy spells it where it has the case.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::TooLarge => "http1.headers_too_large",
            Self::TooManyHeaders => "http1.too_many_headers",
            Self::BothLengths => "http1.content_length_and_chunked_not_allowed",
            Self::TransferEncoding => "http1.invalid_transfer_encoding",
            Self::Nominated => "http1.connection_header_rejected",
            Self::Target => "http1.invalid_url",
            Self::Version => "low_version",
            Self::Characters => "http1.invalid_characters",
            Self::Host => "http.invalid_authority",
            Self::BareLineFeed
            | Self::Malformed
            | Self::ContentLength
            | Self::Body
            | Self::Upgrade => "http1.codec_error",
        }
    }
}
