//! The table as a whole: what Envoy answers to the same requests, and that the index never changes an
//! answer.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::index::RouteIndex;
use super::*;
use crate::fraction::{Denominator, Fraction};
use crate::head::{Id, Name, RequestHead};
use crate::matcher::{HeaderMatcher, HeaderRule, QueryMatcher, QueryRule, Regex, StringMatcher};

fn get(path: &str) -> RequestHead {
    RequestHead::new(b"GET", b"a.com", path.as_bytes())
}

fn prefix(text: &str) -> PathRule {
    PathRule::Prefix(PathText::new(text, true))
}

fn exact(text: &str) -> PathRule {
    PathRule::Exact(PathText::new(text, true))
}

fn separated(text: &str) -> PathRule {
    PathRule::SeparatedPrefix(PathText::new(text, true))
}

fn regex(pattern: &str) -> PathRule {
    PathRule::Regex(Regex::new(pattern).unwrap())
}

/// A virtual host whose routes carry their index.
fn host(domain: &str, matches: impl IntoIterator<Item = RouteMatch>) -> VirtualHostSpec<usize> {
    let routes = matches.into_iter().enumerate();
    VirtualHostSpec {
        name: format!("host {domain}"),
        domains: vec![domain.to_owned()],
        require_tls: TlsRequirement::None,
        routes: routes
            .map(|(payload, matcher)| Route { name: String::new(), matcher, payload })
            .collect(),
    }
}

fn table(virtual_hosts: Vec<VirtualHostSpec<usize>>) -> RouteTable<usize> {
    let name = "rc".to_owned();
    RouteTable::new(RouteTableSpec {
        name,
        ignore_port_in_host_matching: false,
        internal_only_headers: Vec::new(),
        virtual_hosts,
    })
    .unwrap()
}

fn found(table: &RouteTable<usize>, head: &RequestHead, random: u64) -> Option<usize> {
    match table.find(head, random) {
        Lookup::Matched { route, .. } => Some(route.payload),
        _ => None,
    }
}

/// Observed on Envoy 1.40: paths that the rule takes, and paths that it does not.
#[test]
fn path_rules_take_what_envoy_takes() {
    let any_case = |text| PathText::new(text, false);
    let rows: [(PathRule, &[&str], &[&str]); 13] = [
        (prefix("/a?b"), &[], &["/a?b", "/a?bc", "/a"]),
        (prefix("/a"), &["/a", "/ab", "/a?x"], &["/A", "/", "/%61"]),
        (prefix(""), &["/", "/x"], &[]),
        (PathRule::Prefix(any_case("/a")), &["/a", "/AB", "/A?x"], &["/b"]),
        (exact("/a"), &["/a", "/a?x=1", "/a?"], &["/a/", "/A", "/a;x"]),
        (exact("/a?x"), &[], &["/a", "/a?x", "/a?x?x"]),
        (PathRule::Exact(any_case("/Ab")), &["/aB", "/aB?x"], &["/ab/"]),
        (regex("/a[0-9]+"), &["/a1", "/a1?x=1"], &["/a1b", "/A1", "/a", "/xa1"]),
        (regex("/a.*x"), &["/abx", "/abx?y"], &["/a?x"]),
        (
            separated("/api"),
            &["/api", "/api/", "/api/x", "/api?x"],
            &["/apix", "/API", "/api;x", "/api%2fx"],
        ),
        (PathRule::SeparatedPrefix(any_case("/Api")), &["/aPi", "/API/x", "/api?x"], &["/apix"]),
        (PathRule::Connect, &[], &["/"]),
        (regex(".*"), &["/"], &[""]),
    ];
    for (rule, hits, misses) in rows {
        let matcher = RouteMatch::on(rule);
        for (paths, expected) in [(hits, true), (misses, false)] {
            for path in paths {
                assert_eq!(matcher.matches(&get(path), 0), expected, "{matcher:?} {path}");
            }
        }
    }
}

/// Observed on Envoy 1.40.
#[test]
fn a_request_without_a_path_is_taken_by_connect_only() {
    let connect = RequestHead::new(b"CONNECT", b"a.com:80", b"");
    for rule in [prefix("/"), prefix(""), exact(""), regex(".*")] {
        assert!(!RouteMatch::on(rule).matches(&connect, 0));
    }
    assert!(RouteMatch::on(PathRule::Connect).matches(&connect, 0));
}

