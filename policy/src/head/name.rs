//! Names of header fields.
//!
//! A name that the proxy itself reads or writes is an [`Id`]: one byte that every line of a message
//! carries, so that a look-up compares bytes, not strings. All other names are their lower-case
//! spelling. Names are always lower case here (RFC 9113 §8.2.1); a codec lowers what it reads.

use std::fmt;

/// The longest name that can be an [`Id`], in bytes.
const LONGEST_KNOWN: usize = 48;

macro_rules! known {
    ($($konst:ident = $text:literal),+ $(,)?) => {
        /// A header name that the proxy knows; [`Id::CUSTOM`] for any other.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct Id(u8);

        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "the names of constants")]
        enum Index { CUSTOM, $($konst),+ }

        impl Id {
            /// A name that is in no list of ours.
            pub const CUSTOM: Self = Self(Index::CUSTOM as u8);
            $(#[doc = $text] pub const $konst: Self = Self(Index::$konst as u8);)+
        }

        /// Spelling of every [`Id`], at its index.
        const SPELLING: &[&str] = &["", $($text),+];
    };
}

known! {
    HOST = "host",
    ACCEPT = "accept",
    ACCEPT_ENCODING = "accept-encoding",
    ACCESS_CONTROL_ALLOW_CREDENTIALS = "access-control-allow-credentials",
    ACCESS_CONTROL_ALLOW_HEADERS = "access-control-allow-headers",
    ACCESS_CONTROL_ALLOW_METHODS = "access-control-allow-methods",
    ACCESS_CONTROL_ALLOW_ORIGIN = "access-control-allow-origin",
    ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK = "access-control-allow-private-network",
    ACCESS_CONTROL_EXPOSE_HEADERS = "access-control-expose-headers",
    ACCESS_CONTROL_MAX_AGE = "access-control-max-age",
    ACCESS_CONTROL_REQUEST_HEADERS = "access-control-request-headers",
    ACCESS_CONTROL_REQUEST_METHOD = "access-control-request-method",
    ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK = "access-control-request-private-network",
    AUTHORIZATION = "authorization",
    B3 = "b3",
    BAGGAGE = "baggage",
    CACHE_CONTROL = "cache-control",
    CONNECTION = "connection",
    CONTENT_ENCODING = "content-encoding",
    CONTENT_LENGTH = "content-length",
    CONTENT_TYPE = "content-type",
    COOKIE = "cookie",
    DATE = "date",
    EARLY_DATA = "early-data",
    ETAG = "etag",
    EXPECT = "expect",
    GRPC_MESSAGE = "grpc-message",
    GRPC_STATUS = "grpc-status",
    GRPC_TIMEOUT = "grpc-timeout",
    HTTP2_SETTINGS = "http2-settings",
    KEEP_ALIVE = "keep-alive",
    LOCATION = "location",
    ORIGIN = "origin",
    PROXY_CONNECTION = "proxy-connection",
    REFERER = "referer",
    RETRY_AFTER = "retry-after",
    SERVER = "server",
    SET_COOKIE = "set-cookie",
    TE = "te",
    TRACEPARENT = "traceparent",
    TRACESTATE = "tracestate",
    TRAILER = "trailer",
    TRANSFER_ENCODING = "transfer-encoding",
    UPGRADE = "upgrade",
    USER_AGENT = "user-agent",
    VARY = "vary",
    VIA = "via",
    X_B3_FLAGS = "x-b3-flags",
    X_B3_PARENTSPANID = "x-b3-parentspanid",
    X_B3_SAMPLED = "x-b3-sampled",
    X_B3_SPANID = "x-b3-spanid",
    X_B3_TRACEID = "x-b3-traceid",
    X_CLIENT_TRACE_ID = "x-client-trace-id",
    X_ENVOY_ATTEMPT_COUNT = "x-envoy-attempt-count",
    X_ENVOY_DECORATOR_OPERATION = "x-envoy-decorator-operation",
    X_ENVOY_DEGRADED = "x-envoy-degraded",
    X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER = "x-envoy-downstream-service-cluster",
    X_ENVOY_DOWNSTREAM_SERVICE_NODE = "x-envoy-downstream-service-node",
    X_ENVOY_EXPECTED_RQ_TIMEOUT_MS = "x-envoy-expected-rq-timeout-ms",
    X_ENVOY_EXTERNAL_ADDRESS = "x-envoy-external-address",
    X_ENVOY_FAULT_ABORT_GRPC_REQUEST = "x-envoy-fault-abort-grpc-request",
    X_ENVOY_FAULT_ABORT_REQUEST = "x-envoy-fault-abort-request",
    X_ENVOY_FAULT_ABORT_REQUEST_PERCENTAGE = "x-envoy-fault-abort-request-percentage",
    X_ENVOY_FAULT_DELAY_REQUEST = "x-envoy-fault-delay-request",
    X_ENVOY_FAULT_DELAY_REQUEST_PERCENTAGE = "x-envoy-fault-delay-request-percentage",
    X_ENVOY_FORCE_TRACE = "x-envoy-force-trace",
    X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT = "x-envoy-hedge-on-per-try-timeout",
    X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL = "x-envoy-immediate-health-check-fail",
    X_ENVOY_INTERNAL = "x-envoy-internal",
    X_ENVOY_IP_TAGS = "x-envoy-ip-tags",
    X_ENVOY_IS_TIMEOUT_RETRY = "x-envoy-is-timeout-retry",
    X_ENVOY_MAX_RETRIES = "x-envoy-max-retries",
    X_ENVOY_ORIGINAL_HOST = "x-envoy-original-host",
    X_ENVOY_ORIGINAL_PATH = "x-envoy-original-path",
    X_ENVOY_OVERLOADED = "x-envoy-overloaded",
    X_ENVOY_PEER_METADATA = "x-envoy-peer-metadata",
    X_ENVOY_PEER_METADATA_ID = "x-envoy-peer-metadata-id",
    X_ENVOY_RATELIMITED = "x-envoy-ratelimited",
    X_ENVOY_RETRIABLE_HEADER_NAMES = "x-envoy-retriable-header-names",
    X_ENVOY_RETRIABLE_STATUS_CODES = "x-envoy-retriable-status-codes",
    X_ENVOY_RETRY_GRPC_ON = "x-envoy-retry-grpc-on",
    X_ENVOY_RETRY_ON = "x-envoy-retry-on",
    X_ENVOY_UPSTREAM_ALT_STAT_NAME = "x-envoy-upstream-alt-stat-name",
    X_ENVOY_UPSTREAM_CANARY = "x-envoy-upstream-canary",
    X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS = "x-envoy-upstream-rq-per-try-timeout-ms",
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE = "x-envoy-upstream-rq-timeout-alt-response",
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS = "x-envoy-upstream-rq-timeout-ms",
    X_ENVOY_UPSTREAM_SERVICE_TIME = "x-envoy-upstream-service-time",
    X_ENVOY_UPSTREAM_STREAM_DURATION_MS = "x-envoy-upstream-stream-duration-ms",
    X_FORWARDED_CLIENT_CERT = "x-forwarded-client-cert",
    X_FORWARDED_FOR = "x-forwarded-for",
    X_FORWARDED_HOST = "x-forwarded-host",
    X_FORWARDED_PORT = "x-forwarded-port",
    X_FORWARDED_PROTO = "x-forwarded-proto",
    X_REQUEST_ID = "x-request-id",
}

