//! `/clusters`: clusters, their limits and hosts. (envoy: admin.v3.Clusters)
//!
//! A cluster that nobody has used yet is built for the look, and dropped.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use outrigger_policy::breaker::{Breaker, RoutingPriority};
use outrigger_policy::lb::Target;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::listeners::address;
use super::{Endpoint, Reply, Request, Server};
use crate::config::Origin;
use crate::upstream::host::EdsHealth;
use crate::upstream::{Cluster, Host};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/clusters",
    is_post: false,
    help: "upstream cluster status",
    parameters: &[
        ("format", "File format to use; One of (text, json)"),
        ("filter", "Regular expression for filtering clusters by name"),
    ],
    reply,
};

fn reply(server: &Server, request: &Request) -> Reply {
    let filter = match request.parameter("filter").map(Regex::new).transpose() {
        Ok(filter) => filter,
        Err(error) => return Reply::text(400, format!("Invalid regex: \"{error}\"\n")),
    };
    let control = server.control.borrow();
    let mut text = String::new();
    let mut statuses = Vec::new();
    for (name, slot) in &control.store.clusters {
        let Some(version) = &slot.active else { continue };
        if filter.as_ref().is_some_and(|filter| !filter.is_match(name)) {
            continue;
        }
        let cluster = &version.value.look();
        let is_dynamic = slot.origin == Origin::Dynamic;
        if request.wants_json() {
            statuses.push(status(cluster, is_dynamic));
        } else {
            // Writing to a string cannot fail.
            let _ = describe(cluster, is_dynamic, &mut text);
        }
    }
    if request.wants_json() {
        return Reply::json(&if statuses.is_empty() {
            json!({})
        } else {
            json!({ "cluster_statuses": statuses })
        });
    }
    Reply::text(200, text)
}

const PRIORITIES: [RoutingPriority; 2] = [RoutingPriority::Default, RoutingPriority::High];

