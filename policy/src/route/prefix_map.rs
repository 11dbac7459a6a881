//! A map that finds every key which is a prefix of a text, longest first.
//!
//! Domains look up wildcards in it and tables look up path prefixes. Keys are sorted, and each knows
//! the longest other key that it starts with. All keys that are prefixes of a text are prefixes of the
//! last key at or before the text, too: whatever sorts between a prefix of the text and the text starts
//! with that prefix. So one binary search finds the last such key and its parents are the answer.

use std::collections::BTreeMap;

/// Values under byte strings, immutable once built.
#[derive(Clone, Debug)]
pub(super) struct PrefixMap<V> {
    entries: Box<[Entry<V>]>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    key: Box<[u8]>,
    value: V,
    /// The entry with the longest key that this key starts with.
    parent: Option<usize>,
}

impl<V> PrefixMap<V> {
    pub(super) fn new(values: BTreeMap<Box<[u8]>, V>) -> Self {
        let mut entries: Vec<Entry<V>> = Vec::with_capacity(values.len());
        for (index, (key, value)) in values.into_iter().enumerate() {
            let mut parent = index.checked_sub(1);
            while let Some(entry) = parent.and_then(|at| entries.get(at)) {
                if key.starts_with(&entry.key) {
                    break;
                }
                parent = entry.parent;
            }
            entries.push(Entry { key, value, parent });
        }
        Self { entries: entries.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The largest number of keys that one text can start with.
    pub(super) fn depth(&self) -> usize {
        let mut depths: Vec<usize> = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            // Parents stand before their children.
            depths.push(1 + entry.parent.and_then(|at| depths.get(at)).unwrap_or(&0));
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// Values whose key is a prefix of `text`, the longest key first.
    pub(super) fn prefixes_of(&self, text: &[u8]) -> impl Iterator<Item = &V> {
        let after = self.entries.partition_point(|entry| *entry.key <= *text);
        let last = after.checked_sub(1).and_then(|at| self.entries.get(at));
        let shared = last.map_or(0, |entry| shared_len(&entry.key, text));
        std::iter::successors(last, |entry| entry.parent.and_then(|at| self.entries.get(at)))
            .filter(move |entry| entry.key.len() <= shared)
            .map(|entry| &entry.value)
    }
}

/// Number of bytes that two texts have in common from the start.
fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(keys: &[&str]) -> PrefixMap<String> {
        PrefixMap::new(keys.iter().map(|key| (key.as_bytes().into(), (*key).to_owned())).collect())
    }

    #[test]
    fn finds_all_prefixes_longest_first() {
        let map = map(&["", "/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/a/c"]);
        for (text, expected) in [
            ("/a/b/x", vec!["/a/b", "/a", "/", ""]),
            ("/a/b/c", vec!["/a/b/c", "/a/b", "/a", "/", ""]),
            ("/abc", vec!["/ab", "/a", "/", ""]),
            ("/a/bb", vec!["/a/b", "/a", "/", ""]),
            ("/zzz", vec!["/", ""]),
            ("x", vec![""]),
            ("", vec![""]),
        ] {
            assert_eq!(map.prefixes_of(text.as_bytes()).collect::<Vec<_>>(), expected, "{text}");
        }
        assert_eq!(map.depth(), 5);
    }

    #[test]
    fn an_empty_map_finds_nothing() {
        assert_eq!(map(&[]).prefixes_of(b"/").count(), 0);
        assert_eq!(map(&[]).depth(), 0);
        assert_eq!(map(&["/b"]).prefixes_of(b"/a").count(), 0);
    }
}
