//! Tag rules by regular expression, as the bootstrap gives them.
//! (envoy: config.metrics.v3.TagSpecifier.regex)
//!
//! Envoy compiles these as ECMAScript: bytes, not characters; leftmost match, alternatives in order. Our
//! engine is linear in the name's length and therefore knows no look-ahead. Istio's bootstrap holds one,
//! whose meaning can be said without: see [`without_look_ahead`]. Every other one is refused.

use regex::bytes::{Regex, RegexBuilder};

use super::Found;

/// Bytes of compiled program that one expression may take.
const PROGRAM_LIMIT: usize = 1 << 20;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct TagRegex(Regex);

impl TagRegex {
    /// # Errors
    /// The engine's reason.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        RegexBuilder::new(&without_look_ahead(pattern))
            .unicode(false)
            .size_limit(PROGRAM_LIMIT)
            .build()
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// The first match; `None` if there is none or the expression has no group.
    pub(super) fn find(&self, name: &str) -> Option<Found> {
        let groups = self.0.captures(name.as_bytes())?;
        if self.0.captures_len() < 2 {
            return None;
        }
        // A group that took no part in the match is an empty one.
        let cut = groups.get(1).map_or(0..0, |group| group.range());
        let value = match self.0.captures_len() {
            2 => cut.clone(),
            _ => groups.get(2).map_or(0..0, |group| group.range()),
        };
        Some(Found { cut, value })
    }
}

/// Replaces `(?=\.).*?\.` ("a dot follows here; then as little as possible up to a dot") by what it
/// comes to: that dot itself, or that dot, as little as possible, and another dot.
///
/// Istio writes it in `http_conn_manager_listener_prefix`, since Envoy takes the word before a look-ahead
/// for the first word of all names that match.
fn without_look_ahead(pattern: &str) -> String {
    pattern.replace(r"(?=\.).*?\.", r"(?:|\..*?)\.")
}

/// The first word of all names that `pattern` can match, if it begins by naming one: `^cluster\.…`.
/// (envoy: TagExtractorImplBase::extractRegexPrefix)
pub(super) fn first_word(pattern: &str) -> Option<&str> {
    let anchored = pattern.strip_prefix('^')?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let end = anchored.bytes().position(|byte| !is_word(byte))?;
    let (word, rest) = anchored.split_at_checked(end)?;
    let ends_a_word = rest.starts_with(r"\.") || rest.starts_with(r"(?=\.)") || rest == "$";
    (ends_a_word && !word.is_empty()).then_some(word)
}
