//! The ways in which bytes can arrive. What a parser answers must not depend on them.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// `data` in one piece, in single bytes, and cut at places that it decides itself.
pub(crate) fn splits(data: &[u8]) -> [Vec<&[u8]>; 3] {
    let seed = data.iter().fold(0, |seed: u64, byte| seed.rotate_left(5) ^ u64::from(*byte));
    let mut random = StdRng::seed_from_u64(seed);
    let mut cut = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(random.random_range(1..=rest.len().min(64)));
        cut.push(piece);
        rest = tail;
    }
    [vec![data], data.chunks(1).collect(), cut]
}
