//! CPU time of both sidecars for one request: mTLS, authorization by identity, a JSON log on either side. The worlds take turns, so that none takes
//! another's share of the machine, and short ones, so that what else the machine does is in all figures.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::load;
use crate::istio::compare::{Row, Verdict};
use crate::istio::world::World;

pub const PODS: [&str; 2] = ["sleep", "httpbin"];
const URL: &str = "http://httpbin:8000/info";
const RATE: u64 = 2_000;
const CONNECTIONS: usize = 16;
const SECONDS: f64 = 2.0;
const ROUNDS: usize = 6;

/// Microseconds for one request in each world.
///
/// # Errors
/// When a request fails or a proxy has gone.
pub fn measure(worlds: &[&World]) -> Result<Vec<f64>> {
    let mut spent = vec![(Duration::ZERO, 0); worlds.len()];
    for world in worlds {
        let _warmed = requests(world, 1.0)?;
    }
    for _ in 0..ROUNDS {
        for (spent, world) in spent.iter_mut().zip(worlds) {
            let before = cpu(world)?;
            spent.1 += requests(world, SECONDS)?;
            spent.0 += cpu(world)?.saturating_sub(before);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "for reading")]
    Ok(spent.into_iter().map(|(time, count)| time.as_secs_f64() * 1e6 / count as f64).collect())
}

fn requests(world: &World, seconds: f64) -> Result<u64> {
    let outcome = load(URL, RATE, CONNECTIONS, seconds).outcome(world.pod("sleep")?.socket())?;
    let (total, failed) = (outcome.total(), outcome.failed());
    ensure!(failed == 0 && total > 0, "{}: {failed} of {total} failed", world.name);
    Ok(total)
}

fn cpu(world: &World) -> Result<Duration> {
    PODS.iter().map(|name| world.pod(name)?.proxy()?.cpu()).sum()
}

/// The row of one measurement beside its reference, of which it may be this part.
pub fn row(what: &str, [reference, own]: [f64; 2], limit: f64) -> Row {
    let share = own / reference;
    let cells = vec![format!("{reference:.0} µs"), format!("{own:.0} µs, {share:.2}")];
    let why = || format!("{share:.2} of Envoy's, more than {limit}");
    Row {
        group: "cost".into(),
        check: what.into(),
        verdict: if share > limit { Verdict::Different(why()) } else { Verdict::Equal },
        pages: cells.iter().map(|cell| vec![cell.clone()]).collect(),
        cells,
    }
}
