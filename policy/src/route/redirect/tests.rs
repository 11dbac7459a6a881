//! Redirects beside the `location` that Envoy 1.40 was seen to send for the same request. Rows with two
//! columns differ by how the client came; the loops add what the rows have in common.

use super::*;
use crate::matcher::{Regex, Substitution};
use crate::route::PathText;

fn head(host: &str, path: &str, https: bool) -> RequestHead {
    let mut head = RequestHead::new(b"GET", host.as_bytes(), path.as_bytes());
    head.scheme = if https { Scheme::Https } else { Scheme::Http };
    head
}

fn location(redirect: &Redirect, rule: &PathRule, head: &RequestHead) -> String {
    String::from_utf8(redirect.location(head, rule).unwrap()).unwrap()
}

fn any() -> PathRule {
    PathRule::Prefix(PathText::new("/", true))
}

/// Observed on Envoy 1.40: `location` without the path, for a client that came by HTTP and by HTTPS.
#[test]
fn scheme_host_and_port_are_those_of_envoy() {
    let some = |text: &str| (!text.is_empty()).then(|| text.into());
    let redirect = |scheme: &str, host: &str, port| Redirect {
        scheme: some(scheme),
        host: some(host),
        port,
        ..Redirect::default()
    };
    for (redirect, host, http, https) in [
        (redirect("https", "", None), "A.com", "https://A.com", "https://A.com"),
        (redirect("https", "", None), "a.com:80", "https://a.com", "https://a.com:80"),
        (redirect("https", "", None), "a.com:443", "https://a.com:443", "https://a.com:443"),
        (redirect("https", "", None), "a.com:8080", "https://a.com:8080", "https://a.com:8080"),
        (redirect("https", "", None), "[::1]", "https://[::1]", "https://[::1]"),
        (redirect("https", "", None), "[::1]:80", "https://[::1]", "https://[::1]:80"),
        (redirect("https", "", None), "a.com:", "https://a.com:", "https://a.com:"),
        (redirect("https", "", None), "a:b:80", "https://a:b", "https://a:b:80"),
        (redirect("https", "", None), "[::80", "https://[::80", "https://[::80"),
        (redirect("https", "", None), "[::1]x:80", "https://[::1]x:80", "https://[::1]x:80"),
        (redirect("https", "", None), ":80", "https://", "https://:80"),
        (redirect("http", "", None), "a.com:80", "http://a.com:80", "http://a.com:80"),
        (redirect("http", "", None), "[::1]:443", "http://[::1]:443", "http://[::1]"),
        (redirect("HTTPS", "", None), "a.com:443", "HTTPS://a.com:443", "HTTPS://a.com"),
        (redirect("ftp", "", None), "a.com:80", "ftp://a.com", "ftp://a.com:80"),
        (redirect("", "", None), "a.com:80", "http://a.com:80", "https://a.com:80"),
        (redirect("", "", Some(8443)), "a.com:80", "http://a.com:8443", "https://a.com:8443"),
        (redirect("", "", Some(8443)), "[::1]:81", "http://[::1]:8443", "https://[::1]:8443"),
        (redirect("", "", Some(8443)), "a.com:", "http://a.com:8443", "https://a.com:8443"),
        (redirect("https", "", Some(443)), "a.com", "https://a.com:443", "https://a.com:443"),
        (redirect("", "b.com:99", None), "a.com:80", "http://b.com:99", "https://b.com:99"),
        (redirect("", "b.com", Some(7)), "a.com", "http://b.com:7", "https://b.com:7"),
    ] {
        for (https, expected) in [(false, http), (true, https)] {
            let actual = location(&redirect, &any(), &head(host, "/p?q=1", https));
            assert_eq!(actual, format!("{expected}/p?q=1"), "{redirect:?} {host}");
        }
    }
}

