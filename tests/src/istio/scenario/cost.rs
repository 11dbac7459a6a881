//! CPU time of both sidecars for one request: mTLS, authorization by identity, a JSON log on either side. The worlds take turns, so that none takes
//! the other's share of the machine.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::load;
use crate::istio::compare::{Row, Verdict};
use crate::istio::mesh::Mesh;
use crate::istio::world::World;

pub const PODS: [&str; 2] = ["sleep", "httpbin"];
const URL: &str = "http://httpbin:8000/info";
const RATE: u64 = 2_000;
const CONNECTIONS: usize = 16;
const SECONDS: f64 = 4.0;
const ROUNDS: usize = 3;

/// Microseconds for one request in each world.
///
/// # Errors
/// When a request fails or a proxy has gone.
pub fn measure(mesh: &Mesh) -> Result<Vec<f64>> {
    let mut spent = vec![(Duration::ZERO, 0); mesh.worlds.len()];
    for world in &mesh.worlds {
        let _warmed = requests(world, 1.0)?;
    }
    for _ in 0..ROUNDS {
        for (spent, world) in spent.iter_mut().zip(&mesh.worlds) {
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

/// The row of one measurement: the first figure is the reference, the last one may be this part of it.
///
/// # Errors
/// Without figures.
pub fn row(what: &str, figures: &[f64], limit: f64) -> Result<Row> {
    let (reference, last) =
        (figures.first().context("no figure")?, figures.last().context("no figure")?);
    let share = last / reference;
    let cells: Vec<String> =
        figures.iter().map(|figure| format!("{figure:.0} µs, {:.2}", figure / reference)).collect();
    let why = || format!("{share:.2} of Envoy's, more than {limit}");
    Ok(Row {
        group: "cost".into(),
        check: what.into(),
        verdict: if share > limit { Verdict::Different(why()) } else { Verdict::Equal },
        pages: cells.iter().map(|cell| vec![cell.clone()]).collect(),
        cells,
    })
}
