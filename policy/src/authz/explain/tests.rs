//! The sentences, for the policies of an Istio installation and for hostile ones.

use super::super::{
    PeerIdentity, Permission, PermissionTest, PortRange, Principal, PrincipalTest, Rule,
};
use super::*;
use crate::head::{Name, RequestHead};
use crate::matcher::{CidrSet, HeaderMatcher, HeaderRule, StringMatcher, StringRule};

const SLEEP: &str = "spiffe://cluster.local/ns/default/sa/sleep";

fn header(name: &str, value: &str, invert: bool) -> HeaderMatcher {
    let rule = HeaderRule::Value(StringMatcher::exact(value));
    HeaderMatcher::new(Name::new(name), rule, invert, false)
}

fn method(name: &str) -> Permission {
    PermissionTest::Header(header(":method", name, false)).into()
}

fn path(prefix: &str) -> Permission {
    let rule = StringRule::Prefix(prefix.as_bytes().into());
    PermissionTest::UrlPath(StringMatcher::new(rule, false)).into()
}

fn peer(name: &str) -> Principal {
    PrincipalTest::AuthenticatedAs(StringMatcher::exact(name)).into()
}

fn all<T>(rules: Vec<Rule<T>>) -> Rule<T> {
    Rule::all(rules).unwrap()
}

fn one_of<T>(rules: Vec<Rule<T>>) -> Rule<T> {
    Rule::one_of(rules).unwrap()
}

fn not<T>(rule: Rule<T>) -> Rule<T> {
    rule.negated().unwrap()
}

fn allow(policies: Vec<(&str, Permission, Principal)>) -> Rules {
    let policies = policies.into_iter().map(|(name, permission, principal)| {
        Policy::new(name, vec![permission], vec![principal]).unwrap()
    });
    Rules::new(Action::Allow, policies.collect()).unwrap()
}

fn identity(name: &str) -> PeerIdentity {
    PeerIdentity { uri_sans: [name.into()].into(), ..PeerIdentity::default() }
}

#[test]
fn the_nearest_miss_of_istio_policies() {
    let rules = allow(vec![
        (
            "ns[default]-policy[httpbin-policy]-rule[0]",
            all(vec![one_of(vec![method("GET")]), one_of(vec![path("/info"), path("/ip")])]),
            one_of(vec![peer(SLEEP)]),
        ),
        (
            "ns[default]-policy[ops]-rule[1]",
            all(vec![method("DELETE"), path("/admin")]),
            peer("spiffe://cluster.local/ns/ops/sa/root"),
        ),
    ]);
    let (sleep, other) = (identity(SLEEP), identity("spiffe://cluster.local/ns/x/sa/y"));
    let (nobody, bin) = (PeerIdentity::default(), "policy httpbin-policy rule 0: ");
    for (verb, target, peer, reason) in [
        ("POST", "/info", Some(&sleep), "method POST is not in [GET]"),
        ("GET", "/x?y=1", Some(&sleep), "path /x is not in [/info*, /ip*]"),
        (
            "POST",
            "/x",
            Some(&sleep),
            "method POST is not in [GET] and path /x is not in [/info*, /ip*]",
        ),
        (
            "GET",
            "/info",
            Some(&other),
            "peer spiffe://cluster.local/ns/x/sa/y is not in [spiffe://cluster.local/ns/default/sa/sleep]",
        ),
        (
            "GET",
            "/info",
            Some(&nobody),
            "peer (no certificate) is not in [spiffe://cluster.local/ns/default/sa/sleep]",
        ),
        (
            "GET",
            "/info",
            None,
            "peer (no TLS) is not in [spiffe://cluster.local/ns/default/sa/sleep]",
        ),
    ] {
        let head = RequestHead::new(verb.as_bytes(), b"a.com", target.as_bytes());
        let request = Request { head: Some(&head), peer, ..Request::default() };
        assert_eq!(rules.explain(&request), Some(format!("{bin}{reason}")));
    }
    let head = RequestHead::new(b"GET", b"a.com", b"/info");
    let request = Request { head: Some(&head), peer: Some(&sleep), ..Request::default() };
    assert_eq!(rules.explain(&request), None);
    let tcp = Request { peer: Some(&sleep), ..Request::default() };
    let reason = format!("{bin}method is unknown here and path is unknown here");
    assert_eq!(rules.explain(&tcp), Some(reason));
}

