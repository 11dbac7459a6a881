//! Decisions as Envoy 1.40 takes them, the index against a plain walk, and the shapes that Istio sends.

use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::{
    MAX_DEPTH, PathTemplate, PeerIdentity, PermissionTest, PortRange, PrincipalTest,
};
use super::*;
use crate::head::{Name, RequestHead};
use crate::matcher::{CidrSet, HeaderMatcher, HeaderRule, Regex, StringMatcher, StringRule};

fn exact(text: &str) -> HeaderRule {
    HeaderRule::Value(StringMatcher::exact(text))
}

fn regex(pattern: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Regex(Regex::new(pattern).unwrap()), false)
}

fn header(name: &str, rule: HeaderRule, invert: bool, as_empty: bool) -> HeaderMatcher {
    HeaderMatcher::new(Name::new(name), rule, invert, as_empty)
}

fn method(text: &str) -> Permission {
    PermissionTest::Header(header(":method", exact(text), false, false)).into()
}

fn path(text: &str) -> Permission {
    PermissionTest::UrlPath(StringMatcher::exact(text)).into()
}

fn prefix(text: &str) -> StringMatcher {
    StringMatcher::new(StringRule::Prefix(text.as_bytes().into()), false)
}

fn path_prefix(text: &str) -> Permission {
    PermissionTest::UrlPath(prefix(text)).into()
}

fn peer_is(name: &str) -> Principal {
    PrincipalTest::AuthenticatedAs(StringMatcher::exact(name)).into()
}

fn not<T>(rule: Rule<T>) -> Rule<T> {
    rule.negated().unwrap()
}

fn all<T>(rules: Vec<Rule<T>>) -> Rule<T> {
    Rule::all(rules).unwrap()
}

fn one_of<T>(rules: Vec<Rule<T>>) -> Rule<T> {
    Rule::one_of(rules).unwrap()
}

fn policy(name: &str, permission: Permission, principal: Principal) -> Policy {
    Policy::new(name, vec![permission], vec![principal]).unwrap()
}

fn rules(action: Action, policies: Vec<Policy>) -> Rules {
    Rules::new(action, policies).unwrap()
}

fn spiffe(name: &str) -> PeerIdentity {
    PeerIdentity { uri_sans: [name.into()].into(), ..PeerIdentity::default() }
}

fn get(path: &str) -> RequestHead {
    RequestHead::new(b"GET", b"a.com", path.as_bytes())
}

fn http(head: &RequestHead) -> Request<'_> {
    Request { head: Some(head), ..Request::default() }
}

/// Matches observed on Envoy 1.40; the columns are no line, `user` and `admin` as two lines, `admin`,
/// `user`, `user,admin` as one line, and an empty line.
#[test]
fn header_tests_see_each_line() {
    let columns: [&[&str]; 6] =
        [&[], &["user", "admin"], &["admin"], &["user"], &["user,admin"], &[""]];
    let role = |rule, invert, as_empty| -> Permission {
        PermissionTest::Header(header("X-Role", rule, invert, as_empty)).into()
    };
    for (permission, expected) in [
        (role(exact("admin"), false, false), [0, 1, 1, 0, 0, 0]),
        (role(exact("admin"), true, false), [0, 0, 0, 1, 1, 1]),
        (role(exact("admin"), true, true), [1, 0, 0, 1, 1, 1]),
        (role(exact("user"), false, false), [0, 1, 0, 1, 0, 0]),
        (role(exact("user,admin"), false, false), [0, 0, 0, 0, 1, 0]),
        (role(HeaderRule::Present(true), false, false), [0, 1, 1, 1, 1, 1]),
        (role(HeaderRule::Present(false), false, false), [1, 0, 0, 0, 0, 0]),
        (role(HeaderRule::Present(true), true, false), [1, 0, 0, 0, 0, 0]),
        (role(HeaderRule::Present(true), false, true), [1, 1, 1, 1, 1, 1]),
        (role(HeaderRule::Present(false), false, true), [0, 0, 0, 0, 0, 0]),
        (role(HeaderRule::Value(regex(".*")), false, false), [0, 1, 1, 1, 1, 1]),
        (role(exact(""), false, true), [1, 0, 0, 0, 0, 1]),
        (not(role(exact("admin"), false, false)), [1, 0, 0, 1, 1, 1]),
        (not(role(exact("admin"), true, false)), [1, 1, 1, 0, 0, 0]),
    ] {
        for (lines, expected) in columns.iter().zip(expected) {
            let mut head = get("/");
            for line in *lines {
                head.headers.append(b"x-role", line.as_bytes());
            }
            for action in [Action::Allow, Action::Deny] {
                let rules = rules(action, vec![policy("p", permission.clone(), Rule::any())]);
                let allowed = (action == Action::Allow) == (expected == 1);
                assert_eq!(rules.decide(&http(&head)).allowed, allowed, "{permission:?} {lines:?}");
            }
        }
    }
}

