//! The words of policies and requests: few, so that they meet.

use arbitrary::{Result, Unstructured};

pub(super) const TEXTS: &[&str] = &[
    "a",
    "A",
    "/",
    "/a",
    "/A",
    "/a/b",
    "/admin",
    "min",
    "GET",
    "get",
    "b.com",
    "B.com",
    "x,a",
    "é",
    "spiffe://c/ns/n/sa/s",
    "spiffe://c/ns/",
    "CN=a",
    "",
];

pub(super) const PATHS: &[&str] = &[
    "/", "/a", "/a?b", "/A", "/a/b", "/a/b#c", "/a/b/c", "/admin", "/a/", "/a//b", "/a/%", "", "*",
];

pub(super) const HEADERS: &[&str] =
    &["x-a", "X-A", "x-b", ":path", ":method", ":authority", "host", ":scheme", "accept", ":none"];

pub(super) const VALUES: &[&[u8]] = &[
    b"a",
    b"A",
    b"x,a",
    b"",
    b"7",
    b"-7",
    b"+7",
    b"07",
    b"7.0",
    b"99999999999999999999",
    b"\xff",
    b"\xc3\xa9",
];

pub(super) const ADDRESSES: &[&str] =
    &["10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "11.0.0.0", "fd00::1", "::1", "0.0.0.0"];

pub(super) const RANGES: &[&str] =
    &["10.0.0.0", "10.1.2.3", "::ffff:10.0.0.0", "fd00::", "::", "0.0.0.0", "10.255.255.255"];

pub(super) const PORTS: &[u16] = &[0, 80, 443, 8080, 65535];

/// Patterns of paths, and what they mean is [`super::interpret`]'s to know.
pub(super) const TEMPLATES: &[&str] =
    &["/a/*", "/*/b", "/a/**", "/**", "/*", "/**/b", "/a/*b", "/"];

/// What a regular expression means: whole values only.
pub(super) type Meaning = fn(&[u8]) -> bool;

pub(super) const REGEXES: &[(&str, Meaning)] = &[
    ("a", |value| value == b"a"),
    ("/a|/admin", |value| value == b"/a" || value == b"/admin"),
    ("/a.*", |value| value.starts_with(b"/a") && !value.contains(&b'\n')),
    (".+", |value| !value.is_empty() && !value.contains(&b'\n')),
    ("[a-z]*", |value| value.iter().all(u8::is_ascii_lowercase)),
    ("(?i)get", |value| value.eq_ignore_ascii_case(b"get")),
    ("[^a]*", |value| !value.contains(&b'a')),
    ("\\d+", |value| !value.is_empty() && value.iter().all(u8::is_ascii_digit)),
];

/// One of `words`.
pub(super) fn choose<T: Clone>(words: &[T], choices: &mut Unstructured<'_>) -> Result<T> {
    choices.choose(words).cloned()
}

pub(super) fn text(choices: &mut Unstructured<'_>) -> Result<String> {
    Ok(choose(TEXTS, choices)?.to_owned())
}