#[test]
fn a_policy_about_this_peer_is_nearer_than_one_about_another() {
    let rules = allow(vec![("a", Rule::any(), peer("x")), ("b", method("GET"), peer(SLEEP))]);
    let (head, sleep) = (RequestHead::new(b"PUT", b"a.com", b"/"), identity(SLEEP));
    let request = Request { head: Some(&head), peer: Some(&sleep), ..Request::default() };
    assert_eq!(rules.explain(&request).unwrap(), "policy b: method PUT is not in [GET]");
}

#[test]
fn every_kind_of_test_has_its_words() {
    let net = |net: &str| CidrSet::new([net.parse().unwrap()]);
    let suffix = StringMatcher::new(StringRule::Suffix(b".com".as_slice().into()), false);
    let mut head = RequestHead::new(b"GET", b"b.com", b"/admin");
    head.headers.append(b"x-role", b"user");
    head.headers.append(b"x-role", b"guest");
    let request = Request {
        head: Some(&head),
        source: "10.0.0.1".parse().ok(),
        destination: "10.0.0.2:80".parse().ok(),
        ..Request::default()
    };
    let role = |invert, value| PermissionTest::Header(header("x-role", value, invert));
    let present = HeaderMatcher::new(Name::new("x-no"), HeaderRule::Present(true), false, false);
    let range = PortRange::new(8000, 9001).unwrap();
    let nested = not(one_of(vec![all(vec![path("/admin"), method("GET")]), method("PUT")]));
    for (permission, reason) in [
        (role(false, "admin").into(), "header x-role user; guest is not in [admin]"),
        (role(true, "user").into(), "header x-role user; guest is in [user]"),
        (PermissionTest::Header(header("x-no", "a", true)).into(), "header x-no is absent"),
        (not(role(false, "user").into()), "header x-role user; guest is in [user]"),
        (not(role(true, "x").into()), "header x-role user; guest is not in [x]"),
        (PermissionTest::Header(present).into(), "header x-no (absent) is not in [*]"),
        (
            PermissionTest::Header(header("host", "a.com", false)).into(),
            "host b.com is not in [a.com]",
        ),
        (
            PermissionTest::DestinationPort(range).into(),
            "destination port 80 is not in [8000-9000]",
        ),
        (
            PermissionTest::DestinationIp(net("1.0.0.0/8")).into(),
            "destination address 10.0.0.2 is not in [1.0.0.0/8]",
        ),
        (
            PermissionTest::RequestedServerName(suffix).into(),
            "server name (absent) is not in [*.com]",
        ),
        (not(one_of(vec![path("/admin"), path("/x")])), "path /admin is in [/admin*, /x*]"),
        (nested, "a negated rule about method, path applies"),
        (
            one_of(vec![method("PUT"), all(vec![path("/x"), role(false, "a").into()])]),
            "method GET is not in [PUT]",
        ),
        (not(Rule::any()), "a negated rule about everything applies"),
    ] {
        let rules = allow(vec![("p", permission, Rule::any())]);
        assert_eq!(rules.explain(&request), Some(format!("policy p: {reason}")));
    }
    let principal = PrincipalTest::SourceIp(net("1.0.0.0/8")).into();
    let rules = allow(vec![("p", Rule::any(), principal)]);
    assert_eq!(
        rules.explain(&request).unwrap(),
        "policy p: source address 10.0.0.1 is not in [1.0.0.0/8]"
    );
}

#[test]
fn denials_by_a_policy_and_by_none() {
    let policies = vec![
        Policy::new("ns[a]-policy[deny]-rule[2]", vec![Rule::any()], vec![Rule::any()]).unwrap(),
    ];
    let deny = Rules::new(Action::Deny, policies).unwrap();
    assert_eq!(deny.explain(&Request::default()).unwrap(), "policy deny rule 2 denies");
    assert_eq!(allow(vec![]).explain(&Request::default()).unwrap(), "no policy allows anything");
}

#[test]
fn what_comes_from_outside_is_cut_and_escaped() {
    let wanted = one_of((0..1000).map(|n| method(&format!("M{n}"))).collect());
    let rules = allow(vec![("p\n\u{1b}[31m", wanted, Rule::any())]);
    let long = format!("G\"\u{1b}{}", "x".repeat(1 << 16));
    let head = RequestHead::new(long.as_bytes(), b"a.com", b"/");
    let request = Request { head: Some(&head), ..Request::default() };
    let sentence = rules.explain(&request).unwrap();
    assert!(sentence.starts_with(r#"policy p\n\u{1b}[31m: method G\"\u{1b}xxx"#), "{sentence}");
    assert!(sentence.ends_with("… is not in [M0, M1, M2, M3, M4, 995 more]"), "{sentence}");
    assert!(sentence.len() < 300, "{}", sentence.len());
}