/// For each length, the ids of that length.
const BY_LENGTH: [[u8; 10]; LONGEST_KNOWN + 1] = index_by_length();

const fn index_by_length() -> [[u8; 10]; LONGEST_KNOWN + 1] {
    let mut table = [[0_u8; 10]; LONGEST_KNOWN + 1];
    let mut id = 1;
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    while id < SPELLING.len() {
        let length = SPELLING[id].len();
        let mut slot = 0;
        while table[length][slot] != 0 {
            slot += 1;
        }
        table[length][slot] = id as u8;
        id += 1;
    }
    table
}

impl Id {
    /// The id of a lower-case name, or [`Id::CUSTOM`].
    #[must_use]
    pub fn of(lower: &[u8]) -> Self {
        let Some(candidates) = BY_LENGTH.get(lower.len()) else { return Self::CUSTOM };
        for &id in candidates {
            if id == 0 {
                break;
            }
            if Self(id).as_str().as_bytes() == lower {
                return Self(id);
            }
        }
        Self::CUSTOM
    }

    /// The spelling; empty for [`Id::CUSTOM`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        SPELLING.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// All names of our list, in the order of [`Id::index`]: for tables.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=u8::MAX).map(Self).take(SPELLING.len() - 1)
    }

    /// Place of the name in our list, from 1 on; 0 for any other.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// True for a name in our list.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }
}

