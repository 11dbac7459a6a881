//! What must hold while things break. Each scenario runs in all worlds at once; the limits are Outrigger's, Envoy's figures stand beside them.

pub mod churn;
pub mod control;
pub mod cost;
pub mod dashboards;
pub mod plaintext;
pub mod restart;
pub mod rotation;
pub mod secrets;
pub mod start;
pub mod traffic;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::call::{Call, Load, Outcome};
use super::compare::{Row, Verdict};
use super::mesh::Mesh;
use super::world::World;

/// A row whose verdict is what `limit` says of each world but the first, the reference; or of that if it is alone.
pub fn row(
    scenario: &str,
    what: &str,
    worlds: &[World],
    cells: Vec<(String, Option<String>)>,
) -> Row {
    let reference = usize::from(worlds.len() > 1);
    let broken = cells.iter().skip(reference).find_map(|(_, why)| why.clone());
    Row {
        group: scenario.into(),
        check: what.into(),
        verdict: broken.map_or(Verdict::Equal, Verdict::Different),
        pages: cells.iter().map(|(cell, _)| vec![cell.clone()]).collect(),
        cells: cells.into_iter().map(|(cell, _)| cell).collect(),
    }
}

/// Runs a load from a pod in every world, and meanwhile `disturb`.
///
/// # Errors
/// When the disturbance fails or the call is wrong.
pub fn under_load<T>(
    mesh: &mut Mesh,
    from: &str,
    call: &Call,
    disturb: impl FnOnce(&mut Mesh) -> Result<T>,
) -> Result<(Vec<Outcome>, T)> {
    let sockets = sockets(mesh, from)?;
    thread::scope(|scope| {
        let loads: Vec<_> =
            sockets.into_iter().map(|socket| scope.spawn(move || call.outcome(&socket))).collect();
        // Connections first.
        thread::sleep(Duration::from_secs(1));
        let done = disturb(mesh);
        let outcomes = loads
            .into_iter()
            .map(|load| load.join().map_err(|_| anyhow!("a load's thread panicked"))?)
            .collect::<Result<Vec<_>>>()?;
        Ok((outcomes, done?))
    })
}

/// The socket of one pod's application in each world.
///
/// # Errors
/// When there is no such pod.
pub fn sockets(mesh: &Mesh, pod: &str) -> Result<Vec<PathBuf>> {
    mesh.worlds.iter().map(|world| Ok(world.pod(pod)?.socket().to_owned())).collect()
}

/// GETs of this URL at a steady rate.
pub fn load(url: &str, per_second: u64, connections: usize, seconds: f64) -> Call {
    Call { load: Some(Load { per_second, connections, seconds }), ..Call::get(url) }
}

/// The cell of a load that may fail so often, and lose so many connections.
fn held(outcome: &Outcome, failures: u64, drained: Option<u64>) -> (String, Option<String>) {
    let cell = format!(
        "{} requests, {} failed, {} drained",
        outcome.total(),
        outcome.failed(),
        outcome.drained
    );
    let too_many =
        outcome.failed() > failures || drained.is_some_and(|limit| outcome.drained > limit);
    let why = || format!("{cell}\n{}", outcome.failures.join("\n"));
    (cell.clone(), (too_many || outcome.total() == 0).then(why))
}

/// The row of a load in every world, whose pages are the failures.
pub fn loads(
    scenario: &str,
    what: &str,
    worlds: &[World],
    outcomes: &[Outcome],
    (failures, drained): (u64, Option<u64>),
) -> Row {
    let cells = outcomes.iter().map(|outcome| held(outcome, failures, drained)).collect();
    let pages = outcomes.iter().map(|outcome| outcome.failures.clone()).collect();
    Row { pages, ..row(scenario, what, worlds, cells) }
}

/// Polls one call in every world until the answer is as wanted; how long that took in each.
///
/// # Errors
/// When the call is wrong.
pub fn effective(
    mesh: &Mesh,
    from: &str,
    call: &Call,
    since: Instant,
    limit: Duration,
    is_wanted: impl Fn(&super::call::Answer) -> bool + Sync,
) -> Result<Vec<Option<Duration>>> {
    let sockets = sockets(mesh, from)?;
    let is_wanted = &is_wanted;
    thread::scope(|scope| {
        let polls: Vec<_> = sockets
            .into_iter()
            .map(|socket| {
                scope.spawn(move || {
                    while since.elapsed() < limit {
                        if call.answers(&socket)?.first().is_some_and(is_wanted) {
                            return Ok(Some(since.elapsed()));
                        }
                        thread::sleep(Duration::from_millis(10));
                    }
                    Ok(None)
                })
            })
            .collect();
        polls
            .into_iter()
            .map(|poll| poll.join().map_err(|_| anyhow!("a poll's thread panicked"))?)
            .collect()
    })
}

/// The cells of [`effective`], with the time that is allowed.
pub fn within(times: &[Option<Duration>], limit: Duration) -> Vec<(String, Option<String>)> {
    times
        .iter()
        .map(|time| match time {
            Some(time) => {
                let cell = format!("{:.2} s", time.as_secs_f64());
                let late = *time > limit;
                (cell.clone(), late.then(|| format!("{cell}, more than {} s", limit.as_secs_f64())))
            }
            None => ("never".into(), Some("never".into())),
        })
        .collect()
}

/// A VirtualService that sends every request for `host` to it, with this response header.
pub fn marked(host: &str, mark: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": host, "namespace": "default" },
        "spec": { "hosts": [format!("{host}.default.svc.cluster.local")], "http": [{
            "headers": { "response": { "set": { "x-mark": mark } } },
            "route": [{ "destination": { "host": format!("{host}.default.svc.cluster.local") } }],
        }] },
    })
}

/// The service whose endpoints scenarios change.
pub const POOL: &str = "ServiceEntry/default/pool";

/// [`POOL`] with only those of its endpoints that are wanted by their address, all of this weight.
pub fn pool(all: &Value, is_wanted: impl Fn(&str) -> bool, weight: usize) -> Value {
    let mut pool = all.clone();
    if let Some(Value::Array(endpoints)) = pool.pointer_mut("/spec/endpoints") {
        endpoints.retain(|one| one.get("address").and_then(Value::as_str).is_some_and(&is_wanted));
        for one in endpoints.iter_mut().filter_map(Value::as_object_mut) {
            one.insert("weight".into(), weight.into());
        }
    }
    pool
}
