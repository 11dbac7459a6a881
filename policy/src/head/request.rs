//! The head of a request.

use super::headers::{Headers, Span};
use super::name::{Id, Name};

/// Version of HTTP that a message came by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl Protocol {
    /// Spelling of `%PROTOCOL%`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// The scheme of a request: `:scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    #[default]
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// Lower-case spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Method, scheme, authority, path and header lines of a request.
///
/// `authority` and `path` are as received, or as normalisation and rewrites left them; the `host` line
/// of HTTP/1 is not among [`RequestHead::headers`]. All bytes lie in the headers' buffer.
#[derive(Clone, Default)]
pub struct RequestHead {
    /// Header lines without pseudo-headers and without `host`.
    pub headers: Headers,
    /// Scheme of the request.
    pub scheme: Scheme,
    /// Version by which it arrived.
    pub protocol: Protocol,
    method: Span,
    authority: Option<Span>,
    path: Span,
}

impl RequestHead {
    /// A request without header lines.
    #[must_use]
    pub fn new(method: &[u8], authority: &[u8], path: &[u8]) -> Self {
        let mut head = Self::default();
        head.set_method(method);
        head.set_authority(authority);
        head.set_path(path);
        head
    }

    /// A head over the memory of an earlier message.
    #[must_use]
    pub fn reuse(mut headers: Headers) -> Self {
        headers.clear();
        Self { headers, ..Self::default() }
    }

    /// `:method`; empty only before a codec has set it.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.headers.bytes(self.method)
    }

    /// `:authority`, or the `host` line; `None` if the client sent neither.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.map(|span| self.headers.bytes(span))
    }

    /// `:path` with its query string. Empty for CONNECT without a path.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.headers.bytes(self.path)
    }

    /// The path without query string.
    #[must_use]
    pub fn path_without_query(&self) -> &[u8] {
        let path = self.path();
        memchr::memchr(b'?', path).and_then(|at| path.get(..at)).unwrap_or(path)
    }

    /// The query string without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        let path = self.path();
        memchr::memchr(b'?', path).and_then(|at| path.get(at + 1..))
    }

    /// Sets `:method`.
    pub fn set_method(&mut self, method: &[u8]) {
        self.method = self.headers.store(method);
    }

    /// Sets `:authority`.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority = Some(self.headers.store(authority));
    }

    /// Sets `:path`, query string included.
    pub fn set_path(&mut self, path: &[u8]) {
        self.path = self.headers.store(path);
    }

    /// True for a HEAD request.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// True if `content-type` says gRPC: `application/grpc` or `application/grpc+…`.
    /// (envoy: `Grpc::Common::hasGrpcContentType`)
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.headers.get(Id::CONTENT_TYPE).is_some_and(is_grpc_content_type)
    }

    /// The first value of `name`, pseudo-headers (`:path`, `:method`, `:authority`, `:scheme`) and
    /// `host` included.
    #[must_use]
    pub fn header<'a>(&'a self, name: &'a Name) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// All values of `name`, pseudo-headers and `host` included, in order.
    pub fn values<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        let pseudo = match name {
            Name::Known(Id::HOST) => self.authority(),
            Name::Custom(text) if text.starts_with(':') => self.pseudo(text),
            _ => None,
        };
        pseudo.into_iter().chain(self.headers.get_all(name))
    }

    fn pseudo(&self, name: &str) -> Option<&[u8]> {
        match name {
            ":path" => Some(self.path()).filter(|p| !p.is_empty()),
            ":method" => Some(self.method()),
            ":authority" => self.authority(),
            ":scheme" => Some(self.scheme.as_str().as_bytes()),
            _ => None,
        }
    }
}

impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &String::from_utf8_lossy(self.method()))
            .field("authority", &self.authority().map(String::from_utf8_lossy))
            .field("path", &String::from_utf8_lossy(self.path()))
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

pub(super) fn is_grpc_content_type(value: &[u8]) -> bool {
    value
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudo_headers_read_like_lines() {
        let mut head = RequestHead::new(b"GET", b"a.com", b"/p?q=1");
        head.headers.append(b"X-A", b"1");
        assert_eq!(head.header(&Name::new(":path")), Some(b"/p?q=1".as_slice()));
        assert_eq!(head.header(&Name::new(":method")), Some(b"GET".as_slice()));
        assert_eq!(head.header(&Name::new("host")), Some(b"a.com".as_slice()));
        assert_eq!(head.header(&Name::new("x-a")), Some(b"1".as_slice()));
        assert_eq!(head.header(&Name::new(":nope")), None);
        assert_eq!(head.path_without_query(), b"/p");
        assert_eq!(head.query(), Some(b"q=1".as_slice()));
    }

    #[test]
    fn grpc_content_types() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc_content_type(value.as_bytes()), expected, "{value}");
        }
    }
}