/// Observed on Envoy 1.40: nothing is decoded, and the first value decides.
#[test]
fn query_parameters_are_seen_as_envoy_sees_them() {
    let on_query = |rule| RouteMatch {
        query_parameters: [QueryMatcher { name: "a".into(), rule }].into(),
        ..RouteMatch::on(prefix("/"))
    };
    let is_1 = QueryRule::Value(StringMatcher::exact("1"));
    let rows: [(QueryRule, &[&str], &[&str]); 3] = [
        (
            is_1,
            &["/?a=1", "/?a=1&a=2", "/?b=1&a=1", "/?&&a=1"],
            &[
                "/?a=2&a=1",
                "/?A=1",
                "/?a",
                "/",
                "/?a=%31",
                "/?%61=1",
                "/?x?a=1",
                "/?a=1?",
                "/?a=1;b=2",
                "/?a=1=2",
            ],
        ),
        (QueryRule::Present(true), &["/?a=1", "/?a", "/?a="], &["/?b", "/", "/?%61", "/?=a"]),
        (QueryRule::Present(false), &["/?b", "/"], &["/?a=1", "/?a"]),
    ];
    for (rule, hits, misses) in rows {
        let matcher = on_query(rule);
        for (paths, expected) in [(hits, true), (misses, false)] {
            for path in paths {
                assert_eq!(matcher.matches(&get(path), 0), expected, "{matcher:?} {path}");
            }
        }
    }
}

/// Observed on Envoy 1.40.
#[test]
fn grpc_is_told_by_the_content_type() {
    let matcher = RouteMatch { grpc: true, ..RouteMatch::on(prefix("/")) };
    for (content_type, expected) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("application/grpc;x", false),
        ("Application/grpc", false),
    ] {
        let mut head = get("/");
        head.headers.append_id(Id::CONTENT_TYPE, content_type.as_bytes());
        assert_eq!(matcher.matches(&head, 0), expected, "{content_type}");
    }
    assert!(!matcher.matches(&get("/"), 0));
}

/// Observed on Envoy 1.40: of two routes with half of the requests each, the second never gets any.
#[test]
fn fractions_of_one_request_share_its_random_value() {
    let half = Some(Fraction::new(50, Denominator::Hundred));
    let on_half = || RouteMatch { runtime_fraction: half, ..RouteMatch::on(prefix("/")) };
    let table = table(vec![host("*", [on_half(), on_half(), RouteMatch::on(prefix("/"))])]);
    for random in 0..1000 {
        let expected = if random % 100 < 50 { 0 } else { 2 };
        assert_eq!(found(&table, &get("/"), random), Some(expected), "{random}");
    }
}

#[test]
fn the_first_route_wins_and_no_other_virtual_host_is_tried() {
    let on = RouteMatch::on;
    let table = table(vec![
        host("a.com", [on(prefix("/x")), on(exact("/x/y"))]),
        host("*", [on(prefix("/"))]),
    ]);
    assert_eq!(found(&table, &get("/x/y"), 0), Some(0));
    let Lookup::NoRoute { virtual_host } = table.find(&get("/"), 0) else { panic!("{table:?}") };
    assert_eq!(virtual_host.name(), "host a.com");
    let other = RequestHead::new(b"GET", b"b.com", b"/");
    assert_eq!(found(&table, &other, 0), Some(0));
}

#[test]
fn without_a_virtual_host_or_an_authority_nothing_is_found() {
    let spec = host("a.com", [RouteMatch::on(prefix("/"))]);
    let table = table(vec![spec.clone()]);
    for head in [RequestHead::new(b"GET", b"a.com:80", b"/"), RequestHead::default()] {
        assert!(matches!(table.find(&head, 0), Lookup::NoVirtualHost), "{head:?}");
    }
    let name = "rc".to_owned();
    let spec = RouteTableSpec {
        name,
        ignore_port_in_host_matching: true,
        internal_only_headers: Vec::new(),
        virtual_hosts: vec![spec],
    };
    let table = RouteTable::new(spec).unwrap();
    assert_eq!(found(&table, &RequestHead::new(b"GET", b"a.com:80", b"/"), 0), Some(0));
}

/// Observed on Envoy 1.40: before any route is looked at; `x-forwarded-proto` decides.
#[test]
fn tls_is_required_before_a_route_matches() {
    let spec =
        |require_tls| VirtualHostSpec { require_tls, ..host("*", [RouteMatch::on(prefix("/x"))]) };
    for (require_tls, proto, internal, path, expected) in [
        (TlsRequirement::All, "http", false, "/y", "tls"),
        (TlsRequirement::All, "http", true, "/x", "tls"),
        (TlsRequirement::All, "https", false, "/x", "route"),
        (TlsRequirement::All, "https", false, "/y", "no route"),
        (TlsRequirement::All, "HTTPS", false, "/x", "tls"),
        (TlsRequirement::ExternalOnly, "http", false, "/x", "tls"),
        (TlsRequirement::ExternalOnly, "http", true, "/x", "route"),
        (TlsRequirement::None, "http", false, "/x", "route"),
    ] {
        let mut head = get(path);
        head.headers.append_id(Id::X_FORWARDED_PROTO, proto.as_bytes());
        if internal {
            head.headers.append_id(Id::X_ENVOY_INTERNAL, b"true");
        }
        let table = table(vec![spec(require_tls)]);
        let actual = match table.find(&head, 0) {
            Lookup::Matched { .. } => "route",
            Lookup::TlsRequired { .. } => "tls",
            Lookup::NoRoute { .. } => "no route",
            Lookup::NoVirtualHost => "no virtual host",
        };
        assert_eq!(actual, expected, "{require_tls:?} {proto} {internal} {path}");
    }
}

