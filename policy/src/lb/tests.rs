//! Whole picks, compared with what Envoy 1.40 did: one worker, static clusters, 1200 requests one after
//! the other, hosts numbered 0… in priority or locality 0 and 10… in priority or locality 1.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Health::{Degraded as D, Healthy as H, Unhealthy as U};
use super::*;

const REQUESTS: u32 = 1200;

#[derive(Debug)]
struct Host {
    id: u32,
    weight: u32,
    health: Health,
    active: AtomicU64,
}

impl Target for Host {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn health(&self) -> Health {
        self.health
    }

    fn active_requests(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }
}

/// A locality of hosts `(weight, health)`, numbered from `base`.
fn locality(weight: u32, base: u32, hosts: &[(u32, Health)]) -> Locality<Host> {
    let host =
        |(id, &(weight, health))| Arc::new(Host { id, weight, health, active: AtomicU64::new(0) });
    Locality { weight, hosts: (base..).zip(hosts).map(host).collect() }
}

/// Priorities of hosts of weight 1.
fn priorities(health: &[&[Health]]) -> Vec<Vec<Locality<Host>>> {
    let one = |(at, hosts): (u32, &&[Health])| {
        let hosts: Vec<_> = hosts.iter().map(|health| (1, *health)).collect();
        vec![locality(1, at * 10, &hosts)]
    };
    (0..).zip(health).map(one).collect()
}

/// One priority of localities `(weight, hosts)`.
fn localities(parts: &[(u32, &[(u32, Health)])]) -> Vec<Vec<Locality<Host>>> {
    let one =
        |(at, (weight, hosts)): (u32, &(u32, &[(u32, Health)]))| locality(*weight, at * 10, hosts);
    vec![(0..).zip(parts).map(one).collect()]
}

fn with(policy: Policy) -> Settings {
    Settings { policy, ..Settings::default() }
}

