//! The control plane goes, comes back, hangs, is out of reach, or says something wrong: traffic does not notice.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::traffic::Traffic;
use super::{effective, load, loads, marked, row, under_load, within};
use crate::istio::call::{Answer, Call};
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;

const URL: &str = "http://ratings:9080/any";
const RATINGS: &str = "ratings.default.svc.cluster.local";
/// A change must be effective by then, counted from the writing of its file.
const EFFECTIVE: Duration = Duration::from_millis(600);
/// And by then, when the control plane had to be found again.
const FOUND_AGAIN: Duration = Duration::from_secs(20);

/// All of them; control planes are killed under so many requests a second of each version of HTTP.
///
/// # Errors
/// When the mesh cannot be changed.
pub fn run(mesh: &mut Mesh, per_second: u64) -> Result<Vec<Row>> {
    let mut rows = vec![synced(mesh)?];
    let (before, _) = mesh.change(|config| config.put(&[marked("ratings", "start")]))?;
    rows.extend(changed(mesh)?);
    rows.extend(killed(mesh, per_second)?);
    rows.extend(out_of_reach(mesh)?);
    rows.extend(agents_hang(mesh)?);
    rows.extend(wrong(mesh)?);
    mesh.change(|config| config.restore(before))?;
    Ok(rows)
}

fn is_marked(mark: &str) -> impl Fn(&Answer) -> bool + Sync + use<'_> {
    move |answer| answer.header("x-mark") == Some(mark)
}

/// Writes the mark and waits for it.
fn remark(mesh: &mut Mesh, mark: &str, limit: Duration) -> Result<Vec<Option<Duration>>> {
    let written = Instant::now();
    drop(mesh.config.put(&[marked("ratings", mark)])?);
    effective(mesh, "sleep", &Call::get(URL), written, limit, is_marked(mark))
}

fn synced(mesh: &Mesh) -> Result<Row> {
    let state = mesh.istiod.state()?;
    let behind = state.behind().join(", ");
    let all = state.is_synced(mesh.proxies());
    let cell = if all { "all types of all proxies" } else { "not all" }.to_owned();
    let why = (!all).then(|| format!("not acknowledged by: {behind}"));
    let cells = mesh.worlds.iter().map(|_| (cell.clone(), why.clone())).collect();
    Ok(row("control", "istiod's /debug/syncz", &mesh.worlds, cells))
}

/// On a machine that is too slow for either proxy, little more than the reference needs.
fn effective_by(times: &[Option<Duration>]) -> Duration {
    let reference = times.first().copied().flatten().unwrap_or_default();
    EFFECTIVE.max(reference + Duration::from_millis(100))
}

fn changed(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let mut worst: Vec<Option<Duration>> = vec![Some(Duration::ZERO); mesh.worlds.len()];
    for turn in 0..5 {
        let times = remark(mesh, &format!("turn-{turn}"), Duration::from_secs(5))?;
        for (worst, time) in worst.iter_mut().zip(times) {
            *worst = worst.zip(time).map(|(worst, time)| worst.max(time));
        }
    }
    let cells = within(&worst, effective_by(&worst));
    let first = row("control", "the slowest of five changes is effective", &mesh.worlds, cells);
    Ok(vec![first, subset(mesh)?])
}

/// A cluster that was not there is added where a route waits for it.
fn subset(mesh: &mut Mesh) -> Result<Row> {
    let route = json!({ "destination": { "host": RATINGS, "subset": "fresh" } });
    let before = mesh.config.put(&[json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "ratings", "namespace": "default" },
        "spec": { "hosts": [RATINGS], "http": [{ "route": [route] }] },
    })])?;
    let (call, start) = (Call::get(URL), Instant::now());
    let missing = effective(mesh, "sleep", &call, start, FOUND_AGAIN, |one| one.status == 503)?;
    let mut rule = mesh.config.resource("DestinationRule/default/ratings")?;
    if let Some(Value::Array(subsets)) = rule.pointer_mut("/spec/subsets") {
        subsets.push(json!({ "name": "fresh", "labels": { "version": "v2" } }));
    }
    let written = Instant::now();
    let before = mesh.config.put(&[rule])?.and(before);
    let there = effective(mesh, "sleep", &call, written, FOUND_AGAIN, |one| one.status == 200)?;
    mesh.change(|config| config.restore(before))?;
    let times: Vec<_> =
        missing.iter().zip(there).map(|(missing, time)| missing.and(time)).collect();
    Ok(row(
        "control",
        "a new subset is effective",
        &mesh.worlds,
        within(&times, effective_by(&times)),
    ))
}

