//! Another path and another host for a request that is forwarded or redirected.
//! (envoy: config.route.v3.RouteAction.prefix_rewrite and its neighbours)
//!
//! Rewrites read the path as received: a caller that applies both rewrites the host first. They write
//! into a buffer of the caller's and never look at what comes out: a rewrite that leaves no slash at the
//! start is sent as it is, as Envoy does. The `x-envoy-original-*` headers are the caller's to set.

use super::matcher::PathRule;
use crate::head::{Name, RequestHead};
use crate::matcher::Substitution;

#[cfg(test)]
mod tests;

/// What becomes of the path. The query string stays.
#[derive(Clone, Debug)]
pub enum PathRewrite {
    /// What the route's rule matched is replaced by this, which is not empty: in Envoy, an empty
    /// `prefix_rewrite` is none.
    Prefix(Box<[u8]>),
    /// Every match in the path without query string is replaced.
    Regex(Substitution),
}

/// What becomes of the authority.
#[derive(Clone, Debug)]
pub enum HostRewrite {
    /// This.
    Literal(Box<[u8]>),
    /// The first value of this header.
    Header(Name),
    /// The path without query string, after substitution: all of the path if nothing matches.
    PathRegex(Substitution),
}

impl PathRewrite {
    /// Appends the new path and query string to `out`. `path` is `:path`, which `rule` has matched.
    /// Returns false, and appends nothing, if no path would be left: the request keeps its own.
    pub fn apply(&self, path: &[u8], rule: &PathRule, out: &mut Vec<u8>) -> bool {
        let (path, query) = split_query(path);
        let start = out.len();
        match self {
            Self::Prefix(prefix) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(path.get(rule.matched_len(path)..).unwrap_or_default());
            }
            Self::Regex(substitution) => substitution.append_to(path, out),
        }
        let rewritten = out.len() > start;
        if rewritten {
            out.extend_from_slice(query);
        }
        rewritten
    }
}

impl HostRewrite {
    /// Appends the new authority to `out`. Returns false, and appends nothing, if it would be empty:
    /// the request keeps its own.
    pub fn apply(&self, head: &RequestHead, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match self {
            Self::Literal(host) => out.extend_from_slice(host),
            Self::Header(name) => out.extend_from_slice(head.header(name).unwrap_or_default()),
            Self::PathRegex(substitution) => {
                substitution.append_to(head.path_without_query(), out);
            }
        }
        out.len() > start
    }
}

/// The path before its first question mark, and the rest with it.
pub(super) fn split_query(path: &[u8]) -> (&[u8], &[u8]) {
    let at = memchr::memchr(b'?', path).unwrap_or(path.len());
    path.split_at_checked(at).unwrap_or((path, b""))
}
