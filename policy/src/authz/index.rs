//! Which policies can match a request at all.
//!
//! Most policies name the peers they are about, or the paths: `sa/sleep` may, `/admin*` may not. Such a
//! policy is found by that name, and only policies that name neither are tried on every request.
//! Candidates come in the order of policies, so that the first match is the one a walk over all of them
//! would find. Called by [`super::Rules`].

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::path::path;
use super::permission::PermissionTest;
use super::principal::PrincipalTest;
use super::rbac::Policy;
use super::request::Request;
use super::rule::Node;
use crate::matcher::StringMatcher;

/// Positions of policies, ascending.
type Positions = SmallVec<[u32; 16]>;

#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    peers: Names,
    paths: Names,
    others: Vec<u32>,
}

impl Index {
    /// A policy is filed under what fewer policies share: its peers or its paths.
    pub(super) fn new(policies: &[Policy]) -> Self {
        let required: Vec<_> =
            policies.iter().map(|policy| (peers(policy), paths(policy))).collect();
        let peer_use = Uses::count(required.iter().filter_map(|(peers, _)| peers.as_deref()));
        let path_use = Uses::count(required.iter().filter_map(|(_, paths)| paths.as_deref()));
        let mut index = Self::default();
        for (position, (peers, paths)) in (0_u32..).zip(&required) {
            let by_peer = peers.as_deref().map(|names| (peer_use.most(names), names));
            let by_path = paths.as_deref().map(|names| (path_use.most(names), names));
            match (by_peer, by_path) {
                (Some((peer, names)), by_path) if by_path.is_none_or(|(path, _)| peer <= path) => {
                    index.peers.file(names, position);
                }
                (_, Some((_, names))) => index.paths.file(names, position),
                _ => index.others.push(position),
            }
        }
        index
    }

    /// The positions of policies that may match `request`, ascending.
    pub(super) fn candidates(&self, request: &Request<'_>) -> Candidates<'_> {
        let mut named = Positions::new();
        if let Some(peer) = request.peer.filter(|_| !self.peers.is_empty()) {
            peer.names().for_each(|name| self.peers.find(name.as_bytes(), &mut named));
        }
        if let Some(path) = path(request).filter(|_| !self.paths.is_empty()) {
            self.paths.find(path, &mut named);
        }
        named.sort_unstable();
        named.dedup();
        Candidates { named: named.into_iter(), others: self.others.iter() }
    }
}

/// Merges two ascending sequences without a common element.
pub(super) struct Candidates<'a> {
    named: smallvec::IntoIter<[u32; 16]>,
    others: std::slice::Iter<'a, u32>,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match (self.named.as_slice().first(), self.others.as_slice().first()) {
            (Some(named), Some(other)) if other < named => self.others.next().copied(),
            (Some(_), _) => self.named.next(),
            (None, _) => self.others.next().copied(),
        }
    }
}

/// A name that a subject has to have, or to begin with. Never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name<'r> {
    Exact(&'r [u8]),
    Prefix(&'r [u8]),
}

/// Positions by the names that policies require.
#[derive(Clone, Debug, Default)]
struct Names {
    exact: BTreeMap<Box<[u8]>, Vec<u32>>,
    prefixes: BTreeMap<Box<[u8]>, Vec<u32>>,
    /// Lengths that prefixes have, ascending.
    lengths: Vec<usize>,
}

impl Names {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    fn file(&mut self, names: &[Name<'_>], position: u32) {
        for name in names {
            let positions = match *name {
                Name::Exact(text) => self.exact.entry(text.into()).or_default(),
                Name::Prefix(text) => {
                    if let Err(at) = self.lengths.binary_search(&text.len()) {
                        self.lengths.insert(at, text.len());
                    }
                    self.prefixes.entry(text.into()).or_default()
                }
            };
            positions.push(position);
        }
    }

    fn find(&self, value: &[u8], out: &mut Positions) {
        if value.is_empty() {
            return;
        }
        let exact = self.exact.get(value).into_iter();
        let starts = self.lengths.iter().map_while(|length| value.get(..*length));
        let prefixes = starts.filter_map(|start| self.prefixes.get(start));
        exact.chain(prefixes).for_each(|positions| out.extend_from_slice(positions));
    }
}

/// How many policies require each name.
struct Uses<'r>(BTreeMap<Name<'r>, usize>);

impl<'r> Uses<'r> {
    fn count(names: impl Iterator<Item = &'r [Name<'r>]>) -> Self {
        let mut uses = BTreeMap::new();
        names.flatten().for_each(|name| *uses.entry(*name).or_insert(0) += 1);
        Self(uses)
    }

    fn most(&self, names: &[Name<'_>]) -> usize {
        names.iter().filter_map(|name| self.0.get(name).copied()).max().unwrap_or_default()
    }
}

fn peers(policy: &Policy) -> Option<Vec<Name<'_>>> {
    required(policy.principal.node(), &|test| match test {
        PrincipalTest::AuthenticatedAs(matcher) => name(matcher),
        _ => None,
    })
}

fn paths(policy: &Policy) -> Option<Vec<Name<'_>>> {
    required(policy.permission.node(), &|test| match test {
        PermissionTest::UrlPath(matcher) => name(matcher),
        _ => None,
    })
}

fn name(matcher: &StringMatcher) -> Option<Name<'_>> {
    let exact = matcher.as_exact().map(Name::Exact);
    let name = exact.or_else(|| matcher.as_prefix().map(Name::Prefix))?;
    let (Name::Exact(text) | Name::Prefix(text)) = name;
    (!text.is_empty()).then_some(name)
}

/// Names of which the subject has one whenever the rule holds; `None` if it may hold for any subject.
fn required<'r, T>(
    node: &'r Node<T>,
    name: &impl Fn(&'r T) -> Option<Name<'r>>,
) -> Option<Vec<Name<'r>>> {
    match node {
        Node::Any | Node::Not(_) => None,
        Node::Test(test) => name(test).map(|name| vec![name]),
        Node::All(nodes) => nodes.iter().filter_map(|n| required(n, name)).min_by_key(Vec::len),
        Node::OneOf(nodes) => {
            let each: Option<Vec<_>> = nodes.iter().map(|n| required(n, name)).collect();
            each.map(|names| names.concat())
        }
    }
}
