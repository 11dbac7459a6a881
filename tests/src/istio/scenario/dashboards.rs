//! Prometheus scrapes pods through their agents, and the queries of Istio's dashboards return data with labels. Only Istio's own filters make
//! such metrics, so no stock Envoy stands beside it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use regex::Regex;
use serde_json::{Value, json};

use crate::istio::call::{Call, Http, Tcp};
use crate::istio::compare::{Row, Verdict};
use crate::istio::mesh::Mesh;
use crate::istio::pod::Pod;
use crate::istio::process::{Process, Start};
use crate::istio::world::World;

/// The pods that the mesh of this scenario needs.
pub const PODS: [&str; 6] = ["sleep", "plain", "reviews-v1", "db-v1", "ingress", "outside"];
const SCRAPED: [&str; 4] = ["sleep", "reviews-v1", "db-v1", "ingress"];
const QUERIES: &str = "tests/istio/dashboard-queries.json";
/// Of traffic, and of rates.
const SECONDS: u64 = 15;
const TRIES: u32 = 6;

/// In a mesh with Istio's own filters and one world.
///
/// # Errors
/// When Prometheus cannot be started or does not answer.
pub fn run(mesh: &mut Mesh) -> Result<Vec<Row>> {
    let before = mesh.config.remove(&["AuthorizationPolicy/default/db".into()])?;
    drop(before.and(mesh.config.put(&resources())?));
    // Taken back with the mesh.
    thread::sleep(Duration::from_secs(2));
    let world = mesh.worlds.first().context("no world")?;
    let prometheus = prometheus(world)?;
    let is_over = AtomicBool::new(false);
    let rows = thread::scope(|scope| {
        // Instant rates are of the last two samples: there is traffic while queries are asked.
        let traffic = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                traffic(world)?;
            }
            Ok::<_, anyhow::Error>(())
        });
        thread::sleep(Duration::from_secs(SECONDS));
        let rows = ask(world);
        is_over.store(true, Ordering::Relaxed);
        traffic.join().map_err(|_| anyhow!("the thread of the traffic panicked"))??;
        rows
    })?;
    drop(prometheus);
    Ok(rows)
}

/// Every query, a dashboard a row.
fn ask(world: &World) -> Result<Vec<Row>> {
    let text = fs::read_to_string(QUERIES).context(QUERIES)?;
    let dashboards: BTreeMap<String, Vec<String>> = serde_json::from_str(&text)?;
    let asker = world.pod("plain")?;
    let mut rows = Vec::new();
    for (dashboard, queries) in dashboards {
        let ours = queries.iter().filter(|q| q.contains("istio_") || q.contains("envoy_cluster_"));
        let (mut told, mut silent, mut without) = (0, Vec::new(), 0);
        for query in ours {
            let concrete = concrete(query);
            if cannot(&concrete) {
                without += 1;
            } else if tells_soon(asker, &concrete)? {
                told += 1;
            } else {
                silent.push(concrete);
            }
        }
        let cell = format!("{told} return data, {} do not, {without} cannot", silent.len());
        rows.push(Row {
            group: "dashboards".into(),
            check: dashboard,
            cells: vec![cell.clone()],
            verdict: if silent.is_empty() {
                Verdict::Equal
            } else {
                Verdict::Different(silent.join("\n"))
            },
            pages: vec![vec![cell]],
        });
    }
    Ok(rows)
}

/// All requests for reviews go to the one pod that is there, and the database takes anybody.
fn resources() -> [Value; 2] {
    [
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": "reviews-route", "namespace": "default" },
            "spec": { "hosts": ["reviews"], "http": [{
                "retries": { "attempts": 0 },
                "route": [{ "destination": { "host": "reviews", "subset": "v1" } }],
            }] },
        }),
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
            "metadata": { "name": "db", "namespace": "default" },
            "spec": { "selector": { "matchLabels": { "app": "db" } }, "mtls": { "mode": "PERMISSIVE" } },
        }),
    ]
}

fn prometheus(world: &World) -> Result<Process> {
    let home = world.pod("plain")?;
    let targets = SCRAPED
        .iter()
        .map(|name| Ok(format!("{}:15020", world.pod(name)?.spec.ip)))
        .collect::<Result<Vec<_>>>()?;
    let config = json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
        "scrape_configs": [{
            "job_name": "mesh", "metrics_path": "/stats/prometheus", "static_configs": [{ "targets": targets }],
        }],
    });
    let file = home.dir.join("prometheus.yaml");
    fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
    let program = ["/usr/bin/prometheus", "/usr/local/bin/prometheus"]
        .map(std::path::Path::new)
        .into_iter()
        .find(|path| path.is_file())
        .context("no prometheus: tests/setup istio")?;
    let mut start = Start::new(home.namespace(), program);
    start.arguments = vec![
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", home.dir.join("prometheus").display()),
        "--web.listen-address=127.0.0.1:9090".into(),
    ];
    let mut process = start.run(home.dir.join("prometheus.log"))?;
    for _ in 0..200 {
        let ready = home.answers(&Call::get("http://127.0.0.1:9090/-/ready"))?;
        if ready.first().is_some_and(|answer| answer.status == 200) {
            return Ok(process);
        }
        if process.has_ended() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("Prometheus is not ready: {}", process.last_output(6))
}