fn killed(mesh: &mut Mesh, per_second: u64) -> Result<Vec<Row>> {
    let traffic = Traffic { url: URL, per_second, length: Duration::from_secs(16) };
    let (ends, times) = traffic.during(mesh, |mesh| {
        for _ in 0..3 {
            mesh.istiod.kill();
            thread::sleep(Duration::from_secs(1));
            mesh.istiod.revive()?;
            thread::sleep(Duration::from_secs(1));
        }
        remark(mesh, "after-kill", FOUND_AGAIN)
    })?;
    let mut rows = ends.rows("control", "istiod killed and started three times", &mesh.worlds);
    rows.push(row("control", "a change after that", &mesh.worlds, within(&times, FOUND_AGAIN)));
    Ok(rows)
}

fn out_of_reach(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let call = load(URL, 200, 8, 12.0);
    let (outcomes, times) = under_load(mesh, "sleep", &call, |mesh| {
        for world in &mesh.worlds {
            world.hub.cut(true)?;
        }
        let written = Instant::now();
        drop(mesh.config.put(&[marked("ratings", "half-open")])?);
        thread::sleep(Duration::from_secs(3));
        for world in &mesh.worlds {
            world.hub.cut(false)?;
        }
        effective(mesh, "sleep", &Call::get(URL), written, FOUND_AGAIN, is_marked("half-open"))
    })?;
    Ok(vec![
        loads(
            "control",
            "packets to istiod are dropped for 3 s",
            &mesh.worlds,
            &outcomes,
            (0, Some(0)),
        ),
        row("control", "a change written meanwhile", &mesh.worlds, within(&times, FOUND_AGAIN)),
    ])
}

fn agents_hang(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let call = load(URL, 200, 8, 10.0);
    let stall = |mesh: &Mesh, stalled| -> Result<()> {
        for pod in mesh.worlds.iter().flat_map(|world| &world.pods).filter(|pod| pod.has_proxy()) {
            pod.stall_agent(stalled)?;
        }
        Ok(())
    };
    let (outcomes, times) = under_load(mesh, "sleep", &call, |mesh| {
        stall(mesh, true)?;
        let written = Instant::now();
        drop(mesh.config.put(&[marked("ratings", "agents")])?);
        thread::sleep(Duration::from_secs(3));
        stall(mesh, false)?;
        effective(mesh, "sleep", &Call::get(URL), written, FOUND_AGAIN, is_marked("agents"))
    })?;
    Ok(vec![
        loads("control", "every agent hangs for 3 s", &mesh.worlds, &outcomes, (0, Some(0))),
        row("control", "a change written while it hung", &mesh.worlds, within(&times, FOUND_AGAIN)),
    ])
}

/// A filter that no proxy has, in the routes' own listener: refused by name, and what was there stays.
fn nonsense() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
        "metadata": { "name": "nonsense", "namespace": "default" },
        "spec": { "workloadSelector": { "labels": { "app": "sleep" } }, "configPatches": [{
            "applyTo": "VIRTUAL_HOST",
            "match": { "context": "SIDECAR_OUTBOUND", "routeConfiguration": { "vhost": { "name": "ratings.default.svc.cluster.local:9080" } } },
            "patch": { "operation": "MERGE", "value": { "retry_policy": {
                "retry_on": "5xx",
                "retry_back_off": { "base_interval": "2s", "max_interval": "1s" },
            } } },
        }] },
    })
}

fn wrong(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let call = load(URL, 200, 8, 10.0);
    let (outcomes, (held_back, times)) = under_load(mesh, "sleep", &call, |mesh| {
        let before = mesh.config.put(&[nonsense(), marked("ratings", "with-nonsense")])?;
        thread::sleep(Duration::from_secs(2));
        let kept: Vec<bool> = mesh
            .worlds
            .iter()
            .map(|world| {
                let answers = world.pod("sleep")?.answers(&Call::get(URL))?;
                Ok(answers.first().is_some_and(|answer| {
                    answer.status == 200 && !is_marked("with-nonsense")(answer)
                }))
            })
            .collect::<Result<_>>()?;
        mesh.config.restore(before)?;
        Ok((kept, remark(mesh, "sense", FOUND_AGAIN)?))
    })?;
    let kept = held_back
        .iter()
        .map(|kept| {
            let cell = if *kept { "the last good one stays" } else { "taken" };
            (cell.to_owned(), (!kept).then(|| "a wrong route table was taken".to_owned()))
        })
        .collect();
    Ok(vec![
        loads("control", "a wrong route table is pushed", &mesh.worlds, &outcomes, (0, Some(0))),
        row("control", "and refused", &mesh.worlds, kept),
        row("control", "a good one after it", &mesh.worlds, within(&times, FOUND_AGAIN)),
    ])
}
