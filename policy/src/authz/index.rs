//! Which policies can match a request at all.
//!
//! Most policies name the peers they are about, or the paths: `sa/sleep` may, `/admin` may not. Such a
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

/// Positions of policies by a name that they require.
type ByName = BTreeMap<Box<[u8]>, Vec<u32>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    peers: ByName,
    paths: ByName,
    others: Vec<u32>,
}

impl Index {
    /// A policy is filed under what fewer policies share: its peers or its paths.
    pub(super) fn new(policies: &[Policy]) -> Self {
        let required: Vec<_> =
            policies.iter().map(|policy| (peers(policy), paths(policy))).collect();
        let peer_use = count(required.iter().filter_map(|(peers, _)| peers.as_deref()));
        let path_use = count(required.iter().filter_map(|(_, paths)| paths.as_deref()));
        let mut index = Self::default();
        for (position, (peers, paths)) in (0_u32..).zip(&required) {
            let by_peer = peers.as_deref().map(|names| (most_used(names, &peer_use), names));
            let by_path = paths.as_deref().map(|names| (most_used(names, &path_use), names));
            match (by_peer, by_path) {
                (Some((peer, names)), by_path) if by_path.is_none_or(|(path, _)| peer <= path) => {
                    file(&mut index.peers, names, position);
                }
                (_, Some((_, names))) => file(&mut index.paths, names, position),
                _ => index.others.push(position),
            }
        }
        index
    }

    /// The positions of policies that may match `request`, ascending.
    pub(super) fn candidates(&self, request: &Request<'_>) -> Candidates<'_> {
        let mut named: SmallVec<[u32; 16]> = SmallVec::new();
        if let Some(peer) = request.peer.filter(|_| !self.peers.is_empty()) {
            for name in peer.names() {
                named.extend_from_slice(of(&self.peers, name.as_bytes()));
            }
        }
        if let Some(path) = path(request).filter(|_| !self.paths.is_empty()) {
            named.extend_from_slice(of(&self.paths, path));
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

fn peers(policy: &Policy) -> Option<Vec<&[u8]>> {
    required(policy.principal.node(), &|test| match test {
        PrincipalTest::AuthenticatedAs(matcher) => matcher.as_exact(),
        _ => None,
    })
}

fn paths(policy: &Policy) -> Option<Vec<&[u8]>> {
    required(policy.permission.node(), &|test| match test {
        PermissionTest::UrlPath(matcher) => matcher.as_exact(),
        _ => None,
    })
}

/// Names of which the subject must have one for the rule to hold; `None` if it may hold for any subject.
fn required<'r, T>(
    node: &'r Node<T>,
    name: &impl Fn(&'r T) -> Option<&'r [u8]>,
) -> Option<Vec<&'r [u8]>> {
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

fn count<'r>(all: impl Iterator<Item = &'r [&'r [u8]]>) -> BTreeMap<&'r [u8], usize> {
    let mut uses = BTreeMap::new();
    for name in all.flatten() {
        *uses.entry(*name).or_insert(0) += 1;
    }
    uses
}

fn most_used(names: &[&[u8]], uses: &BTreeMap<&[u8], usize>) -> usize {
    names.iter().filter_map(|name| uses.get(name).copied()).max().unwrap_or_default()
}

fn file(index: &mut ByName, names: &[&[u8]], position: u32) {
    for name in names {
        let positions = index.entry((*name).into()).or_default();
        if positions.last() != Some(&position) {
            positions.push(position);
        }
    }
}

fn of<'a>(index: &'a ByName, name: &[u8]) -> &'a [u32] {
    index.get(name).map_or(&[], Vec::as_slice)
}