fn least_request() -> Policy {
    Policy::LeastRequest(LeastRequest::default())
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// Picks per host.
fn spread(settings: &Settings, hosts: &[Vec<Locality<Host>>]) -> BTreeMap<u32, u32> {
    let balancer = Balancer::new(settings, hosts);
    let (mut cursor, mut rng) = (Cursor::new(), rng());
    let mut counts = BTreeMap::new();
    for _ in 0..REQUESTS {
        let pick = balancer.pick(&mut cursor, &mut rng, |_| false, 0).unwrap();
        *counts.entry(pick.host.id).or_default() += 1;
    }
    counts
}

/// Holds if both could come from the same distribution: five standard deviations of each count's
/// difference, or `slack` picks for what takes turns.
fn assert_like_envoy(
    name: &str,
    slack: Option<u32>,
    ours: &BTreeMap<u32, u32>,
    envoys: &[(u32, u32)],
) {
    let hosts: Vec<u32> = envoys.iter().map(|(id, _)| *id).collect();
    assert_eq!(ours.keys().copied().collect::<Vec<_>>(), hosts, "{name}");
    for ((id, ours), (_, envoys)) in ours.iter().zip(envoys) {
        let share = f64::from(*envoys) / f64::from(REQUESTS);
        let deviation = (2.0 * f64::from(REQUESTS) * share * (1.0 - share)).sqrt();
        let allowed = slack.map_or(5.0 * deviation, f64::from);
        assert!(f64::from(ours.abs_diff(*envoys)) <= allowed, "{name} {id}: {ours} for {envoys}");
    }
}

#[test]
fn hosts_of_a_list_get_the_shares_that_envoy_gives() {
    let equal: &[(u32, Health)] = &[(1, H), (1, H), (1, H), (1, H)];
    let steps: &[(u32, Health)] = &[(1, H), (2, H), (3, H)];
    let tenth: &[(u32, Health)] = &[(1, H), (9, H)];
    let rr = || Policy::RoundRobin(RoundRobin);
    let random = || Policy::Random(Random);
    type Row<'a> = (Policy, &'a [(u32, Health)], Option<u32>, &'a [u32]);
    let rows: [Row<'_>; 9] = [
        (rr(), equal, Some(0), &[300, 300, 300, 300]),
        (rr(), steps, Some(2), &[200, 400, 600]),
        (rr(), tenth, Some(2), &[120, 1080]),
        (least_request(), equal, None, &[268, 292, 338, 302]),
        (least_request(), steps, Some(2), &[200, 399, 601]),
        (least_request(), tenth, Some(2), &[120, 1080]),
        (random(), equal, None, &[276, 292, 314, 318]),
        (random(), steps, None, &[409, 368, 423]),
        (random(), tenth, None, &[598, 602]),
    ];
    for (policy, hosts, slack, envoys) in rows {
        let name = format!("{policy:?} {hosts:?}");
        let counts = spread(&with(policy), &localities(&[(1, hosts)]));
        let envoys: Vec<(u32, u32)> = (0..).zip(envoys.iter().copied()).collect();
        assert_like_envoy(&name, slack, &counts, &envoys);
    }
}

#[test]
fn priorities_and_panic_spread_requests_as_in_envoy() {
    type Row<'a> = (&'a str, &'a [&'a [Health]], &'a [(u32, u32)]);
    let rows: &[Row<'_>] = &[
        (
            "70 to 30",
            &[&[H, H, U, U], &[H; 4]],
            &[(0, 421), (1, 421), (10, 89), (11, 90), (12, 90), (13, 89)],
        ),
        (
            "35 to 65",
            &[&[H, U, U, U], &[H; 4]],
            &[(0, 404), (10, 199), (11, 199), (12, 199), (13, 199)],
        ),
        (
            "three",
            &[&[H, U, U, U, U], &[H, U, U, U, U], &[H; 2]],
            &[(0, 344), (10, 343), (20, 256), (21, 257)],
        ),
        ("panic", &[&[H, U, U, U]], &[(0, 300), (1, 300), (2, 300), (3, 300)]),
        ("none healthy", &[&[U; 4]], &[(0, 300), (1, 300), (2, 300), (3, 300)]),
        ("total panic", &[&[U], &[U; 3]], &[(0, 284), (10, 305), (11, 306), (12, 305)]),
        (
            "panic of one priority only",
            &[&[U; 5], &[H, H, H, U, U]],
            &[(10, 400), (11, 400), (12, 400)],
        ),
        ("degraded", &[&[H, D, D, D]], &[(0, 418), (1, 261), (2, 261), (3, 260)]),
        (
            "spill before degraded",
            &[&[H, D, U, U], &[H, U, U, U]],
            &[(0, 409), (1, 394), (10, 397)],
        ),
        ("degraded alone", &[&[D, D]], &[(0, 600), (1, 600)]),
        ("empty first priority", &[&[], &[H; 2]], &[(10, 600), (11, 600)]),
    ];
    for (name, hosts, envoys) in rows {
        let counts = spread(&Settings::default(), &priorities(hosts));
        assert_like_envoy(name, None, &counts, envoys);
    }
    let heavy_is_down: &[(u32, Health)] = &[(1, H), (3, U)];
    let by_weight = Settings { weighted_priority_health: true, ..Settings::default() };
    let hosts = vec![vec![locality(1, 0, heavy_is_down)], vec![locality(1, 10, &[(1, H), (1, H)])]];
    let envoys = [(0, 408), (10, 396), (11, 396)];
    assert_like_envoy("health by weight", None, &spread(&by_weight, &hosts), &envoys);
}

