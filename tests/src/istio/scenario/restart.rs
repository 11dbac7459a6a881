//! One of two server pods is restarted under load, as Kubernetes does it, or worse.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::{POOL, load, loads, marked, pool, under_load};
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;

const SERVER: &str = "ratings-v1";
const URL: &str = "http://pool:9080/any";
const RATE: u64 = 1_000;
const CONNECTIONS: usize = 8;
const READY: Duration = Duration::from_secs(20);

/// # Errors
/// When the mesh cannot be changed, or a pod does not come back.
pub fn run(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let (before, _) = mesh.change(|config| config.put(&[marked("pool", "restart")]))?;
    let call = load(URL, RATE, CONNECTIONS, 14.0);
    let mut rows = Vec::new();
    for (what, limit, is_withdrawn, at_once) in [
        ("drained, its endpoint withdrawn", 0, true, false),
        ("drained, its endpoint left in place", 3, false, false),
        ("killed at once", CONNECTIONS as u64, false, true),
    ] {
        let (outcomes, ()) = under_load(mesh, "sleep", &call, |mesh| {
            let address = mesh.worlds.first().map(|world| world.pod(SERVER)).transpose()?;
            let address = address.map(|pod| pod.spec.ip.clone()).unwrap_or_default();
            let rest = pool(&mesh.config.resource(POOL)?, |one| one != address, 1);
            let withdrawn = is_withdrawn.then(|| mesh.config.put(&[rest])).transpose()?;
            for world in &mut mesh.worlds {
                let pod = world.pod_mut(SERVER)?;
                if at_once {
                    pod.kill();
                }
            }
            if !at_once {
                terminate(mesh)?;
            }
            thread::sleep(Duration::from_secs(1));
            for world in &mut mesh.worlds {
                let pod = world.pod_mut(SERVER)?;
                pod.start_agent()?;
                pod.wait_ready(READY)?;
            }
            withdrawn.map_or(Ok(()), |before| mesh.config.restore(before))
        })?;
        // On a machine so slow that more is in flight, no more than half of what the reference loses.
        let of_reference = outcomes.first().map_or(0, |outcome| outcome.failed() / 2);
        let limit = if limit > 0 { limit.max(of_reference) } else { limit };
        rows.push(loads("restart", what, &mesh.worlds, &outcomes, (limit, None)));
        // Connections and endpoints of the next one are whole again.
        thread::sleep(Duration::from_secs(1));
    }
    mesh.change(|config| config.restore(before))?;
    Ok(rows)
}

/// The agents of all worlds at once: each takes the time of its drain.
fn terminate(mesh: &mut Mesh) -> Result<()> {
    thread::scope(|scope| {
        let all: Vec<_> = mesh
            .worlds
            .iter_mut()
            .map(|world| scope.spawn(move || world.pod_mut(SERVER)?.terminate()))
            .collect();
        all.into_iter()
            .try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })
}
