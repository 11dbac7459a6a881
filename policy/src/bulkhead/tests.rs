use std::sync::atomic::AtomicU32;
use std::thread;

use super::*;

#[test]
fn it_admits_up_to_the_limit_and_again_after_a_drop() {
    let bulkhead = Bulkhead::new(2);
    let first = bulkhead.try_acquire().unwrap();
    let _second = bulkhead.try_acquire().unwrap();
    assert!(bulkhead.try_acquire().is_none() && bulkhead.is_full());
    drop(first);
    assert_eq!((bulkhead.used(), bulkhead.remaining()), (1, 1));
    assert!(bulkhead.try_acquire().is_some());
    assert!(Bulkhead::new(0).try_acquire().is_none());
}

#[test]
fn a_new_limit_holds_at_once_and_keeps_the_permits_that_are_out() {
    let bulkhead = Bulkhead::new(3);
    let mut permits: Vec<_> = (0..3).map(|_| bulkhead.try_acquire().unwrap()).collect();
    bulkhead.set_limit(1);
    assert_eq!((bulkhead.used(), bulkhead.remaining()), (3, 0));
    permits.truncate(1);
    assert!(bulkhead.try_acquire().is_none());
    bulkhead.set_limit(u32::MAX);
    assert!(bulkhead.try_acquire().is_some());
    assert_eq!(bulkhead.used(), 1);
}

#[test]
fn a_limit_from_outside_counts_the_same_permits() {
    let bulkhead = Bulkhead::new(0);
    let one = bulkhead.try_acquire_below(1);
    assert!(one.is_some() && bulkhead.try_acquire_below(1).is_none());
    assert!(bulkhead.try_acquire_below(2).is_some());
}

#[test]
fn threads_never_pass_the_limit_together_and_lose_no_permit() {
    const LIMIT: u32 = 3;
    let bulkhead = Bulkhead::new(LIMIT);
    let (inside, most, admitted) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..20_000 {
                    let Some(_permit) = bulkhead.try_acquire() else { continue };
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    admitted.fetch_add(1, Ordering::SeqCst);
                    if round % 64 == 0 {
                        thread::yield_now();
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
        scope.spawn(|| {
            for round in 0..10_000 {
                bulkhead.set_limit(LIMIT - round % 2);
            }
            bulkhead.set_limit(LIMIT);
        });
    });
    assert!(most.into_inner() <= LIMIT);
    assert!(admitted.into_inner() > 0);
    assert_eq!((bulkhead.used(), bulkhead.limit()), (0, LIMIT));
}
