//! Which routes of a virtual host can match a path, without asking each of them.
//!
//! A filter, not a judge: it names every route whose path rule may hold, in the order of the routes, and
//! the caller asks each of those itself. Exact paths are found by hash, prefixes by [`PrefixMap`];
//! regular expressions, rules that ignore case and CONNECT are candidates for every path.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::byte_map::ByteMap;
use super::matcher::PathRule;
use super::prefix_map::PrefixMap;

/// Below this many routes, asking each in turn (some 40 instructions) is cheaper than the index (700).
const MIN_ROUTES: usize = 16;

/// Prefixes of one path that an index may hold: each makes the search for the next candidate longer.
const MAX_DEPTH: usize = 14;

/// Indices of routes, ascending.
type Routes = Box<[usize]>;

/// The path rules of one virtual host.
#[derive(Debug)]
pub(super) struct RouteIndex {
    exact: ByteMap<Routes>,
    prefixes: PrefixMap<Routes>,
    others: Routes,
}

impl RouteIndex {
    /// `None` if an index does not pay: for few routes, or for prefixes nested deeper than any
    /// sensible configuration has them.
    pub(super) fn new<'a>(rules: impl ExactSizeIterator<Item = &'a PathRule>) -> Option<Self> {
        if rules.len() < MIN_ROUTES {
            return None;
        }
        let mut exact: ByteMap<Vec<usize>> = ByteMap::default();
        let mut prefixes: BTreeMap<Box<[u8]>, Vec<usize>> = BTreeMap::new();
        let mut others = Vec::new();
        for (index, rule) in rules.enumerate() {
            match rule {
                PathRule::Exact(text) if text.is_case_sensitive() => {
                    exact.entry(text.as_bytes().into()).or_default().push(index);
                }
                PathRule::Prefix(text) | PathRule::SeparatedPrefix(text)
                    if text.is_case_sensitive() =>
                {
                    prefixes.entry(text.as_bytes().into()).or_default().push(index);
                }
                _ => others.push(index),
            }
        }
        let prefixes = PrefixMap::new(prefixes.into_iter().map(|(k, v)| (k, v.into())).collect());
        (prefixes.depth() <= MAX_DEPTH).then(|| Self {
            exact: exact.into_iter().map(|(path, routes)| (path, routes.into())).collect(),
            prefixes,
            others: others.into(),
        })
    }

    /// The first candidate for `path`, a path without query string, that `accept` takes.
    pub(super) fn find(&self, path: &[u8], mut accept: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut lists: SmallVec<[&[usize]; MAX_DEPTH + 2]> = SmallVec::new();
        lists.push(&self.others);
        lists.extend(self.exact.get(path).map(|routes| &**routes));
        lists.extend(self.prefixes.prefixes_of(path).map(|routes| &**routes));
        loop {
            let (list, candidate) = lists
                .iter_mut()
                .filter_map(|list| list.first().copied().map(|first| (list, first)))
                .min_by_key(|(_, first)| *first)?;
            if accept(candidate) {
                return Some(candidate);
            }
            *list = list.get(1..).unwrap_or_default();
        }
    }
}