#[test]
fn a_domain_that_stands_twice_is_refused_in_the_words_of_envoy() {
    for (domain, expected) in [
        (
            "A.com",
            "Only unique values for domains are permitted. Duplicate entry of domain a.com in route rc",
        ),
        ("*", "Only a single wildcard domain is permitted in route rc"),
    ] {
        let spec = RouteTableSpec {
            name: "rc".to_owned(),
            ignore_port_in_host_matching: false,
            internal_only_headers: Vec::new(),
            virtual_hosts: vec![host(domain, []), host(&domain.to_lowercase(), [])],
        };
        assert_eq!(RouteTable::new(spec).unwrap_err().to_string(), expected);
    }
}

/// A path of few letters and levels, so that rules overlap and requests hit them.
fn random_path(rng: &mut StdRng) -> String {
    let levels = rng.random_range(0..5);
    let mut path: String =
        (0..levels).map(|_| ["/", "/a", "/b", "/ab", "/A"][rng.random_range(0..5)]).collect();
    if rng.random_bool(0.1) {
        path.push_str("?a=1");
    }
    path
}

fn random_match(rng: &mut StdRng) -> RouteMatch {
    let path = random_path(rng);
    let text = PathText::new(&path, rng.random_bool(0.9));
    let rule = match rng.random_range(0..10) {
        0..4 => PathRule::Prefix(text),
        4..7 => PathRule::Exact(text),
        7 => PathRule::SeparatedPrefix(text),
        8 => regex(&format!("{}(/a)*", path.replace('?', "."))),
        _ => PathRule::Connect,
    };
    let mut matcher = RouteMatch::on(rule);
    if rng.random_bool(0.5) {
        let rule = HeaderRule::Present(true);
        matcher.headers = [HeaderMatcher::new(Name::new("x-a"), rule, false, false)].into();
    }
    if rng.random_bool(0.3) {
        matcher.runtime_fraction = Some(Fraction::new(50, Denominator::Hundred));
    }
    matcher
}

fn random_head(rng: &mut StdRng) -> RequestHead {
    let method: &[u8] = if rng.random_bool(0.1) { b"CONNECT" } else { b"GET" };
    let mut head = RequestHead::new(method, b"a.com", random_path(rng).as_bytes());
    if rng.random_bool(0.5) {
        head.headers.append(b"x-a", b"");
    }
    head
}

#[test]
fn an_indexed_table_answers_as_a_linear_scan() {
    let mut rng = StdRng::seed_from_u64(7);
    let (mut hits, mut indexed) = (0, 0);
    for _ in 0..300 {
        let count = rng.random_range(1..60);
        let matches: Vec<RouteMatch> = (0..count).map(|_| random_match(&mut rng)).collect();
        let table = table(vec![host("*", matches.clone())]);
        indexed += usize::from(table.virtual_hosts()[0].is_indexed());
        for _ in 0..100 {
            let (head, random) = (random_head(&mut rng), rng.random());
            let expected = matches.iter().position(|matcher| matcher.matches(&head, random));
            assert_eq!(found(&table, &head, random), expected, "{head:?} {matches:#?}");
            hits += usize::from(expected.is_some());
        }
    }
    assert!(hits > 10_000 && indexed > 100, "the test tests nothing: {hits} {indexed}");
}

#[test]
fn of_ten_thousand_routes_only_those_of_the_path_are_asked() {
    let mut rules = vec![prefix("/a"), regex("/.*/x"), prefix("/a/7")];
    rules.extend((0..10_000).map(|n| prefix(&format!("/a/{n}/"))));
    rules.extend((0..10_000).map(|n| exact(&format!("/a/{n}/x"))));
    rules.push(prefix("/"));
    let index = RouteIndex::new(rules.iter()).unwrap();
    let mut asked = Vec::new();
    let found = index.find(b"/a/77/x", |at| {
        asked.push(at);
        false
    });
    assert_eq!((found, asked), (None, vec![0, 1, 2, 3 + 77, 10_003 + 77, 20_003]));
}

#[test]
fn prefixes_nested_too_deep_are_scanned() {
    let nested = (1..200).rev().map(|depth| RouteMatch::on(prefix(&"/a".repeat(depth))));
    let table = table(vec![host("*", nested)]);
    assert!(!table.virtual_hosts()[0].is_indexed());
    assert_eq!(found(&table, &get(&"/a".repeat(150)), 0), Some(49));
}
