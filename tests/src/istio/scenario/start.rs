//! How long a pod's proxy takes from its agent's start until it is ready, alone on the machine, and what it holds in memory with a rich configuration.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::row;
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;
use crate::istio::pod::Pod;

/// A sidecar and a gateway.
pub const PODS: [&str; 2] = ["sleep", "ingress"];
const TIMES: u32 = 3;
const READY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);
/// What was needed for the start has been given back by then.
const AT_REST: Duration = Duration::from_secs(3);
const MEMORY_MIB: f64 = 18.0;

/// # Errors
/// When a pod does not become ready at all, or is before it has its configuration.
pub fn run(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in PODS {
        let mut cells = Vec::new();
        for world in &mut mesh.worlds {
            let mut slowest = Duration::ZERO;
            for _ in 0..TIMES {
                let pod = world.pod_mut(name)?;
                pod.terminate()?;
                pod.start_agent()?;
                slowest = slowest.max(pod.wait_ready(PATIENCE)?);
                warmed(pod)?;
            }
            let cell = format!("{:.2} s", slowest.as_secs_f64());
            cells.push((cell.clone(), (slowest > READY).then_some(cell)));
        }
        rows.push(row(
            "start",
            &format!("{name}: ready, the slowest of {TIMES}"),
            &mesh.worlds,
            cells,
        ));
    }
    thread::sleep(AT_REST);
    for name in PODS {
        let mut cells = Vec::new();
        for world in &mesh.worlds {
            #[expect(clippy::cast_precision_loss, reason = "for reading")]
            let mib = world.pod(name)?.proxy()?.memory()? as f64 / f64::from(1 << 20);
            let cell = format!("{mib:.1} MiB");
            cells.push((cell.clone(), (mib > MEMORY_MIB).then_some(cell)));
        }
        rows.push(row("start", &format!("{name}: memory (PSS)"), &mesh.worlds, cells));
    }
    Ok(rows)
}

/// Whoever is ready has every listener and cluster that istiod has for it.
fn warmed(pod: &Pod) -> Result<()> {
    let stats = pod.admin("stats?filter=warming|init_fetch")?;
    let page = pod.admin("config_dump?resource=dynamic_listeners")?;
    let page: serde_json::Value = serde_json::from_str(&page)?;
    let listeners = page.get("configs").and_then(|configs| configs.as_array()).context(stats)?;
    let active = listeners.iter().filter(|one| one.get("active_state").is_some()).count();
    ensure!(
        active > 0 && active == listeners.len(),
        "{} is ready with {active} listeners",
        pod.spec.name
    );
    Ok(())
}