#[test]
fn localities_share_a_priority_as_in_envoy() {
    let two: &[(u32, Health)] = &[(1, H), (1, H)];
    let half: &[(u32, Health)] = &[(1, H), (1, U)];
    let uneven: &[(u32, Health)] = &[(1, H), (3, H)];
    let degraded: &[(u32, Health)] = &[(1, D), (1, D)];
    type Row<'a> = (bool, [(u32, &'a [(u32, Health)]); 2], &'a [(u32, u32)]);
    let rows: [Row<'_>; 7] = [
        (true, [(1, two), (3, two)], &[(0, 150), (1, 150), (10, 450), (11, 450)]),
        (false, [(1, two), (3, two)], &[(0, 300), (1, 300), (10, 300), (11, 300)]),
        (true, [(1, half), (1, two)], &[(0, 494), (10, 353), (11, 353)]),
        (true, [(1, two), (0, two)], &[(0, 600), (1, 600)]),
        (true, [(0, two), (0, two)], &[(0, 300), (1, 300), (10, 300), (11, 300)]),
        (true, [(1, uneven), (1, two)], &[(0, 150), (1, 450), (10, 300), (11, 300)]),
        (true, [(1, degraded), (3, degraded)], &[(0, 150), (1, 150), (10, 450), (11, 450)]),
    ];
    for (locality_weighted, parts, envoys) in rows {
        let settings = Settings { locality_weighted, ..Settings::default() };
        let counts = spread(&settings, &localities(&parts));
        assert_like_envoy(&format!("{parts:?}"), Some(2), &counts, envoys);
    }
}

#[test]
fn a_pick_tells_its_reason_and_a_failed_one_its_cause() {
    let pick = |settings: &Settings, hosts: &[Vec<Locality<Host>>]| {
        let balancer = Balancer::new(settings, hosts);
        balancer.pick(&mut Cursor::new(), &mut rng(), |_| false, 0).map(|pick| pick.reason)
    };
    let (healthy, in_panic) = (Availability::Healthy, true);
    let plain = Reason { priority: 0, availability: healthy, in_panic: false, locality: None };
    let defaults = Settings::default();
    assert_eq!(pick(&defaults, &priorities(&[&[H]])), Ok(plain));
    assert_eq!(pick(&defaults, &priorities(&[&[], &[H]])), Ok(Reason { priority: 1, ..plain }));
    assert_eq!(pick(&defaults, &priorities(&[&[U]])), Ok(Reason { in_panic, ..plain }));
    let degraded = Reason { availability: Availability::Degraded, ..plain };
    assert_eq!(pick(&defaults, &priorities(&[&[D]])), Ok(degraded));

    let weighted = Settings { locality_weighted: true, ..Settings::default() };
    let second_only = localities(&[(0, &[(1, H)]), (1, &[(1, H)])]);
    assert_eq!(pick(&weighted, &second_only), Ok(Reason { locality: Some(1), ..plain }));

    let failing = Settings { fail_traffic_on_panic: true, ..Settings::default() };
    let never = Settings { panic_threshold_percent: 0, ..Settings::default() };
    assert_eq!(pick(&failing, &priorities(&[&[H, U, U, U]])), Err(NoHost::FailedOnPanic));
    assert_eq!(pick(&never, &priorities(&[&[U, U]])), Err(NoHost::NoneHealthy));
    assert_eq!(pick(&defaults, &priorities(&[&[], &[]])), Err(NoHost::Empty));
    assert_eq!(pick(&defaults, &[]), Err(NoHost::Empty));
}

#[test]
fn a_busy_host_is_passed_over_and_a_busy_heavy_one_gets_less() {
    let hosts = localities(&[(1, &[(1, H), (1, H)])]);
    hosts[0][0].hosts[0].active.store(5, Ordering::Relaxed);
    let counts = spread(&with(least_request()), &hosts);
    // Only when both choices fall on the busy one.
    assert_like_envoy("equal", None, &counts, &[(0, 300), (1, 900)]);

    let hosts = localities(&[(1, &[(2, H), (1, H)])]);
    hosts[0][0].hosts[0].active.store(3, Ordering::Relaxed);
    for (bias, envoys) in
        [(1.0, [(0, 400), (1, 800)]), (0.0, [(0, 800), (1, 400)]), (0.5, [(0, 600), (1, 600)])]
    {
        let policy = Policy::LeastRequest(LeastRequest::new(2, bias));
        assert_like_envoy("weighted", Some(2), &spread(&with(policy), &hosts), &envoys);
    }
}