/// Observed on Envoy 1.40 for `/p`, `/p?q=1`, `/p?` and `/p/x?a?b`; empty where the rule of the route
/// does not match.
#[test]
fn path_and_query_string_are_those_of_envoy() {
    let prefix = |with: &str| PathRedirect::Rewrite(PathRewrite::Prefix(with.as_bytes().into()));
    let regex = |pattern, with| {
        PathRedirect::Rewrite(PathRewrite::Regex(Substitution::new(pattern, with).unwrap()))
    };
    let replace = |with: &str| PathRedirect::Replace(with.as_bytes().into());
    let text = || PathText::new("/p", true);
    let whole = PathRule::Regex(Regex::new("/p.*").unwrap());
    for (path, strip_query, rule, expected) in [
        (PathRedirect::Keep, true, any(), ["/p", "/p", "/p", "/p/x"]),
        (replace("/n"), false, any(), ["/n", "/n?q=1", "/n?", "/n?a?b"]),
        (replace("/n"), true, any(), ["/n", "/n", "/n", "/n"]),
        (replace("/n?z=2"), false, any(), ["/n?z=2", "/n?z=2", "/n?z=2", "/n?z=2"]),
        (replace("/n?z=2"), true, any(), ["/n?z=2", "/n?z=2", "/n?z=2", "/n?z=2"]),
        (replace("/n#f"), false, any(), ["/n#f", "/n#f?q=1", "/n#f?", "/n#f?a?b"]),
        (prefix("/n"), false, PathRule::Prefix(text()), ["/n", "/n?q=1", "/n?", "/n/x?a?b"]),
        (prefix("/n"), true, PathRule::Prefix(text()), ["/n", "/n", "/n", "/n/x"]),
        (prefix("/n?z"), true, PathRule::Prefix(text()), ["/n", "/n", "/n", "/n"]),
        (prefix("/n"), false, PathRule::Exact(text()), ["/n", "/n?q=1", "/n?", ""]),
        (prefix("/n"), false, whole, ["/n", "/n?q=1", "/n?", "/n?a?b"]),
        (regex("/p(.*)", r"/n\1"), false, any(), ["/n", "/n?q=1", "/n?", "/n/x?a?b"]),
        (regex("/p(.*)", r"/n\1"), true, any(), ["/n", "/n", "/n", "/n/x"]),
        (regex("/p", ""), false, any(), ["/p", "/p?q=1", "/p?", "/x?a?b"]),
        (regex("^/p/?", ""), false, any(), ["/p", "/p?q=1", "/p?", "/x?a?b"]),
        (prefix("n"), false, PathRule::Prefix(text()), ["/n", "/n?q=1", "/n?", "/n/x?a?b"]),
        (replace("n"), false, any(), ["/n", "/n?q=1", "/n?", "/n?a?b"]),
        (replace("?z"), false, any(), ["/?z", "/?z", "/?z", "/?z"]),
    ] {
        let redirect = Redirect { path, strip_query, ..Redirect::default() };
        for (path, expected) in ["/p", "/p?q=1", "/p?", "/p/x?a?b"].iter().zip(expected) {
            if !expected.is_empty() {
                let actual = location(&redirect, &rule, &head("a.com", path, false));
                assert_eq!(actual, format!("http://a.com{expected}"), "{redirect:?} {path}");
            }
        }
    }
}

/// Observed on Envoy 1.40 with requests in absolute form, whose scheme is not that of the connection.
#[test]
fn x_forwarded_proto_decides_about_ports_and_tls() {
    let to = |scheme: &str| Redirect { scheme: Some(scheme.into()), ..Redirect::default() };
    let mut absolute = head("a.com:443", "/p", true);
    absolute.headers.append_id(Id::X_FORWARDED_PROTO, b"http");
    assert!(!came_by_tls(&absolute));
    assert_eq!(location(&to("http"), &any(), &absolute), "http://a.com:443/p");
    let mut absolute = head("a.com:443", "/p", false);
    absolute.headers.append_id(Id::X_FORWARDED_PROTO, b"https");
    assert!(came_by_tls(&absolute));
    assert_eq!(location(&to("http"), &any(), &absolute), "http://a.com/p");
    assert_eq!(location(&Redirect::default(), &any(), &absolute), "http://a.com/p");
}

#[test]
fn tls_is_demanded_at_the_same_port() {
    let location = https_location(&head("a.com:80", "/x?q", false));
    assert_eq!(location.as_deref(), Some(b"https://a.com:80/x?q".as_slice()));
}

/// Observed on Envoy 1.40.
#[test]
fn connect_has_no_location_unless_a_rewrite_gives_it_a_path() {
    let connect = RequestHead::new(b"CONNECT", b"a.com:80", b"");
    assert_eq!(https_location(&connect), None);
    let mut redirect =
        Redirect { path: PathRedirect::Replace(b"/n".as_slice().into()), ..Redirect::default() };
    assert_eq!(redirect.location(&connect, &PathRule::Connect), None);
    redirect.path = PathRedirect::Rewrite(PathRewrite::Prefix(b"/n".as_slice().into()));
    assert_eq!(location(&redirect, &PathRule::Connect, &connect), "http://a.com:80/n");
}
