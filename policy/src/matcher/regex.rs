//! Regular expressions of configuration: RE2 syntax, whole-value match, linear time.
//! (envoy: type.matcher.v3.RegexMatcher)

use regex::bytes::{Regex as Engine, RegexBuilder};

/// Bytes of compiled program that one expression may take: hostile expressions stop here.
const PROGRAM_LIMIT: usize = 1 << 20;

/// A compiled expression, for matching.
#[derive(Clone, Debug)]
pub struct Regex {
    whole: Engine,
}

/// A compiled expression and what its matches are replaced by.
/// (envoy: type.matcher.v3.RegexMatchAndSubstitute)
#[derive(Clone, Debug)]
pub struct Substitution {
    part: Engine,
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Box<[u8]>),
    Group(usize),
}

/// The expression or substitution does not compile; the text says where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regex '{pattern}': {reason}")]
pub struct RegexError {
    pattern: String,
    reason: String,
}

impl Regex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// If the pattern has another syntax than RE2's or its program is too large.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        // The pattern must stand alone, or `a)|(b` would escape the anchors.
        compile(pattern)?;
        Ok(Self { whole: compile(&format!("^(?:{pattern})$"))? })
    }

    /// True if the expression matches all of `value`.
    #[must_use]
    pub fn is_full_match(&self, value: &[u8]) -> bool {
        self.whole.is_match(value)
    }

    /// The pattern as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let anchored = self.whole.as_str();
        anchored.strip_prefix("^(?:").and_then(|p| p.strip_suffix(")$")).unwrap_or(anchored)
    }
}

impl Substitution {
    /// `replacement` has RE2's form: `\0` to `\9` stand for groups, `\\` for a backslash.
    ///
    /// # Errors
    /// If either does not compile, or the replacement names a group that does not exist.
    pub fn new(pattern: &str, replacement: &str) -> Result<Self, RegexError> {
        let part = compile(pattern)?;
        let error = |reason: String| RegexError { pattern: pattern.to_owned(), reason };
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        let mut bytes = replacement.bytes();
        while let Some(byte) = bytes.next() {
            let group = match byte {
                b'\\' => match bytes.next() {
                    Some(digit @ b'0'..=b'9') => usize::from(digit - b'0'),
                    Some(b'\\') => {
                        text.push(b'\\');
                        continue;
                    }
                    _ => {
                        return Err(error(
                            "a backslash without a digit in the substitution".into(),
                        ));
                    }
                },
                byte => {
                    text.push(byte);
                    continue;
                }
            };
            if group >= part.captures_len() {
                return Err(error(format!(
                    "the substitution names group {group}, which does not exist"
                )));
            }
            pieces.push(Piece::Text(std::mem::take(&mut text).into()));
            pieces.push(Piece::Group(group));
        }
        pieces.push(Piece::Text(text.into()));
        Ok(Self { part, pieces: pieces.into() })
    }

    /// Replaces every match in `value`.
    #[must_use]
    pub fn apply(&self, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len());
        let mut end = 0;
        for groups in self.part.captures_iter(value) {
            let Some(found) = groups.get(0) else { continue };
            out.extend_from_slice(value.get(end..found.start()).unwrap_or_default());
            end = found.end();
            for piece in &self.pieces {
                out.extend_from_slice(match piece {
                    Piece::Text(text) => text,
                    Piece::Group(group) => {
                        groups.get(*group).map(|g| g.as_bytes()).unwrap_or_default()
                    }
                });
            }
        }
        out.extend_from_slice(value.get(end..).unwrap_or_default());
        out
    }
}

/// RE2 matches ASCII classes by default, so Unicode is tried only for patterns that need it
/// (`\p{Greek}`); bytes that are not UTF-8 then still match what they can.
fn compile(pattern: &str) -> Result<Engine, RegexError> {
    let build = |unicode| {
        RegexBuilder::new(pattern)
            .unicode(unicode)
            .size_limit(PROGRAM_LIMIT)
            .dfa_size_limit(PROGRAM_LIMIT)
            .nest_limit(100)
            .build()
    };
    build(false).or_else(|error| build(true).map_err(|_| error)).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        RegexError { pattern: pattern.to_owned(), reason: reason.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_whole_value_only() {
        let regex = Regex::new("/a(b|c)").unwrap();
        assert!(regex.is_full_match(b"/ab"));
        assert!(!regex.is_full_match(b"/abc"));
        assert!(!regex.is_full_match(b"x/ab"));
        let alternatives = Regex::new("a|ab").unwrap();
        assert!(alternatives.is_full_match(b"ab"));
    }

    #[test]
    fn bytes_that_are_not_utf8_neither_match_a_class_nor_panic() {
        let regex = Regex::new("[a-z]+").unwrap();
        assert!(!regex.is_full_match(b"\xff"));
        assert!(Regex::new(".").unwrap().is_full_match(b"\xff"));
    }

    #[test]
    fn replaces_with_groups() {
        let regex = Substitution::new("^/service/([^/]+)(/.*)$", r"\2/instance/\1").unwrap();
        assert_eq!(regex.apply(b"/service/foo/v1/api"), b"/v1/api/instance/foo");
        let one = Substitution::new("one", r"two\\").unwrap();
        assert_eq!(one.apply(b"/xx/one/yy/one/zz"), br"/xx/two\/yy/two\/zz");
        assert!(Substitution::new("a", r"\3").is_err());
        assert!(Substitution::new("a", r"\x").is_err());
    }

    #[test]
    fn a_pattern_cannot_escape_its_anchors() {
        assert!(Regex::new("a)|(b").is_err());
        assert_eq!(Regex::new("a|b").unwrap().as_str(), "a|b");
    }

    #[test]
    fn hostile_patterns_are_refused_with_a_reason() {
        for pattern in ["(", "a{1000}{1000}", "(?=a)b", r"\Ca"] {
            let error = Regex::new(pattern).unwrap_err().to_string();
            assert!(error.contains("invalid regex"), "{pattern}: {error}");
        }
    }
}
