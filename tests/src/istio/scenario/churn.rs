//! A VirtualService and endpoints are rewritten twice a second under HTTP/1, HTTP/2 and long streams: none fails.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::{POOL, load, loads, marked, pool, row, sockets, under_load};
use crate::istio::call::Call;
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;

const URL: &str = "http://pool:9080/any";
const STREAMS: usize = 50;
const PACE: Duration = Duration::from_millis(500);

/// For so many seconds, with so many requests a second of each version of HTTP.
///
/// # Errors
/// When the mesh cannot be changed.
pub fn run(mesh: &mut Mesh, seconds: u64, per_second: u64) -> Result<Vec<Row>> {
    let (before, _) = mesh.change(|config| config.put(&[marked("pool", "0000")]))?;
    #[expect(clippy::cast_precision_loss, reason = "a minute or so")]
    let length = seconds as f64;
    let one = load(URL, per_second, 16, length);
    let mut two = load(URL, per_second, 4, length);
    let mut streams = Call::get(URL);
    if let Some(http) = &mut two.http {
        http.two = true;
    }
    if let Some(http) = &mut streams.http {
        http.headers.push(format!("x-app-stream-ms: {}", seconds.saturating_sub(2) * 1000));
    }
    (streams.times, streams.at_once) = (STREAMS, STREAMS);
    streams.limit_ms = seconds * 1000 + 20_000;
    let sockets = sockets(mesh, "sleep")?;
    let all = mesh.config.resource(POOL)?;
    let rows = thread::scope(|scope| {
        let (two, streams) = (&two, &streams);
        let others: Vec<_> = sockets
            .iter()
            .map(|socket| {
                let streams = scope.spawn(move || streams.answers(socket));
                (scope.spawn(move || two.outcome(socket)), streams)
            })
            .collect();
        let (outcomes, changes) =
            under_load(mesh, "sleep", &one, |mesh| rewrite(mesh, &all, seconds.saturating_sub(2)))?;
        let (mut twos, mut cells) = (Vec::new(), Vec::new());
        for (two, streams) in others {
            let panicked = |_| anyhow!("a load's thread panicked");
            let two = two.join().map_err(panicked)??;
            let streams = streams.join().map_err(panicked)??;
            let whole = streams.iter().filter(|a| a.status == 200 && a.end == "whole").count();
            let cell = format!("{whole} of {STREAMS} whole");
            twos.push(two);
            cells.push((cell.clone(), (whole < STREAMS).then_some(cell)));
        }
        let what = format!("HTTP/1, {changes} changes");
        let (worlds, limit) = (&mesh.worlds, (0, Some(0)));
        Ok::<_, anyhow::Error>(vec![
            loads("churn", &what, worlds, &outcomes, limit),
            loads("churn", "HTTP/2", worlds, &twos, limit),
            row("churn", "long streams", worlds, cells),
        ])
    })?;
    mesh.change(|config| {
        drop(config.put(&[all])?);
        config.restore(before)
    })?;
    Ok(rows)
}

/// Twice a second; the endpoint changes its weight, and is gone every fourth time. Returns how often.
fn rewrite(mesh: &mut Mesh, all: &Value, seconds: u64) -> Result<usize> {
    let end = Instant::now() + Duration::from_secs(seconds);
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
