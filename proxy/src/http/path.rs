//! One spelling of a path: what is routed, authorized, logged and sent on.
//!
//! Called by the normalize stage before any policy looks. The rules are Envoy's, seen on Envoy 1.40, and stricter in two places
//! (`docs/parity.md`): an encoded dot segment with parameters is a dot segment, and slashes alone merge to one.

use std::borrow::Cow;

/// What happens to `%2F`, `%5C` and their lower-case forms.
/// (envoy: HttpConnectionManager.path_with_escaped_slashes_action)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// They stay.
    #[default]
    Keep,
    /// The request is refused.
    Reject,
    /// The client is sent to the unescaped path.
    UnescapeAndRedirect,
    /// They are unescaped.
    UnescapeAndForward,
}

/// What is done to paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathRules {
    /// Dot segments are resolved, unreserved characters decoded, others escaped.
    /// (envoy: HttpConnectionManager.normalize_path)
    pub normalize: bool,
    /// Runs of slashes become one. (envoy: HttpConnectionManager.merge_slashes)
    pub merge_slashes: bool,
    /// What follows a `#` is cut off; else such a request is refused.
    /// (envoy: runtime `envoy.reloadable_features.http_reject_path_with_fragment`)
    pub strips_fragment: bool,
    /// Escaped slashes.
    pub escaped_slashes: EscapedSlashes,
}

/// What became of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Normalized<'a> {
    /// The path to use, query string included.
    Path(Cow<'a, [u8]>),
    /// The client has to ask for this path.
    Redirect(Vec<u8>),
    /// The path is refused.
    Refused,
}

impl PathRules {
    /// Applies the rules to the part of `path` before its query string.
    #[must_use]
    pub fn apply<'a>(&self, path: &'a [u8]) -> Normalized<'a> {
        let end = memchr::memchr(b'?', path).unwrap_or(path.len());
        let (route, query) = path.split_at_checked(end).unwrap_or((path, b""));
        if !route.starts_with(b"/") || !self.may_change(route) {
            return Normalized::Path(Cow::Borrowed(path));
        }
        let mut is_redirect = false;
        let mut out = Cow::Borrowed(route);
        if self.escaped_slashes != EscapedSlashes::Keep
            && let Some(unescaped) = unescape_slashes(&out)
        {
            match self.escaped_slashes {
                EscapedSlashes::Reject => return Normalized::Refused,
                action => is_redirect = action == EscapedSlashes::UnescapeAndRedirect,
            }
            out = Cow::Owned(unescaped);
        }
        if self.normalize {
            match canonical(&out) {
                Some(path) => out = Cow::Owned(path),
                None => return Normalized::Refused,
            }
        }
        if self.merge_slashes {
            out = Cow::Owned(merge(&out));
        }
        if out == route {
            return Normalized::Path(Cow::Borrowed(path));
        }
        let mut out = out.into_owned();
        out.extend_from_slice(query);
        if is_redirect { Normalized::Redirect(out) } else { Normalized::Path(Cow::Owned(out)) }
    }

    /// False for the paths of nearly all requests: nothing below would touch them.
    fn may_change(&self, route: &[u8]) -> bool {
        let escapes = self.normalize || self.escaped_slashes != EscapedSlashes::Keep;
        let mut previous = 0;
        route.iter().any(|&byte| {
            let found = match byte {
                b'%' => escapes,
                b'.' => self.normalize && previous == b'/',
                b'/' => self.merge_slashes && previous == b'/',
                byte => self.normalize && (byte == b'\\' || is_escaped(byte)),
            };
            previous = byte;
            found
        })
    }
}

/// Characters that stand for themselves only when escaped.
const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..)
}

const fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