/// A header name as configuration holds it: compared with lines of a message.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A name in our list.
    Known(Id),
    /// Any other, in lower case.
    Custom(Box<str>),
}

impl Name {
    /// Lowers `text` and looks it up. No character is refused: see [`Name::is_valid`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        match Id::of(lower.as_bytes()) {
            Id::CUSTOM => Self::Custom(lower.into_boxed_str()),
            id => Self::Known(id),
        }
    }

    /// The lower-case spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(id) => id.as_str(),
            Self::Custom(text) => text,
        }
    }

    /// The id, [`Id::CUSTOM`] when the name is none of ours.
    #[must_use]
    pub const fn id(&self) -> Id {
        match self {
            Self::Known(id) => *id,
            Self::Custom(_) => Id::CUSTOM,
        }
    }

    /// True if `text` is a token (RFC 9110 §5.6.2), a leading colon allowed for pseudo-headers.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        let token = text.strip_prefix(':').unwrap_or(text);
        !token.is_empty() && token.bytes().all(is_token_byte)
    }
}

impl From<Id> for Name {
    fn from(id: Id) -> Self {
        Self::Known(id)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// True for the characters of a token, RFC 9110 §5.6.2.
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// True for a byte that a field value may hold: no control character but the tab, RFC 9110 §5.5.
/// Bytes above 0x7f pass unchanged, as in Envoy.
#[must_use]
pub const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_and_is_a_lower_case_token() {
        for (index, text) in SPELLING.iter().enumerate().skip(1) {
            let id = Id::of(text.as_bytes());
            assert_eq!(usize::from(id.0), index, "{text}");
            assert_eq!(id.as_str(), *text);
            assert!(Name::is_valid(text) && *text == text.to_ascii_lowercase());
        }
    }

    #[test]
    fn all_names_stand_at_their_index() {
        let spelled: Vec<_> = Id::all().map(Id::as_str).collect();
        assert_eq!(spelled, SPELLING[1..]);
        assert!(Id::all().enumerate().all(|(at, id)| id.index() == at + 1));
    }

    #[test]
    fn a_name_that_is_not_ours_is_custom() {
        for text in ["", "x", "hosts", "x-envoy-attempt-counter", &"x".repeat(4096)] {
            assert_eq!(Id::of(text.as_bytes()), Id::CUSTOM, "{text}");
        }
        assert_eq!(Name::new("X-Foo").as_str(), "x-foo");
        assert_eq!(Name::new("Host"), Name::Known(Id::HOST));
    }

    #[test]
    fn validity_of_names() {
        for good in ["a", ":path", "x-1_2.3~"] {
            assert!(Name::is_valid(good), "{good}");
        }
        for bad in ["", ":", "a b", "a:b", "a\r\n", "é"] {
            assert!(!Name::is_valid(bad), "{bad}");
        }
    }
}
