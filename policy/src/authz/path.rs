//! The path that policies see, and path templates.
//!
//! A policy sees the path without query and fragment, byte for byte: nothing is decoded here, since the
//! connection manager has normalised the path for routing and authorization alike.

use super::request::Request;
use crate::matcher::Regex;

/// The bytes of a path segment that Envoy's templates know: RFC 3986 `pchar`.
const PCHAR: &str = r"a-zA-Z0-9\-._~%!$&'()+,;:@=*";

/// Why a path template was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid path template '{template}': {reason}")]
pub struct TemplateError {
    template: Box<str>,
    reason: &'static str,
}

/// A path template: `*` is one segment, `**` any number of them.
/// (envoy: extensions.path.match.uri_template.v3.UriTemplateMatchConfig.path_template)
///
/// Istio's `{*}` and `{**}` arrive as `*` and `**`. Either may be followed by literal text at the end of
/// the template: `/*.txt`. Variables (`{name}`) are refused, although Envoy knows them.
#[derive(Clone, Debug)]
pub struct PathTemplate {
    template: Box<str>,
    whole: Regex,
}

impl PathTemplate {
    /// Compiles `template`.
    ///
    /// # Errors
    /// If it is not an absolute path of non-empty segments, holds a variable, holds a `*` inside a segment
    /// (which Envoy takes for a regular expression), or an operator after `**`.
    pub fn new(template: &str) -> Result<Self, TemplateError> {
        let error = |reason| TemplateError { template: template.into(), reason };
        let segments = template.strip_prefix('/').ok_or_else(|| error("it is no absolute path"))?;
        let mut pattern = String::new();
        let mut rest = Some(segments);
        let mut after_any = false;
        while let Some(current) = rest {
            let (segment, following) = match current.split_once('/') {
                Some((segment, following)) => (segment, Some(following)),
                None => (current, None),
            };
            rest = following;
            pattern.push('/');
            let literal = if let Some(literal) = segment.strip_prefix('*') {
                if std::mem::replace(&mut after_any, segment.starts_with("**")) {
                    return Err(error("an operator follows '**'"));
                }
                let literal = literal.strip_prefix('*').unwrap_or(literal);
                if !literal.is_empty() && rest.is_some() {
                    return Err(error("a segment follows one that begins with an operator"));
                }
                let (slash, times) = if after_any { ("/", '*') } else { ("", '+') };
                pattern.extend(["[", PCHAR, slash, "]"]);
                pattern.push(times);
                literal
            } else if segment.is_empty() && rest.is_some() {
                return Err(error("a segment is empty"));
            } else {
                segment
            };
            check_literal(literal).map_err(error)?;
            pattern.push_str(&regex::escape(literal));
        }
        let whole = Regex::new(&pattern).map_err(|_| error("it is too long"))?;
        Ok(Self { template: template.into(), whole })
    }

    /// True if the template matches all of `path`, which has no query.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.whole.is_full_match(path)
    }

    /// The template as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.template
    }
}

fn check_literal(literal: &str) -> Result<(), &'static str> {
    if literal.contains(['{', '}']) {
        return Err("variables are not supported, use '*' or '**'");
    }
    if literal.contains('*') {
        return Err("'*' stands inside a segment");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&b);
    if literal.bytes().all(allowed) { Ok(()) } else { Err("it holds a character of no path") }
}

/// The path without query and fragment; `None` on TCP and for CONNECT without a path.
pub(super) fn path<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    let path = request.head?.path();
    let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
    path.get(..end).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests;
