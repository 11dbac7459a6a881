//! Random numbers below a bound that may be anything: a range of `rand` panics when it is empty.

use rand::Rng;

/// A number below `bound`, 0 if `bound` is 0. Its bias is under `bound` × 2⁻³².
pub(crate) fn below(bound: u32, rng: &mut impl Rng) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(bound)) >> 32) as u32
}

/// A number below `bound`, 0 if `bound` is 0. Its bias is under `bound` × 2⁻⁶⁴.
pub(crate) fn below_u64(bound: u64, rng: &mut impl Rng) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn every_number_below_the_bound_comes_up_and_no_other() {
        let mut rng = StdRng::seed_from_u64(1);
        let (mut seen, mut seen_u64) = ([0_u32; 3], [0_u32; 3]);
        for _ in 0..3000 {
            seen[below(3, &mut rng) as usize] += 1;
            seen_u64[below_u64(3, &mut rng) as usize] += 1;
        }
        assert!(seen.iter().chain(&seen_u64).all(|count| (880..1120).contains(count)));
        assert_eq!((below(0, &mut rng), below_u64(0, &mut rng)), (0, 0));
        assert!(below(u32::MAX, &mut rng) < u32::MAX && below_u64(u64::MAX, &mut rng) < u64::MAX);
    }
}