/// Statuses of Envoy 1.40 for `[a-z]+` over the values `\xff`, `abc`, `abc\xff`, empty, `é` and `a,b`.
#[test]
fn a_negated_expression_holds_for_bytes_that_are_not_utf8() {
    let values: [&[u8]; 6] = [b"\xff", b"abc", b"abc\xff", b"", "é".as_bytes(), b"a,b"];
    let test = |invert| -> Permission {
        let rule = HeaderRule::Value(regex("[a-z]+"));
        PermissionTest::Header(header("x-n", rule, invert, false)).into()
    };
    for permission in [test(true), not(test(false))] {
        let rules = rules(Action::Deny, vec![policy("p", permission, Rule::any())]);
        for (value, allowed) in values.iter().zip([false, true, false, false, false, false]) {
            let mut head = get("/");
            head.headers.append(b"x-n", value);
            assert_eq!(rules.decide(&http(&head)).allowed, allowed, "{value:?}");
        }
    }
}

/// Details observed on Envoy 1.40.
#[test]
fn the_first_policy_by_the_bytes_of_its_name_is_reported() {
    for (names, details) in [
        (&["b", "a", "B"] as &[&str], "rbac_access_denied_matched_policy[B]"),
        (&["rule[9]", "rule[10]"], "rbac_access_denied_matched_policy[rule[10]]"),
        (&["é", "z"], "rbac_access_denied_matched_policy[z]"),
        (&["a b", "c"], "rbac_access_denied_matched_policy[a_b]"),
        (&["a  b"], "rbac_access_denied_matched_policy[a__b]"),
        (&["a\tb"], "rbac_access_denied_matched_policy[a_b]"),
        (&["a\nb"], "rbac_access_denied_matched_policy[a_b]"),
        (&["a\x0bb"], "rbac_access_denied_matched_policy[a_b]"),
        (&["a\u{a0}b"], "rbac_access_denied_matched_policy[a\u{a0}b]"),
        (&["a%b\""], "rbac_access_denied_matched_policy[a%b\"]"),
        (&[""], "rbac_access_denied_matched_policy[none]"),
        (
            &["ns[default]-policy[x]-rule[0]"],
            "rbac_access_denied_matched_policy[ns[default]-policy[x]-rule[0]]",
        ),
    ] {
        let policies = names.iter().map(|name| policy(name, Rule::any(), Rule::any())).collect();
        let rules = rules(Action::Deny, policies);
        let decision = rules.decide(&Request::default());
        assert!(!decision.allowed);
        assert_eq!(decision.details(), details);
    }
}

#[test]
fn what_each_action_does_with_a_match_and_without() {
    for (action, matching, allowed, hint) in [
        (Action::Allow, Some(true), true, None),
        (Action::Allow, Some(false), false, None),
        (Action::Allow, None, false, None),
        (Action::Deny, Some(true), false, None),
        (Action::Deny, Some(false), true, None),
        (Action::Deny, None, true, None),
        (Action::Log, Some(true), true, Some(true)),
        (Action::Log, Some(false), true, Some(false)),
        (Action::Log, None, true, Some(false)),
    ] {
        let permission = |holds| if holds { Rule::any() } else { path("/zz") };
        let policies = matching.map(|holds| policy("p", permission(holds), Rule::any()));
        let rules = rules(action, policies.into_iter().collect());
        let decision = rules.decide(&Request::default());
        assert_eq!(decision.allowed, allowed, "{action:?} {matching:?}");
        assert_eq!(decision.policy, matching.filter(|holds| *holds).map(|_| "p"));
        assert_eq!(decision.access_log_hint(), hint);
        assert_eq!(decision.engine_result(), if allowed { "allowed" } else { "denied" });
        if !allowed && action == Action::Allow {
            assert_eq!(decision.details(), "rbac_access_denied_matched_policy[none]");
        }
    }
}