fn limits(breaker: &Breaker) -> [(&'static str, u32); 4] {
    let limits = breaker.thresholds();
    [
        ("max_connections", limits.max_connections),
        ("max_pending_requests", limits.max_pending_requests),
        ("max_requests", limits.max_requests),
        ("max_retries", limits.max_retries),
    ]
}

fn counters(host: &Host) -> [(&'static str, u64); 6] {
    let counters = &host.counters;
    [
        ("cx_connect_fail", counters.cx_connect_fail.load(Relaxed)),
        ("cx_total", counters.cx_total.load(Relaxed)),
        ("rq_error", counters.rq_error.load(Relaxed)),
        ("rq_success", counters.rq_success.load(Relaxed)),
        ("rq_timeout", counters.rq_timeout.load(Relaxed)),
        ("rq_total", counters.rq_total.load(Relaxed)),
    ]
}

fn gauges(host: &Host) -> [(&'static str, u64); 2] {
    let counters = &host.counters;
    [
        ("cx_active", counters.cx_active.load(Relaxed)),
        ("rq_active", counters.rq_active.load(Relaxed)),
    ]
}

fn describe(cluster: &Arc<Cluster>, is_dynamic: bool, out: &mut String) -> std::fmt::Result {
    let name = &cluster.name;
    writeln!(out, "{name}::observability_name::{}", cluster.settings.observability_name)?;
    for priority in PRIORITIES {
        for (limit, value) in limits(cluster.breakers.of(priority)) {
            writeln!(out, "{name}::{}_priority::{limit}::{value}", priority.as_str())?;
        }
    }
    writeln!(out, "{name}::added_via_api::{is_dynamic}")?;
    for host in &cluster.all_hosts() {
        let mut line = |what: &str, value: &dyn std::fmt::Display| {
            writeln!(out, "{name}::{}::{what}::{value}", host.address)
        };
        let mut all: Vec<_> = counters(host).into_iter().chain(gauges(host)).collect();
        all.sort_unstable();
        for (what, value) in all {
            line(what, &value)?;
        }
        line("hostname", &host.hostname)?;
        line("health_flags", &health_flags(host))?;
        line("weight", &host.weight())?;
        line("region", &host.locality.region)?;
        line("zone", &host.locality.zone)?;
        line("sub_zone", &host.locality.sub_zone)?;
        line("canary", &false)?;
        line("priority", &host.priority())?;
        line("success_rate", &-1)?;
        line("local_origin_success_rate", &-1)?;
    }
    Ok(())
}

/// (envoy: Upstream::HostUtility::healthFlagsToString)
fn health_flags(host: &Host) -> String {
    let mut flags = String::new();
    if host.is_ejected() {
        flags.push_str("/failed_outlier_check");
    }
    match host.eds_health() {
        EdsHealth::Unhealthy | EdsHealth::Timeout | EdsHealth::Draining => {
            flags.push_str("/failed_eds_health");
        }
        EdsHealth::Degraded => flags.push_str("/degraded_eds_health"),
        EdsHealth::Unknown | EdsHealth::Healthy => {}
    }
    if flags.is_empty() { "healthy".into() } else { flags }
}

fn status(cluster: &Arc<Cluster>, is_dynamic: bool) -> Value {
    let thresholds = PRIORITIES.map(|priority| {
        let mut thresholds = Map::new();
        if priority == RoutingPriority::High {
            thresholds.insert("priority".into(), "HIGH".into());
        }
        for (limit, value) in limits(cluster.breakers.of(priority)) {
            thresholds.insert(limit.into(), value.into());
        }
        Value::Object(thresholds)
    });
    let mut status = Map::new();
    status.insert("name".into(), (&*cluster.name).into());
    if is_dynamic {
        status.insert("added_via_api".into(), true.into());
    }
    let hosts: Vec<Value> = cluster.all_hosts().iter().map(|h| host_status(h)).collect();
    if !hosts.is_empty() {
        status.insert("host_statuses".into(), hosts.into());
    }
    status.insert("circuit_breakers".into(), json!({ "thresholds": thresholds }));
    let observability_name = &*cluster.settings.observability_name;
    status.insert("observability_name".into(), observability_name.into());
    Value::Object(status)
}

fn host_status(host: &Host) -> Value {
    let metric = |kind: Option<&str>, (name, value): (&str, u64)| {
        let mut metric = Map::new();
        if let Some(kind) = kind {
            metric.insert("type".into(), kind.into());
        }
        if value != 0 {
            metric.insert("value".into(), value.to_string().into());
        }
        metric.insert("name".into(), name.into());
        Value::Object(metric)
    };
    let stats: Vec<Value> = counters(host)
        .into_iter()
        .map(|counter| metric(None, counter))
        .chain(gauges(host).into_iter().map(|gauge| metric(Some("GAUGE"), gauge)))
        .collect();
    let mut health = Map::new();
    if host.is_ejected() {
        health.insert("failed_outlier_check".into(), true.into());
    }
    let eds = match host.eds_health() {
        EdsHealth::Unknown => EdsHealth::Healthy,
        told => told,
    };
    health.insert("eds_health_status".into(), eds.as_str().into());
    let mut locality = Map::new();
    for (name, value) in [
        ("region", &host.locality.region),
        ("zone", &host.locality.zone),
        ("sub_zone", &host.locality.sub_zone),
    ] {
        if !value.is_empty() {
            locality.insert(name.into(), (&**value).into());
        }
    }
    let mut status = Map::new();
    status.insert("address".into(), address(&host.address));
    status.insert("stats".into(), stats.into());
    status.insert("health_status".into(), health.into());
    if !host.hostname.is_empty() {
        status.insert("hostname".into(), (&*host.hostname).into());
    }
    status.insert("weight".into(), host.weight().into());
    if host.priority() != 0 {
        status.insert("priority".into(), host.priority().into());
    }
    status.insert("locality".into(), locality.into());
    Value::Object(status)
}
