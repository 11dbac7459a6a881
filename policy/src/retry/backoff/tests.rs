use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// Least and greatest of many waits before retry `number`, in ms.
fn bounds(back_off: BackOff, number: u32) -> (u128, u128) {
    let mut rng = StdRng::seed_from_u64(u64::from(number));
    let waits = (0..2000).map(|_| back_off.wait(number, &mut rng).as_millis());
    waits.fold((u128::MAX, 0), |(least, most), wait| (least.min(wait), most.max(wait)))
}

/// Envoy 1.40 with 150 requests of seven retries each waited at most 24.6, 40.9, 82.4, 158.3,
/// 198.9, 202.9, 207.6 ms, and with `max_interval` 70 ms at most 25.8, 42.7, 72.9, 73.9, … ms,
/// each with a few milliseconds of its own.
#[test]
fn the_bound_doubles_up_to_the_greatest_and_the_least_is_zero() {
    let ms = Duration::from_millis;
    let default_max = BackOff::new(ms(20), None);
    let low_max = BackOff::new(ms(20), Some(ms(70)));
    for (number, bound, low_bound) in [
        (1, 20, 20),
        (2, 40, 40),
        (3, 80, 70),
        (4, 160, 70),
        (5, 200, 70),
        (6, 200, 70),
        (7, 200, 70),
    ] {
        for (back_off, bound) in [(default_max, bound), (low_max, low_bound)] {
            let (least, most) = bounds(back_off, number);
            assert!(least <= bound / 50, "{number}: {least}");
            assert!((bound * 98 / 100..bound).contains(&most), "{number}: {most} of {bound}");
        }
    }
}

#[test]
fn any_back_off_is_harmless() {
    let mut rng = StdRng::seed_from_u64(1);
    let huge = BackOff::new(Duration::MAX, Some(Duration::ZERO));
    assert!(huge.wait(u32::MAX, &mut rng) <= Duration::from_nanos(u64::MAX));
    assert_eq!(BackOff::new(Duration::ZERO, None).wait(0, &mut rng), Duration::ZERO);
}

#[test]
fn an_upstream_is_believed_within_the_limit() {
    let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
    let back_off = RateLimitedBackOff {
        reset_headers: Box::new([
            (Name::new("Retry-After"), ResetFormat::Seconds),
            (Name::new("x-reset"), ResetFormat::UnixTimestamp),
        ]),
        max_interval: Duration::from_secs(3),
    };
    let mut rng = StdRng::seed_from_u64(1);
    for (lines, asked) in [
        (&[("retry-after", "1")][..], Some(1)),
        (&[("retry-after", " +3 ")], Some(3)),
        (&[("retry-after", "4")], None),
        (&[("retry-after", "0")], None),
        (&[("retry-after", "1.5")], None),
        (&[("retry-after", "99999999999999999999")], None),
        (&[("x-reset", "1000002")], Some(2)),
        (&[("x-reset", "999999")], None),
        (&[("x-reset", "5000000")], None),
        (&[("retry-after", "9"), ("x-reset", "1000003")], Some(3)),
        (&[("retry-after", "x"), ("x-reset", "1000003")], Some(3)),
        (&[], None),
    ] {
        let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let headers: Headers = lines.collect();
        for _ in 0..50 {
            let wait = back_off.wait(&headers, now, &mut rng).map(|wait| wait.as_secs_f64());
            match asked.map(f64::from) {
                None => assert_eq!(wait, None, "{headers:?}"),
                Some(asked) => assert!((asked..asked * 1.5).contains(&wait.unwrap())),
            }
        }
    }
}
