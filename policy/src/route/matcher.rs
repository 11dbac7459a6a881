//! Whether one route takes a request. (envoy: config.route.v3.RouteMatch)
//!
//! Called by the table, route by route, and by filters whose rules are guarded by a route match. Path
//! rules see the path without its query string, on bytes, after normalisation. Metadata, TLS context,
//! cookies and URI templates are not here: whoever compiles a message refuses them.

use crate::fraction::Fraction;
use crate::head::RequestHead;
use crate::matcher::{HeaderMatcher, QueryMatcher, Regex};

/// A text that a path is compared with.
#[derive(Clone, Debug)]
pub struct PathText {
    text: Box<[u8]>,
    case_sensitive: bool,
}

/// What the path without query string must look like.
#[derive(Clone, Debug)]
pub enum PathRule {
    /// Starts with this.
    Prefix(PathText),
    /// Equal to this.
    Exact(PathText),
    /// Equal to this, or goes on after it with a slash.
    SeparatedPrefix(PathText),
    /// Matches all of this; `case_sensitive` has no effect on it, as in Envoy.
    Regex(Regex),
    /// Any path or none, if the method is CONNECT. No other rule takes a request without a path.
    Connect,
}

/// Everything that a request must satisfy to take a route.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// The path.
    pub path: PathRule,
    /// All of them.
    pub headers: Box<[HeaderMatcher]>,
    /// All of them.
    pub query_parameters: Box<[QueryMatcher]>,
    /// Only requests whose `content-type` is gRPC.
    pub grpc: bool,
    /// Only this share of requests.
    pub runtime_fraction: Option<Fraction>,
}

impl PathText {
    /// `case_sensitive` regards ASCII letters only.
    #[must_use]
    pub fn new(text: &str, case_sensitive: bool) -> Self {
        Self { text: text.as_bytes().into(), case_sensitive }
    }

    /// The text as configured.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// True if case matters.
    #[must_use]
    pub const fn is_case_sensitive(&self) -> bool {
        self.case_sensitive
    }

    fn equals(&self, path: &[u8]) -> bool {
        if self.case_sensitive {
            *path == *self.text
        } else {
            path.eq_ignore_ascii_case(&self.text)
        }
    }

    /// What follows the text in `path`.
    fn rest<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let (start, rest) = path.split_at_checked(self.text.len())?;
        self.equals(start).then_some(rest)
    }
}

impl PathRule {
    /// Number of bytes of a path without query string that `prefix_rewrite` replaces, if the rule
    /// matches the path: the prefix, or all of it.
    #[must_use]
    pub fn matched_len(&self, path: &[u8]) -> usize {
        match self {
            Self::Prefix(text) | Self::SeparatedPrefix(text) => text.text.len(),
            Self::Exact(_) | Self::Regex(_) | Self::Connect => path.len(),
        }
    }

    /// `path` is without query string; `None` if the request has none.
    #[inline]
    fn matches(&self, head: &RequestHead, path: Option<&[u8]>) -> bool {
        let Some(path) = path else {
            return matches!(self, Self::Connect) && head.method() == b"CONNECT";
        };
        match self {
            Self::Prefix(text) => text.rest(path).is_some(),
            Self::Exact(text) => text.equals(path),
            Self::SeparatedPrefix(text) => {
                text.rest(path).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
            }
            Self::Regex(regex) => regex.is_full_match(path),
            Self::Connect => head.method() == b"CONNECT",
        }
    }
}

impl RouteMatch {
    /// A match that asks for nothing but the path.
    #[must_use]
    pub fn on(path: PathRule) -> Self {
        Self {
            path,
            headers: Box::default(),
            query_parameters: Box::default(),
            grpc: false,
            runtime_fraction: None,
        }
    }

    /// True if the request satisfies all of it. `random` is the request's own: the same for every
    /// route, so two routes with half of the requests each share the same half.
    #[must_use]
    pub fn matches(&self, head: &RequestHead, random: u64) -> bool {
        self.matches_path(head, path_of(head), random)
    }

    /// [`RouteMatch::matches`] for a caller that asks several about one request; `path` is
    /// [`path_of`] it. Most routes fail by their path, so only that is inlined.
    #[inline]
    pub(super) fn matches_path(
        &self,
        head: &RequestHead,
        path: Option<&[u8]>,
        random: u64,
    ) -> bool {
        self.path.matches(head, path) && self.matches_beyond_path(head, random)
    }

    #[inline(never)]
    fn matches_beyond_path(&self, head: &RequestHead, random: u64) -> bool {
        self.runtime_fraction.is_none_or(|fraction| fraction.holds(random))
            && (!self.grpc || head.is_grpc())
            && self.headers.iter().all(|matcher| matcher.matches(head))
            && (self.query_parameters.is_empty() || self.matches_query(head.query()))
    }

    fn matches_query(&self, query: Option<&[u8]>) -> bool {
        self.query_parameters.iter().all(|matcher| matcher.matches(query))
    }
}

/// The path without query string that rules look at; `None` if the request has no path at all.
pub(super) fn path_of(head: &RequestHead) -> Option<&[u8]> {
    (!head.path().is_empty()).then(|| head.path_without_query())
}