#[test]
fn shadow_rules_refuse_nothing() {
    let refusing = |name| rules(Action::Deny, vec![policy(name, Rule::any(), Rule::any())]);
    let request = Request::default();
    let none = Engine::default();
    assert_eq!(none.decide(&request), Outcome { enforced: None, shadow: None });
    let shadow = Engine { rules: None, shadow: Some(refusing("s")) };
    let outcome = shadow.decide(&request);
    assert_eq!(outcome.denial(), None);
    assert_eq!(
        outcome.shadow.map(|shadow| (shadow.allowed, shadow.policy)),
        Some((false, Some("s")))
    );
    let both = Engine { rules: Some(refusing("e")), shadow: Some(refusing("s")) };
    assert_eq!(both.decide(&request).denial().and_then(|denial| denial.policy), Some("e"));
}

/// Envoy 1.40 does the same, but for the negated tests of ALLOW, which it lets hold.
#[test]
fn on_tcp_no_test_of_http_matches_and_its_negation_allows_nothing() {
    let template = || PermissionTest::UriTemplate(PathTemplate::new("/**").unwrap()).into();
    for (permission, allow, deny) in [
        (path_prefix("/"), false, true),
        (not(path_prefix("/")), false, false),
        (not(not(path_prefix("/"))), false, true),
        (template(), false, true),
        (not(template()), false, false),
        (method("GET"), false, true),
        (not(method("GET")), false, false),
        (
            not(one_of(vec![
                method("GET"),
                PermissionTest::DestinationPort(PortRange::one(1)).into(),
            ])),
            false,
            false,
        ),
        (Rule::any(), true, false),
    ] {
        let tcp = Request { destination: "127.0.0.1:80".parse().ok(), ..Request::default() };
        for (action, allowed) in [(Action::Allow, allow), (Action::Deny, deny)] {
            let rules = rules(action, vec![policy("p", permission.clone(), Rule::any())]);
            assert_eq!(rules.decide(&tcp).allowed, allowed, "{action:?} {permission:?}");
        }
    }
}

#[test]
fn the_deepest_rules_are_evaluated_and_dropped() {
    let mut deep: Permission = path("/a");
    for _ in 1..MAX_DEPTH {
        deep = not(deep);
    }
    let rules = rules(Action::Allow, vec![policy("p", deep, Rule::any())]);
    assert!(!rules.decide(&http(&get("/a"))).allowed, "99 negations");
    assert!(rules.decide(&http(&get("/b"))).allowed);
    assert!(rules.explain(&http(&get("/a"))).is_some());
}

#[test]
fn policies_without_rules_or_with_one_name_are_refused() {
    let empty = Policy::new("p", vec![], vec![Rule::any()]).unwrap_err();
    assert_eq!(empty.to_string(), "an empty set of permissions");
    let empty = Policy::new("p", vec![Rule::any()], vec![]).unwrap_err();
    assert_eq!(empty.to_string(), "an empty set of principals");
    let twice = vec![policy("p", Rule::any(), Rule::any()), policy("p", path("/"), Rule::any())];
    let error = Rules::new(Action::Allow, twice).unwrap_err();
    assert_eq!(error, RuleError::DuplicateName("p".into()));
}

