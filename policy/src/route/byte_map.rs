//! A hash map from byte strings, for look-ups of what a client sent: domains and exact paths.
//!
//! The standard hasher costs a client's 35-byte authority three hundred instructions, XXH3 some sixty.
//! Keys come from configuration and never from clients, and each map has a seed of its own, so nobody
//! can line keys up in one bucket.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Values under byte strings.
pub(super) type ByteMap<V> = HashMap<Box<[u8]>, V, Seed>;

/// Where hashing starts.
#[derive(Clone, Debug)]
pub(super) struct Seed(u64);

/// XXH3 over one byte string.
pub(super) struct ByteHasher(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for Seed {
    type Hasher = ByteHasher;

    fn build_hasher(&self) -> ByteHasher {
        ByteHasher(self.0)
    }
}

impl Hasher for ByteHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length of a slice, which XXH3 takes into account anyway.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in() {
        let key = |index: u32| format!("service-{index}.default").into_bytes();
        let map: ByteMap<u32> = (0..1000).map(|index| (key(index).into(), index)).collect();
        for index in 0..1000 {
            assert_eq!(map.get(&*key(index)), Some(&index));
            assert_eq!(map.get(&*key(index + 1000)), None);
        }
    }
}