#[test]
fn an_avoided_host_is_taken_only_when_there_is_no_other() {
    let hosts = priorities(&[&[H; 3]]);
    let balancer = Balancer::new(&Settings::default(), &hosts);
    let (mut cursor, mut rng) = (Cursor::new(), rng());
    let mut pick = |avoided: &[u32], attempts| {
        let avoid = |host: &Host| avoided.contains(&host.id);
        balancer.pick(&mut cursor, &mut rng, avoid, attempts).unwrap().host.id
    };
    for _ in 0..100 {
        assert_eq!(pick(&[0, 1], 1), 2, "although one choice more is not always enough");
        let first = pick(&[], 0);
        assert_eq!(pick(&[0, 1, 2], 5), (first + 6) % 3, "the last of six choices in turn");
        assert_eq!(pick(&[(first + 1) % 3], u32::MAX), (first + 2) % 3);
        assert!(pick(&[0, 1, 2], u32::MAX) < 3);
    }
}

#[test]
fn the_least_loaded_host_is_not_tried_again_and_again() {
    let hosts = priorities(&[&[H; 2]]);
    hosts[0][0].hosts[1].active.store(9, Ordering::Relaxed);
    let policy = Policy::LeastRequest(LeastRequest::new(2, 1.0));
    let balancer = Balancer::new(&Settings { policy, ..Settings::default() }, &hosts);
    let (mut cursor, mut rng) = (Cursor::new(), rng());
    let mut pick = |avoided: &[u32]| {
        let avoid = |host: &Host| avoided.contains(&host.id);
        balancer.pick(&mut cursor, &mut rng, avoid, 5).unwrap().host.id
    };
    for _ in 0..1000 {
        assert_eq!(pick(&[0]), 1);
        assert!(pick(&[0, 1]) < 2);
    }
}

#[test]
fn a_rotation_goes_on_when_the_host_set_changes() {
    let hosts = priorities(&[&[H; 3]]);
    let (mut cursor, mut rng) = (Cursor::new(), rng());
    let mut counts = [0_u32; 3];
    for _ in 0..30 {
        let balancer = Balancer::new(&Settings::default(), &hosts);
        let pick = balancer.pick(&mut cursor, &mut rng, |_| false, 0).unwrap();
        counts[pick.host.id as usize] += 1;
    }
    assert_eq!(counts, [10, 10, 10]);
    let fewer = priorities(&[&[H; 1]]);
    let balancer = Balancer::new(&Settings::default(), &fewer);
    assert_eq!(balancer.pick(&mut cursor, &mut rng, |_| false, 0).unwrap().host.id, 0);
}

#[test]
fn two_lists_do_not_share_one_rotation() {
    // With one index for both, localities that alternate would each serve from every other host.
    let two: &[(u32, Health)] = &[(1, H), (1, H)];
    let settings = Settings { locality_weighted: true, ..Settings::default() };
    let counts = spread(&settings, &localities(&[(1, two), (1, two)]));
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [300, 300, 300, 300]);
}

#[test]
fn any_configuration_of_a_policy_is_harmless() {
    for (choices, bias) in [(0, -1.0), (u32::MAX, f64::NAN), (2, f64::INFINITY), (1, f64::MAX)] {
        let policy = Policy::LeastRequest(LeastRequest::new(choices, bias));
        let hosts = localities(&[(1, &[(0, H), (u32::MAX, H)])]);
        hosts[0][0].hosts[0].active.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(spread(&with(policy), &hosts).into_values().sum::<u32>(), REQUESTS);
    }
}

#[test]
fn every_file_of_the_folder_is_a_policy_or_a_known_part() {
    const PARTS: &[&str] = &[
        "balancer", "compile", "cursor", "locality", "mod", "panic", "priority", "schedule",
        "tests",
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lb");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|stem| !PARTS.contains(&stem.as_str()))
        .collect();
    files.sort_unstable();
    let mut policies = POLICY_FILES.to_vec();
    policies.sort_unstable();
    assert_eq!(files, policies);
    for (file, name) in POLICY_FILES.iter().zip(Policy::NAMES) {
        assert_eq!(*name, format!("envoy.load_balancing_policies.{file}"));
    }
    assert_eq!(Policy::default().name(), Policy::NAMES[0]);
}
