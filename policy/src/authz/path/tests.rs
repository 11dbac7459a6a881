//! Paths and templates as Envoy 1.40 reads them.

use super::*;
use crate::head::RequestHead;

#[test]
fn the_path_ends_at_a_query_or_fragment() {
    for (target, expected) in [
        ("/admin", Some("/admin")),
        ("/admin?x=1", Some("/admin")),
        ("/admin?", Some("/admin")),
        ("/admin%3fx", Some("/admin%3fx")),
        ("/a?/admin", Some("/a")),
        ("/admin#f?x", Some("/admin")),
        ("", None),
    ] {
        let head = RequestHead::new(b"GET", b"a.com", target.as_bytes());
        let request = Request { head: Some(&head), ..Request::default() };
        assert_eq!(path(&request), expected.map(str::as_bytes), "{target}");
    }
    assert_eq!(path(&Request::default()), None);
}

/// Pairs observed on Envoy 1.40.
#[test]
fn templates_match_as_envoy_does() {
    let rest_of_pchar = "/admin/~!$&'()+,;:@-._";
    for (template, hits, misses) in [
        (
            "/admin/*",
            &["/admin/x", "/admin/x;y=1", "/admin/%2f", "/admin/x*", "/admin/=", rest_of_pchar]
                as &[&str],
            &["/admin", "/admin/", "/admin/x/", "/admin/x/y", "/admin/a|b", "/admin/a[b]"]
                as &[&str],
        ),
        (
            "/admin/**",
            &["/admin/", "/admin/x", "/admin/x/y", "/admin//x", "/admin/**"],
            &["/admin", "/admin/^", "/admin/{x}", "/admin/\"x\"", "/admin/x\\y"],
        ),
        ("/**", &["/", "/x", "/a//b", "/a.b/c"], &["/admin/a|b"]),
        ("/*", &["/admin", "/x.txt"], &["/", "/a/"]),
        ("/a/*/b", &["/a/x/b"], &["/a//b", "/a/x/b/", "/a/x/y/b", "/a/b"]),
        ("/a/*/b/**", &["/a/x/b/", "/a/x/b/c/d"], &["/a/x/b"]),
        ("/a/**/b", &["/a/x/b", "/a//b", "/a/x/y/b"], &["/a/b"]),
        ("/*.txt", &["/x.txt"], &["/d/x.txt"]),
        ("/a/**.m3u8", &["/a/x/y.m3u8", "/a/.m3u8"], &["/a/"]),
        ("/a/", &["/a/"], &["/a"]),
        ("/a/*/", &["/a/x/"], &["/a/x"]),
        ("/a.b/c", &["/a.b/c"], &["/aXb/c"]),
        ("/", &["/"], &["/x"]),
        ("/a=b", &["/a=b"], &["/a"]),
    ] {
        let compiled = PathTemplate::new(template).unwrap();
        for (paths, expected) in [(hits, true), (misses, false)] {
            for path in paths {
                assert_eq!(compiled.matches(path.as_bytes()), expected, "{template} {path}");
            }
        }
    }
}

/// Envoy refuses these, but for variables and a `*` inside a segment.
#[test]
fn other_templates_are_refused_with_a_reason() {
    for (template, reason) in [
        ("", "no absolute path"),
        ("a/*", "no absolute path"),
        ("/a//b", "a segment is empty"),
        ("//", "a segment is empty"),
        ("/**/b/*", "an operator follows"),
        ("/a/**/**", "an operator follows"),
        ("/*b/c", "a segment follows"),
        ("/a/{*}", "variables"),
        ("/a/{n=**}", "variables"),
        ("/a*", "inside a segment"),
        ("/a/***", "inside a segment"),
        ("/a?b", "a character"),
        ("/a b", "a character"),
        ("/a|b", "a character"),
        ("/é", "a character"),
    ] {
        let error = PathTemplate::new(template).unwrap_err().to_string();
        assert!(error.contains(reason), "{template}: {error}");
    }
}
