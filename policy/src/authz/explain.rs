//! Why a request was refused, as a sentence for a person.
//!
//! `policy httpbin-policy rule 0: method POST is not in [GET]`. When no policy allows, the nearest miss is
//! told: the policy of which the fewest tests would have to turn out otherwise, and among those one that
//! is about this peer. Called by admin endpoints and access logs that ask for it, never on the way of a
//! request: it looks at every policy.

mod tell;

use self::tell::{ABSENT, Tell, list, shown};
use super::rbac::{Action, Policy, Rules};
use super::request::Request;
use super::rule::{Node, Unasked};

impl Rules {
    /// The reason for which `request` is refused; `None` if it is not.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Option<String> {
        let decision = self.decide(request);
        match (decision.allowed, decision.policy) {
            (true, _) => None,
            (false, Some(name)) => Some(format!("{} denies", title(name))),
            (false, None) => Some(self.nearest_miss(request)),
        }
    }

    fn nearest_miss(&self, request: &Request<'_>) -> String {
        debug_assert_eq!(self.action, Action::Allow, "only these refuse without a match");
        let ask = Asking { request, unasked: self.unasked() };
        let nearest = self.policies.iter().min_by_key(|policy| ask.distance_of(policy));
        let Some(policy) = nearest else { return "no policy allows anything".to_owned() };
        let mut misses = Vec::new();
        ask.misses(policy.principal.node(), &mut misses);
        ask.misses(policy.permission.node(), &mut misses);
        format!("{}: {}", title(&policy.name), list(&misses, " and "))
    }
}

/// A request being explained.
#[derive(Clone, Copy)]
struct Asking<'a> {
    request: &'a Request<'a>,
    unasked: Unasked,
}

impl Asking<'_> {
    /// How many tests would have to turn out otherwise; in doubt, those about the peer count more.
    fn distance_of(&self, policy: &Policy) -> (usize, usize) {
        let peer = self.distance(policy.principal.node());
        (peer + self.distance(policy.permission.node()), peer)
    }

    fn distance<T: Tell>(&self, node: &Node<T>) -> usize {
        match node {
            Node::All(nodes) => nodes.iter().map(|node| self.distance(node)).sum(),
            Node::OneOf(nodes) => {
                nodes.iter().map(|node| self.distance(node)).min().unwrap_or_default()
            }
            Node::Any | Node::Test(_) | Node::Not(_) => {
                usize::from(!node.holds(self.request, self.unasked))
            }
        }
    }

    /// Adds a clause for each part of `node` that keeps it from holding.
    fn misses<T: Tell>(&self, node: &Node<T>, out: &mut Vec<String>) {
        if node.holds(self.request, self.unasked) {
            return;
        }
        match node {
            Node::Any => {}
            Node::Test(test) => out.push(self.clause(&[test], false)),
            Node::All(nodes) => nodes.iter().for_each(|node| self.misses(node, out)),
            Node::OneOf(nodes) => match same_subject(node) {
                Some(tests) => out.push(self.clause(&tests, false)),
                None => {
                    if let Some(node) = nodes.iter().min_by_key(|node| self.distance(node)) {
                        self.misses(node, out);
                    }
                }
            },
            Node::Not(inner) => out.push(match same_subject(inner) {
                Some(tests) => self.clause(&tests, true),
                None => format!("a negated rule about {} applies", subjects(inner)),
            }),
        }
    }

    /// `method POST is not in [GET, HEAD]` for tests of one subject.
    fn clause<T: Tell>(&self, tests: &[&T], negated: bool) -> String {
        let Some(first) = tests.first() else { return String::new() };
        let subject = first.subject();
        if first.ask(self.request).is_none() {
            return format!("{subject} is unknown here");
        }
        let (actual, excluded) = (first.actual(self.request), first.is_inverted() != negated);
        if excluded && actual == ABSENT {
            return format!("{subject} is absent");
        }
        let wanted: Vec<String> = tests.iter().map(|test| test.wanted()).collect();
        let is = if excluded { "is" } else { "is not" };
        format!("{subject} {actual} {is} in [{}]", list(&wanted, ", "))
    }
}

/// The tests of a node that is one test or an alternative of tests about one subject.
fn same_subject<T: Tell>(node: &Node<T>) -> Option<Vec<&T>> {
    let tests: Vec<&T> = match node {
        Node::Test(test) => vec![test],
        Node::OneOf(nodes) => nodes.iter().map(as_test).collect::<Option<_>>()?,
        Node::Any | Node::All(_) | Node::Not(_) => return None,
    };
    let about = |test: &T| (test.subject(), test.is_inverted());
    let first = about(tests.first()?);
    tests.iter().all(|test| about(test) == first).then_some(tests)
}

const fn as_test<T>(node: &Node<T>) -> Option<&T> {
    if let Node::Test(test) = node { Some(test) } else { None }
}

/// The subjects of all tests in `node`, each once.
fn subjects<T: Tell>(node: &Node<T>) -> String {
    fn collect<T: Tell>(node: &Node<T>, out: &mut Vec<String>) {
        match node {
            Node::Any => {}
            Node::Test(test) => out.push(test.subject()),
            Node::Not(node) => collect(node, out),
            Node::All(nodes) | Node::OneOf(nodes) => nodes.iter().for_each(|n| collect(n, out)),
        }
    }
    let mut out = Vec::new();
    collect(node, &mut out);
    out.sort_unstable();
    out.dedup();
    if out.is_empty() { "everything".to_owned() } else { list(&out, ", ") }
}

/// `policy NAME rule 0` for the names that Istio gives, `ns[NAMESPACE]-policy[NAME]-rule[0]`.
fn title(name: &str) -> String {
    let istio = || {
        let (_, rest) = name.split_once("ns[")?;
        let (_, rest) = rest.split_once("]-policy[")?;
        let (policy, rule) = rest.strip_suffix(']')?.split_once("]-rule[")?;
        Some(format!(
            "policy {} rule {}",
            shown(Some(policy.as_bytes())),
            shown(Some(rule.as_bytes()))
        ))
    };
    istio().unwrap_or_else(|| format!("policy {}", shown(Some(name.as_bytes()))))
}

#[cfg(test)]
mod tests;
