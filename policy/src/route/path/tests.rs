//! Rewrites beside what an upstream of Envoy 1.40 was seen to receive, pitfalls included: neither slashes
//! nor question marks are repaired.

use super::*;
use crate::matcher::Regex;
use crate::route::PathText;

fn text(text: &str, case_sensitive: bool) -> PathText {
    PathText::new(text, case_sensitive)
}

fn rewritten(rewrite: &PathRewrite, rule: &PathRule, path: &str) -> String {
    let mut out = b"kept ".to_vec();
    let changed = rewrite.apply(path.as_bytes(), rule, &mut out);
    assert_eq!(changed, out.len() > 5);
    String::from_utf8(out[5..].to_vec()).unwrap()
}

/// Observed on Envoy 1.40, the trailing-slash pitfalls included.
#[test]
fn a_prefix_is_rewritten_as_envoy_does() {
    let regex = Regex::new("/a.*").unwrap();
    for (rule, with, pairs) in [
        (
            PathRule::Prefix(text("/a", true)),
            "/b",
            vec![("/a", "/b"), ("/ax", "/bx"), ("/a/x", "/b/x"), ("/a?/a", "/b?/a")],
        ),
        (
            PathRule::Prefix(text("/a/", true)),
            "/",
            vec![("/a/", "/"), ("/a/x", "/x"), ("/a//x", "//x"), ("/a/?x", "/?x")],
        ),
        (PathRule::Prefix(text("/a", true)), "/", vec![("/a/x", "//x"), ("/ab", "/b")]),
        (PathRule::Prefix(text("/A", false)), "/b", vec![("/ax?A", "/bx?A")]),
        (PathRule::Prefix(text("/a/", true)), "b", vec![("/a/c", "bc")]),
        (
            PathRule::Prefix(text("/a", true)),
            "/b?z=1",
            vec![("/a/c", "/b?z=1/c"), ("/a?x", "/b?z=1?x")],
        ),
        (PathRule::Exact(text("/a", true)), "/b", vec![("/a", "/b"), ("/a?x=1", "/b?x=1")]),
        (PathRule::Regex(regex), "/b", vec![("/a/x", "/b"), ("/a/x?x=1", "/b?x=1")]),
        (
            PathRule::SeparatedPrefix(text("/api", true)),
            "/v1/",
            vec![("/api", "/v1/"), ("/api/x", "/v1//x"), ("/api?x", "/v1/?x")],
        ),
        (PathRule::Connect, "/n", vec![("", "/n")]),
    ] {
        let rewrite = PathRewrite::Prefix(with.as_bytes().into());
        for (path, expected) in pairs {
            assert_eq!(rewritten(&rewrite, &rule, path), expected, "{rule:?} {path}");
        }
    }
}

/// Observed on Envoy 1.40. Nothing comes out where Envoy keeps the path.
#[test]
fn a_regex_rewrites_the_path_without_its_query_string() {
    let any = PathRule::Prefix(text("/", true));
    for (pattern, with, path, expected) in [
        (
            "^/service/([^/]+)(/.*)$",
            r"\2/instance/\1",
            "/service/foo/v1?x=/service/foo/v1",
            "/v1/instance/foo?x=/service/foo/v1",
        ),
        ("^/service/([^/]+)(/.*)$", r"\2/instance/\1", "/other?y", "/other?y"),
        ("one", "two", "/xx/one/yy/one/zz?one", "/xx/two/yy/two/zz?one"),
        ("b*", "x", "/abc", "x/xaxcx"),
        ("b*", "x", "/abbc/bb", "x/xaxcx/x"),
        ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
        ("/x", "/x?n=1", "/x?y=2", "/x?n=1?y=2"),
        ("(a)|b", r"[\1]", "/ab", "/[a][]"),
        ("b", r"\0\0", "/a/b/c?q", "/a/bb/c?q"),
        ("/.*", "", "/abc?x", ""),
    ] {
        let rewrite = PathRewrite::Regex(Substitution::new(pattern, with).unwrap());
        assert_eq!(rewritten(&rewrite, &any, path), expected, "{pattern} {path}");
    }
}

/// Observed on Envoy 1.40. Nothing comes out where Envoy keeps the authority.
#[test]
fn a_host_comes_from_configuration_a_header_or_the_path() {
    let regex = |pattern| HostRewrite::PathRegex(Substitution::new(pattern, r"\1").unwrap());
    let header = || HostRewrite::Header(Name::new("x-h"));
    for (rewrite, path, header, expected) in [
        (HostRewrite::Literal(b"lit".as_slice().into()), "/x", None, "lit"),
        (header(), "/x", None, ""),
        (header(), "/x", Some("new"), "new"),
        (header(), "/x", Some(""), ""),
        (regex("^/(.+)/.+$"), "/bar.com/x?a/b", None, "bar.com"),
        (regex("^/(.+)/.+$"), "/bar?x/y", None, "/bar"),
        (regex("^/(.*)$"), "/?a", None, ""),
    ] {
        let mut head = RequestHead::new(b"GET", b"a.com", path.as_bytes());
        if let Some(value) = header {
            head.headers.append(b"x-h", value.as_bytes());
            head.headers.append(b"x-h", b"second");
        }
        let mut out = Vec::new();
        assert_eq!(rewrite.apply(&head, &mut out), !expected.is_empty());
        assert_eq!(out, expected.as_bytes(), "{rewrite:?} {path}");
    }
}
