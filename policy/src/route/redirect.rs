//! The `location` of an answer that sends the client elsewhere.
//! (envoy: config.route.v3.RedirectAction)
//!
//! Made of the request's own scheme, authority and path, with parts replaced; a path that has lost its slash
//! gets one. A port goes where it was the default of the old scheme and the scheme changes. A request without a path (CONNECT) has no
//! location: Envoy answers with the status alone.

use super::matcher::PathRule;
use super::path::{PathRewrite, split_query};
use crate::head::{Id, RequestHead, Scheme};

#[cfg(test)]
mod tests;

/// Status of a redirect. (envoy: config.route.v3.RedirectAction.RedirectResponseCode)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u16)]
pub enum RedirectCode {
    /// 301
    #[default]
    MovedPermanently = 301,
    /// 302
    Found = 302,
    /// 303
    SeeOther = 303,
    /// 307
    TemporaryRedirect = 307,
    /// 308
    PermanentRedirect = 308,
}

/// What becomes of the path in a redirect.
#[derive(Clone, Debug, Default)]
pub enum PathRedirect {
    /// It stays.
    #[default]
    Keep,
    /// It is replaced; if this has a query string, so is that, whatever `strip_query` says.
    Replace(Box<[u8]>),
    /// It is rewritten.
    Rewrite(PathRewrite),
}

/// Where a client is sent. What is `None` stays as it was in the request.
#[derive(Clone, Debug, Default)]
pub struct Redirect {
    /// `https` for `https_redirect`; any text for `scheme_redirect`.
    pub scheme: Option<Box<str>>,
    /// Host, as configured: a port in it stays.
    pub host: Option<Box<str>>,
    /// Port; takes the place of any port of the request.
    pub port: Option<u16>,
    /// Path.
    pub path: PathRedirect,
    /// Drop the request's query string.
    pub strip_query: bool,
    /// Status.
    pub code: RedirectCode,
}

impl RedirectCode {
    /// The status as a number.
    #[must_use]
    pub const fn status(self) -> u16 {
        self as u16
    }
}

impl Redirect {
    /// Value of `location` for a request whose path `rule` has matched.
    #[must_use]
    pub fn location(&self, head: &RequestHead, rule: &PathRule) -> Option<Vec<u8>> {
        let mut rewritten = Vec::new();
        let path = match &self.path {
            PathRedirect::Rewrite(by) if by.apply(head.path(), rule, &mut rewritten) => &rewritten,
            _ => head.path(),
        };
        if path.is_empty() {
            return None;
        }
        let (path, mut query) = split_query(path);
        if self.strip_query {
            query = b"";
        }
        let (path, query) = match &self.path {
            PathRedirect::Replace(new) if new.contains(&b'?') => (&**new, b"".as_slice()),
            PathRedirect::Replace(new) => (&**new, query),
            _ => (path, query),
        };
        let slash = if path.starts_with(b"/") { "" } else { "/" };
        let scheme = self.scheme.as_deref().unwrap_or(head.scheme.as_str()).as_bytes();
        let host = match &self.host {
            Some(host) => host.as_bytes(),
            None => self.request_host(head, scheme),
        };
        let mut port = itoa::Buffer::new();
        let (colon, port) = match self.port {
            Some(number) => (":", port.format(number)),
            None => ("", ""),
        };
        let origin = [scheme, b"://", host, colon.as_bytes(), port.as_bytes()].concat();
        Some([&origin, slash.as_bytes(), path, query].concat())
    }

    /// The request's authority, without its port if that is replaced or no longer the default.
    fn request_host<'a>(&self, head: &'a RequestHead, scheme: &[u8]) -> &'a [u8] {
        let authority = head.authority().unwrap_or_default();
        let host = without_port(authority);
        let port = authority.get(host.len()..).unwrap_or_default();
        let forwarded = forwarded_proto(head);
        let was_default = scheme != forwarded
            && matches!((forwarded, port), (b"http", b":80") | (b"https", b":443"));
        if self.port.is_some() || was_default { host } else { authority }
    }
}

/// `authority` without its port. Stricter about brackets than the look-up of a virtual host, as in Envoy.
fn without_port(authority: &[u8]) -> &[u8] {
    let colon = if authority.starts_with(b"[") {
        memchr::memmem::rfind(authority, b"]:").map(|bracket| bracket + 1)
    } else {
        memchr::memrchr(b':', authority)
    };
    colon.and_then(|at| authority.get(..at)).unwrap_or(authority)
}

/// Value of `location` for a request that must come again by TLS: status 301, the port stays.
/// (envoy: config.route.v3.VirtualHost.require_tls)
#[must_use]
pub fn https_location(head: &RequestHead) -> Option<Vec<u8>> {
    let (authority, path) = (head.authority().unwrap_or_default(), head.path());
    (!path.is_empty()).then(|| [b"https://", authority, path].concat())
}

/// The protocol by which the client came: the word of `x-forwarded-proto`, which the connection manager
/// has set or kept, goes before that of `:scheme`, as in Envoy.
pub(super) fn forwarded_proto(head: &RequestHead) -> &[u8] {
    head.headers.get(Id::X_FORWARDED_PROTO).unwrap_or(head.scheme.as_str().as_bytes())
}

/// True if the client came by TLS, as far as [`forwarded_proto`] knows.
pub(super) fn came_by_tls(head: &RequestHead) -> bool {
    forwarded_proto(head) == Scheme::Https.as_str().as_bytes()
}