/// Of every kind that a dashboard tells apart: mTLS and plain text, HTTP and TCP, good and bad answers, through the gateway, out of the mesh.
fn traffic(world: &World) -> Result<()> {
    let request = |to: &str, status: &str| Call {
        http: Some(Http {
            method: "POST".into(),
            path: "/r".into(),
            authority: "reviews:9080".into(),
            headers: vec![format!("x-app-status: {status}")],
            body: "some bytes".into(),
            ..Http::default()
        }),
        to: to.into(),
        ..Call::default()
    };
    let bytes = |to: &str| Call {
        tcp: Some(Tcp { send: "hello".into(), until: "hello".into() }),
        to: to.into(),
        limit_ms: 1_000,
        ..Call::default()
    };
    for status in ["200", "404", "500"] {
        drop(world.pod("sleep")?.answers(&request("reviews:9080", status))?);
        drop(world.pod("plain")?.answers(&request("reviews-v1.pod:8080", status))?);
    }
    let mut through_gateway = Call::get("http://shop.example.com/api");
    through_gateway.to = "ingress.pod:80".into();
    drop(world.pod("plain")?.answers(&through_gateway)?);
    drop(world.pod("sleep")?.answers(&Call::get("http://plain.example.com/x"))?);
    drop(world.pod("sleep")?.answers(&bytes("db:3306"))?);
    drop(world.pod("plain")?.answers(&bytes("db-v1.pod:9999"))?);
    thread::sleep(Duration::from_millis(200));
    Ok(())
}

/// The query as a dashboard would ask it of this traffic.
fn concrete(query: &str) -> String {
    let is_tcp = query.contains("istio_tcp_") && !query.contains("istio_requests_total");
    let (service, server) = if is_tcp { ("db", "db-v1") } else { ("reviews", "reviews-v1") };
    let is_source = query.contains("source_workload=~\"$workload\"")
        || query.contains("source_workload=\"$workload\"");
    let workload = if is_source { "sleep-v1" } else { server };
    let inner = query.trim();
    let inner =
        inner.strip_prefix("query_result(").and_then(|q| q.strip_suffix(')')).unwrap_or(inner);
    [
        ("$__rate_interval", format!("{SECONDS}s")),
        ("$service", format!("{service}.default.svc.cluster.local")),
        ("$workload", workload.into()),
        ("$namespace", "default".into()),
        ("istio-ingressgateway", "ingressgateway-v1".into()),
        ("$qrep", "destination".into()),
        ("$srcwl", ".*".into()),
        ("$srcns", ".*".into()),
        ("$dstwl", ".*".into()),
        ("$dstns", ".*".into()),
        ("$dstsvc", ".*".into()),
        ("$dstcluster", ".*".into()),
    ]
    .into_iter()
    .fold(inner.to_owned(), |query, (name, value)| query.replace(name, &value))
}

/// The source of a request does not know how the other side took it: Istio has it report `unknown`. And what containers use is told by
/// Kubernetes, which is not here.
fn cannot(query: &str) -> bool {
    query.contains("reporter=\"source\"")
        && query.contains("connection_security_policy=\"mutual_tls\"")
        || query.contains("container_cpu_usage_seconds_total")
}

/// As [`tells`], but for a moment in which nothing happened.
fn tells_soon(asker: &Pod, query: &str) -> Result<bool> {
    for turn in 0..TRIES {
        if turn > 0 {
            thread::sleep(Duration::from_millis(500));
        }
        if tells(asker, query)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a series comes back with a value that is a number and every label that the query groups by.
fn tells(asker: &Pod, query: &str) -> Result<bool> {
    let url = format!("http://127.0.0.1:9090/api/v1/query?query={}", encoded(query));
    let answer = asker.answers(&Call::get(&url))?.pop().context("no answer")?;
    let page: Value = serde_json::from_str(&answer.body)
        .with_context(|| format!("{} of {query}: {}", answer.status, answer.body))?;
    let labels = labels(query);
    let series =
        page.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(series.iter().any(|one| {
        let value = one.pointer("/value/1").and_then(Value::as_str).unwrap_or("NaN");
        let has = |label: &String| {
            one.pointer(&format!("/metric/{label}"))
                .and_then(Value::as_str)
                .is_some_and(|v| !v.is_empty())
        };
        value.parse::<f64>().is_ok_and(f64::is_finite) && labels.iter().all(has)
    }))
}

/// What the first `by` of a query names, without the buckets of histograms.
fn labels(query: &str) -> Vec<String> {
    let Ok(by) = Regex::new(r"by ?\(([a-z_, ]+)\)") else { return Vec::new() };
    let Some(found) = by.captures(query) else { return Vec::new() };
    let (_, [list]) = found.extract();
    list.split(',').map(|label| label.trim().to_owned()).filter(|label| label != "le").collect()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_asked_of_the_traffic_that_there_was() {
        let query = r#"query_result(sum(istio_requests_total{reporter=~"$qrep", destination_service="$service"}) by (source_cluster))"#;
        let asked = concrete(query);
        assert_eq!(
            asked,
            r#"sum(istio_requests_total{reporter=~"destination", destination_service="reviews.default.svc.cluster.local"}) by (source_cluster)"#
        );
        assert_eq!(labels(&asked), ["source_cluster"]);
        assert_eq!(encoded("a{b}"), "a%7Bb%7D");
    }
}