/// What istiod sends for a DENY policy with `not` on every side.
#[test]
fn a_deny_policy_of_istio_with_exceptions() {
    let template = PermissionTest::UriTemplate(PathTemplate::new("/admin/*").unwrap());
    let suffix = StringMatcher::new(StringRule::Suffix(b"/secret".as_slice().into()), false);
    let permission = all(vec![
        not(one_of(vec![method("OPTIONS")])),
        one_of(vec![path("/admin"), template.into(), PermissionTest::UrlPath(suffix).into()]),
        one_of(vec![PermissionTest::DestinationPort(PortRange::one(9080)).into()]),
    ]);
    let named = |pattern| PrincipalTest::AuthenticatedAs(regex(pattern)).into();
    let ten = CidrSet::new(["10.0.0.0/8".parse().unwrap()]);
    let principal = all(vec![
        not(one_of(vec![named(".*/ns/default/.*"), named(".*/ns/istio-.*/.*")])),
        not(PrincipalTest::DirectRemoteIp(ten).into()),
        not(PrincipalTest::Header(header("x-role", exact("root"), false, false)).into()),
    ]);
    let rules = rules(Action::Deny, vec![policy("deny-admin", permission, principal)]);

    let stranger = spiffe("spiffe://cluster.local/ns/other/sa/a");
    let friend = spiffe("spiffe://cluster.local/ns/default/sa/a");
    let (near, far): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [192, 168, 0, 1].into());
    let (port, other_port): (SocketAddr, SocketAddr) = ((far, 9080).into(), (far, 80).into());
    let root = {
        let mut head = get("/admin");
        head.headers.append(b"x-role", b"root");
        head
    };
    let options = RequestHead::new(b"OPTIONS", b"a.com", b"/admin");
    for (head, peer, from, to, allowed) in [
        (&get("/admin"), Some(&stranger), far, port, false),
        (&get("/admin?x"), None, far, port, false),
        (&get("/admin/x"), None, far, port, false),
        (&get("/x/secret"), None, far, port, false),
        (&get("/admin/x/y"), None, far, port, true),
        (&get("/admin"), Some(&friend), far, port, true),
        (&get("/admin"), None, near, port, true),
        (&get("/admin"), None, far, other_port, true),
        (&root, None, far, port, true),
        (&options, None, far, port, true),
    ] {
        let request = Request {
            head: Some(head),
            peer,
            direct_remote: Some(from),
            destination: Some(to),
            ..Request::default()
        };
        assert_eq!(rules.decide(&request).allowed, allowed, "{request:?}");
    }
}

/// A rule over few names, so that random requests often match.
fn random_permission(rng: &mut StdRng, depth: u8) -> Permission {
    let leaf = if depth == 0 { 5 } else { 8 };
    match rng.random_range(0..leaf) {
        0 | 1 => path(&format!("/{}", rng.random_range(0..4))),
        2 => path_prefix(["/", "/1", "/12"][rng.random_range(0..3)]),
        3 => method(["GET", "POST"][rng.random_range(0..2)]),
        4 => Rule::any(),
        5 => not(random_permission(rng, depth - 1)),
        6 => all((0..2).map(|_| random_permission(rng, depth - 1)).collect()),
        _ => one_of((0..2).map(|_| random_permission(rng, depth - 1)).collect()),
    }
}

fn random_principal(rng: &mut StdRng, depth: u8) -> Principal {
    let leaf = if depth == 0 { 5 } else { 8 };
    match rng.random_range(0..leaf) {
        0 | 1 => peer_is(["", "1", "2", "12"][rng.random_range(0..4)]),
        2 => PrincipalTest::AuthenticatedAs(prefix(["1", "12"][rng.random_range(0..2)])).into(),
        3 => PrincipalTest::AuthenticatedAs(regex("[01]+")).into(),
        4 => Rule::any(),
        5 => not(random_principal(rng, depth - 1)),
        6 => all((0..2).map(|_| random_principal(rng, depth - 1)).collect()),
        _ => one_of((0..2).map(|_| random_principal(rng, depth - 1)).collect()),
    }
}

#[test]
fn the_index_finds_the_policy_that_a_walk_finds() {
    let mut rng = StdRng::seed_from_u64(1);
    for round in 0..2_000 {
        let action = [Action::Allow, Action::Deny][round % 2];
        let policies = (0..rng.random_range(0..12)).map(|number| {
            let principal = random_principal(&mut rng, 2);
            policy(&number.to_string(), random_permission(&mut rng, 2), principal)
        });
        let rules = rules(action, policies.collect());
        for _ in 0..10 {
            let head = get(&format!("/{}", rng.random_range(0..15)));
            let mut name = || ["", "0", "1", "12", "123"][rng.random_range(0..5)].into();
            let peer = PeerIdentity {
                uri_sans: [name(), name()].into(),
                dns_sans: [].into(),
                subject: name(),
            };
            let request = Request {
                head: rng.random_bool(0.9).then_some(&head),
                peer: rng.random_bool(0.9).then_some(&peer),
                ..Request::default()
            };
            let walk = rules.policies.iter().find(|policy| rules.matches(policy, &request));
            let decision = rules.decide(&request);
            assert_eq!(decision.policy, walk.map(|policy| &*policy.name), "{rules:?} {request:?}");
            assert_eq!(rules.explain(&request).is_none(), decision.allowed);
        }
    }
}
