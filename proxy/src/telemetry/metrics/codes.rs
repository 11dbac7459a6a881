//! Counters by status code: `upstream_rq_503` springs into being with the first 503.
//! (envoy: Http::CodeStatsImpl)
//!
//! A region of a shard's words holds up to 24 codes, each in one word: the code above, its count below.
//! A service answers with a handful of codes, so a scan finds the slot in the first steps. What finds
//! no slot is counted as `unknown`, and no answer is lost from the sum.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cells::{Words, Writer};

/// Words of one region: 24 slots, then the count of what found none.
pub(super) const CODE_WORDS: usize = 25;

/// A slot's code stands above this many bits of count: 2^48 requests last 89 years at 100 k/s.
const COUNT_BITS: u32 = 48;

const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// A code as slots hold it. One more than itself, since gRPC knows a status 0 and an empty slot is 0.
const fn key(code: u16) -> u64 {
    code as u64 + 1
}

/// Counts one answer with `code` in the region of `words` that begins at `at`.
#[inline]
pub(super) fn count<W: Words>(writer: &Writer<'_, W>, at: usize, code: u16) {
    let (Writer::Owner(shard) | Writer::Sharer(shard)) = writer;
    let Some(region) = shard.words.as_slice().get(at..at + CODE_WORDS) else { return };
    let Some((unknown, slots)) = region.split_last() else { return };
    let owner = matches!(writer, Writer::Owner(_));
    for slot in slots {
        let held = slot.load(Relaxed);
        let counted = match held {
            0 => key(code) << COUNT_BITS | 1,
            _ if held >> COUNT_BITS == key(code) => held.wrapping_add(1),
            _ => continue,
        };
        if owner {
            return slot.store(counted, Relaxed);
        }
        if count_shared(slot, code) {
            return;
        }
    }
    if owner {
        unknown.store(unknown.load(Relaxed).wrapping_add(1), Relaxed);
    } else {
        unknown.fetch_add(1, Relaxed);
    }
}

/// Counts in a slot that other threads may claim at the same time; false if one has, for another code.
fn count_shared(slot: &AtomicU64, code: u16) -> bool {
    slot.fetch_update(Relaxed, Relaxed, |held| match held {
        0 => Some(key(code) << COUNT_BITS | 1),
        _ if held >> COUNT_BITS == key(code) => Some(held.wrapping_add(1)),
        _ => None,
    })
    .is_ok()
}

/// One region's codes and counts, added to `sums` (ascending by code), and its unknown ones.
pub(super) fn collect(region: &[AtomicU64], sums: &mut Vec<(u16, u64)>) -> u64 {
    let Some((unknown, slots)) = region.split_last() else { return 0 };
    for slot in slots {
        let held = slot.load(Relaxed);
        let Some(code) = (held >> COUNT_BITS).checked_sub(1) else { break };
        let Ok(code) = u16::try_from(code) else { continue };
        let count = held & COUNT_MASK;
        match sums.binary_search_by_key(&code, |(code, _)| *code) {
            Ok(found) => {
                if let Some((_, sum)) = sums.get_mut(found) {
                    *sum += count;
                }
            }
            Err(place) => sums.insert(place, (code, count)),
        }
    }
    unknown.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::cells::Shards;
    use crate::telemetry::metrics::enter_worker;

    fn sums(shards: &Shards<[AtomicU64; CODE_WORDS]>) -> (Vec<(u16, u64)>, u64) {
        let mut sums = Vec::new();
        let mut unknown = 0;
        for shard in [shards.of_worker(0), shards.of_others()].into_iter().flatten() {
            unknown += collect(&shard.words, &mut sums);
        }
        (sums, unknown)
    }

    #[test]
    fn codes_of_all_shards_add_up() {
        let shards = Shards::new(1, 0);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let shards = &shards;
                scope.spawn(move || {
                    enter_worker(worker); // 1 to 3 are beyond the last worker and share
                    for code in [200, 0, 503, 200] {
                        for _ in 0..1000 {
                            shards.write(|writer| count(&writer, 0, code));
                        }
                    }
                });
            }
        });
        assert_eq!(sums(&shards), (vec![(0, 4000), (200, 8000), (503, 4000)], 0));
    }

    #[test]
    fn the_twenty_fifth_code_counts_as_unknown() {
        for worker in [0, usize::MAX] {
            let shards = Shards::new(1, 0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    enter_worker(worker);
                    for code in (200..230).chain([200]) {
                        shards.write(|writer| count(&writer, 0, code));
                    }
                });
            });
            let (codes, unknown) = sums(&shards);
            assert_eq!((codes.len(), unknown), (24, 6), "worker {worker}");
            assert_eq!(codes[0], (200, 2));
        }
    }
}