/// The byte that `%XX` at the start of `text` stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// `None` if there is no escaped slash.
fn unescape_slashes(route: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(route.len());
    let mut rest = route;
    while let Some((&byte, tail)) = rest.split_first() {
        match escape(rest) {
            Some(slash @ (b'/' | b'\\')) => {
                out.push(slash);
                rest = rest.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    (out.len() != route.len()).then_some(out)
}

/// Decodes, escapes and resolves; `None` for a path with an escaped NUL.
fn canonical(route: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(route.len() + 8);
    let mut rest = route;
    // Where the last percent sign stands that begins no escape.
    let mut lone_percent = None;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match escape_at(byte, tail) {
            Some(0) => return None,
            Some(plain) if is_unreserved(plain) => {
                decoded.push(plain);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ if byte == b'\\' => decoded.push(b'/'),
            _ if is_escaped(byte) => {
                let hex = |nibble: u8| b"0123456789ABCDEF".get(usize::from(nibble)).copied();
                decoded.push(b'%');
                decoded.extend(hex(byte >> 4).into_iter().chain(hex(byte & 0xf)));
            }
            None if byte == b'%' => {
                lone_percent = Some(decoded.len());
                decoded.push(byte);
            }
            _ => decoded.push(byte),
        }
        // `%%32e` must not become `%2e`, which whoever decodes next takes for a dot: it becomes `%252e`.
        if let Some(at) = lone_percent
            && decoded.len() == at + 3
            && decoded.get(at..).is_some_and(|text| escape(text).is_some())
        {
            decoded.splice(at..=at, *b"%25");
        }
    }
    Some(resolve(&decoded))
}

fn escape_at(byte: u8, tail: &[u8]) -> Option<u8> {
    match tail {
        [high, low, ..] if byte == b'%' => escape(&[b'%', *high, *low]),
        _ => None,
    }
}

/// Resolves dot segments (RFC 3986 §5.2.4). `..;x` counts as one: some servers drop parameters before they resolve.
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path.split(|b| *b == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
        let is_last = segments.peek().is_none();
        match segment.get(..end) {
            Some(b"." | b"..") if segment.starts_with(b"..") => {
                let parent = memchr::memrchr(b'/', &out).unwrap_or(0);
                out.truncate(parent);
            }
            Some(b".") => {}
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if is_last {
            out.push(b'/');
        }
    }
    out
}

fn merge(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for &byte in path {
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(rules: PathRules, path: &str) -> String {
        match rules.apply(path.as_bytes()) {
            Normalized::Path(path) => String::from_utf8(path.into_owned()).unwrap(),
            Normalized::Redirect(path) => format!("-> {}", String::from_utf8(path).unwrap()),
            Normalized::Refused => "refused".to_owned(),
        }
    }

    /// Paths and what the upstream of Envoy 1.40 saw of them.
    #[test]
    fn normalizes_as_envoy_does() {
        let rules = PathRules { normalize: true, ..PathRules::default() };
        for (input, expected) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/%2e%2e/x", "/x"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/..%2fb", "/a/..%2fb"),
            ("/a\\..\\b", "/b"),
            ("/a/.../b", "/a/.../b"),
            ("/a/..;/b", "/b"),
            ("/a;x/../b", "/b"),
            ("//a", "//a"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("/a/%5c../b", "/a/%5c../b"),
            ("/a%", "/a%"),
            ("/a%z", "/a%z"),
            ("/a%4", "/a%4"),
            ("/../..//x", "//x"),
            ("/a/b/../../../c", "/c"),
            ("/%2E", "/"),
            ("/a/..?x/../y", "/?x/../y"),
            ("/a?b\\c", "/a?b\\c"),
            ("/\\", "//"),
            ("/a%25b", "/a%25b"),
            ("/a%2fB%41", "/a%2fBA"),
            ("/..a", "/..a"),
            ("/a..", "/a.."),
            ("/A%7Eb", "/A~b"),
            ("/a/../%2e%2e/b", "/b"),
            ("/a%c3%a9", "/a%c3%a9"),
            ("/a%00", "refused"),
            ("/a\"<>^`{|}", "/a%22%3C%3E%5E%60%7B%7C%7D"),
            ("/a/.;x/b", "/a/b"),
            ("/a/..;x/b", "/b"),
            ("/a/b;x/..;y/c", "/a/c"),
            ("/a/..;", "/"),
            ("/a/.;", "/a/"),
            ("/a/..;x?y", "/?y"),
            ("/a/...;x/b", "/a/...;x/b"),
            ("/;/a", "/;/a"),
            ("/a/;/..;/b", "/a/b"),
            ("/x/a;..;/b", "/x/a;..;/b"),
            ("/a/..%3b/b", "/a/..%3b/b"),
            ("/%%32e%%32e/a", "/%252e%252e/a"),
            ("/%2%65%2e", "/%252e."),
            ("/%%%32f", "/%%252f"),
            ("/%a%61", "/%25aa"),
            ("/%%32", "/%2"),
            ("/%%67%2%2e", "/%g%2."),
            ("/%25%32e", "/%252e"),
        ] {
            assert_eq!(path(rules, input), expected, "{input}");
        }
        // Stricter than Envoy, which forwards `/a/..;x/b`.
        assert_eq!(path(rules, "/a/%2e%2e;x/b"), "/b");
        assert_eq!(path(rules, "*"), "*");
    }

    #[test]
    fn merges_slashes() {
        let merge = PathRules { merge_slashes: true, ..PathRules::default() };
        for (input, expected) in [
            ("//a", "/a"),
            ("/a//", "/a/"),
            ("//a///b//", "/a/b/"),
            ("/a/..//b", "/a/../b"),
            ("/%2f/", "/%2f/"),
            ("/a//?x//y", "/a/?x//y"),
            ("////", "/"),
        ] {
            assert_eq!(path(merge, input), expected, "{input}");
        }
        let both = PathRules { normalize: true, ..merge };
        assert_eq!(path(both, "/a///../b"), "/a/b");
        assert_eq!(path(both, "/a/.//b"), "/a/b");
    }

    #[test]
    fn escaped_slashes_have_four_fates() {
        let with = |escaped_slashes, normalize| PathRules {
            escaped_slashes,
            normalize,
            ..PathRules::default()
        };
        assert_eq!(path(with(EscapedSlashes::Reject, true), "/a%5Cb"), "refused");
        assert_eq!(path(with(EscapedSlashes::Reject, true), "/a?x=%2f"), "/a?x=%2f");
        let redirect = with(EscapedSlashes::UnescapeAndRedirect, true);
        assert_eq!(path(redirect, "/a%2F..%2fc?x"), "-> /c?x");
        assert_eq!(path(with(EscapedSlashes::UnescapeAndRedirect, false), "/a%5Cb"), "-> /a\\b");
        assert_eq!(path(redirect, "/a%252fb"), "/a%252fb");
        let forward = with(EscapedSlashes::UnescapeAndForward, false);
        assert_eq!(path(forward, "/a%2F..%2fc"), "/a/../c");
    }
}
