//! A gateway's certificate that is not there yet: its handshakes are refused and nothing else is; then it comes, and changes.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::{effective, row, within};
use crate::istio::call::{Call, Tls};
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;

const LIMIT: Duration = Duration::from_secs(5);

fn gateway() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": { "name": "late", "namespace": "default" },
        "spec": { "selector": { "app": "ingressgateway" }, "servers": [{
            "port": { "number": 7443, "name": "https-late", "protocol": "HTTPS" },
            "hosts": ["late.example.com"],
            "tls": { "mode": "SIMPLE", "credentialName": "late-cert" },
        }] },
    })
}

fn route() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "late", "namespace": "default" },
        "spec": { "hosts": ["late.example.com"], "gateways": ["late"], "http": [{
            "route": [{ "destination": { "host": "reviews.default.svc.cluster.local", "subset": "v1" } }],
        }] },
    })
}

/// # Errors
/// When the mesh cannot be changed.
pub fn run(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let mut late = Call::get("http://late.example.com/x");
    late.to = "ingress.pod:7443".into();
    late.tls = Some(Tls {
        sni: Some("late.example.com".into()),
        ca: Some(mesh.outside.dir.join("ca.crt").display().to_string()),
        ..Tls::default()
    });
    late.limit_ms = 2_000;
    let mut other = Call::get("http://shop.example.com/api");
    other.to = "ingress.pod:80".into();

    let (before, _) = mesh.change(|config| config.put(&[gateway(), route()]))?;
    let mut cells = Vec::new();
    for world in &mesh.worlds {
        let pod = world.pod("plain")?;
        let word = |call: &Call| -> Result<String> {
            let answers = pod.answers(call)?;
            Ok(answers.first().map_or_else(String::new, |a| format!("{} {}", a.status, a.end)))
        };
        let (late, other) = (word(&late)?, word(&other)?);
        let cell = format!("late {late}, other {other}");
        let right = !late.starts_with("200") && other == "200 whole";
        cells.push((cell.clone(), (!right).then_some(cell)));
    }
    let mut rows = vec![row("secrets", "before the certificate is there", &mesh.worlds, cells)];

    let secret = mesh.outside.secret("late-cert", "late.example.com", false)?;
    let written = Instant::now();
    mesh.put_secret("late", &secret)?;
    let times = effective(mesh, "plain", &late, written, LIMIT * 2, |answer| answer.status == 200)?;
    rows.push(row("secrets", "the certificate comes", &mesh.worlds, within(&times, LIMIT)));

    // A name that the client does not take.
    let secret = mesh.outside.secret("late-cert", "shop.example.com", false)?;
    let written = Instant::now();
    mesh.put_secret("late", &secret)?;
    let is_other =
        |answer: &crate::istio::call::Answer| answer.status == 0 && answer.end.starts_with("tls:");
    let times = effective(mesh, "plain", &late, written, LIMIT * 2, is_other)?;
    rows.push(row("secrets", "another certificate comes", &mesh.worlds, within(&times, LIMIT)));
    mesh.remove_secret("late")?;
    mesh.change(|config| config.restore(before))?;
    Ok(rows)
}
