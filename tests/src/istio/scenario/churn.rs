//! A VirtualService and endpoints are rewritten twice a second under HTTP/1, HTTP/2 and long streams: none fails.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::traffic::Traffic;
use super::{POOL, marked, pool};
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;

const URL: &str = "http://pool:9080/any";
const PACE: Duration = Duration::from_millis(500);
/// Changes end so long before the load.
const MARGIN: Duration = Duration::from_secs(2);

/// For so long, with so many requests a second of each version of HTTP.
///
/// # Errors
/// When the mesh cannot be changed.
pub fn run(mesh: &mut Mesh, length: Duration, per_second: u64) -> Result<Vec<Row>> {
    let (before, _) = mesh.change(|config| config.put(&[marked("pool", "0000")]))?;
    let all = mesh.config.resource(POOL)?;
    let traffic = Traffic { url: URL, per_second, length };
    let (ends, changes) =
        traffic.during(mesh, |mesh| rewrite(mesh, &all, length.saturating_sub(MARGIN)))?;
    mesh.change(|config| {
        drop(config.put(&[all])?);
        config.restore(before)
    })?;
    Ok(ends.rows("churn", &format!("{changes} changes"), &mesh.worlds))
}

/// Twice a second; the endpoint changes its weight, and is gone every fourth time. Returns how often.
fn rewrite(mesh: &mut Mesh, all: &Value, length: Duration) -> Result<usize> {
    let end = Instant::now() + length;
    let mut turn = 0;
    while Instant::now() < end {
        let next = Instant::now() + PACE;
        turn += 1;
        drop(mesh.config.put(&[marked("pool", &format!("{turn:04}"))])?);
        let rest = pool(all, |address| turn % 4 != 0 || address.ends_with('1'), 1 + turn % 4);
        drop(mesh.config.put(&[rest])?);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(turn)
}
