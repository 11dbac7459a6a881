//! Certificates that live for half a minute: they are changed under load, and no connection notices.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::row;
use super::traffic::Traffic;
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;
use crate::istio::pod::Pod;
use crate::istio::world::World;

/// What agents ask for, by `SECRET_TTL`; they renew at half of it.
pub const LIFE: Duration = Duration::from_secs(30);
const ROTATIONS: usize = 3;

/// In a mesh whose agents ask for certificates of [`LIFE`], with so many requests a second of each version of HTTP.
///
/// # Errors
/// When a proxy does not tell its certificates.
pub fn run(mesh: &mut Mesh, per_second: u64) -> Result<Vec<Row>> {
    let traffic = Traffic { url: "http://httpbin:8000/info", per_second, length: LIFE * 2 };
    let (ends, seen) = traffic.during(mesh, |mesh| {
        let mut seen: Vec<Vec<String>> = vec![Vec::new(); mesh.worlds.len()];
        for _ in 0..(LIFE.as_secs() * 2 - 4) {
            for (seen, world) in seen.iter_mut().zip(&mesh.worlds) {
                note(seen, world)?;
            }
            thread::sleep(Duration::from_secs(1));
        }
        Ok(seen)
    })?;
    let counts = seen
        .iter()
        .map(|seen| {
            let changes = seen.len().saturating_sub(1);
            let cell = format!("{changes} new certificates");
            (cell.clone(), (changes < ROTATIONS).then_some(cell))
        })
        .collect();
    let mut rows = ends.rows("rotation", "meanwhile", &mesh.worlds);
    rows.push(row("rotation", "certificates of the server", &mesh.worlds, counts));
    Ok(rows)
}

/// Adds the serial number of the server's certificate if it is new.
fn note(seen: &mut Vec<String>, world: &World) -> Result<()> {
    if let Some(serial) = serial(world.pod("httpbin")?)?
        && !seen.contains(&serial)
    {
        seen.push(serial);
    }
    Ok(())
}

/// As the secret is in `/config_dump`, whose bytes change with the certificate.
fn serial(pod: &Pod) -> Result<Option<String>> {
    let page: serde_json::Value =
        serde_json::from_str(&pod.admin("config_dump?resource=dynamic_active_secrets")?)?;
    let configs =
        page.get("configs").and_then(|configs| configs.as_array()).cloned().unwrap_or_default();
    let of_default =
        configs.iter().find(|secret| secret.get("name").is_some_and(|name| name == "default"));
    Ok(of_default.and_then(|secret| {
        let chain = secret.pointer("/secret/tls_certificate/certificate_chain/inline_bytes")?;
        chain.as_str().map(str::to_owned)
    }))
}
