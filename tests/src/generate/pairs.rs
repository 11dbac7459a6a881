//! Runs tables and their requests on both sides: one listener per table, one process per side.
//!
//! The requests of a table go over one connection, one after the other; ids in a header tell which
//! log line and which upstream request belongs to which.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};

use super::{Request, Table};
use crate::client::{Heard, exchange_all};
use crate::parity::case::{Case, Group, Options};
use crate::parity::compare;
use crate::parity::render::render;
use crate::parity::run::Run;
use crate::parity::side::{Observation, Side};

/// A pair on which the sides do not agree.
#[derive(Clone, Debug)]
pub struct Difference {
    pub table: usize,
    pub request: usize,
    pub text: String,
}

/// How long late log lines are waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// # Errors
/// When a side does not start.
pub(super) async fn compare(
    run: &Run,
    tables: &[(Table, Vec<Request>)],
) -> Result<Vec<Difference>> {
    let group = group(tables)?;
    let (left, right) = tokio::join!(
        Side::start(&run.left, &group, &run.certs),
        Side::start(&run.right, &group, &run.certs)
    );
    let (mut left, mut right) =
        (left.context("generated tables, left")?, right.context("generated tables, right")?);
    let (one, other) = tokio::join!(observe(&mut left, tables), observe(&mut right, tables));
    if let Some(death) = left.death().or_else(|| right.death()) {
        bail!(death);
    }
    let (one, other) = (one?, other?);
    let case = Case { options: Options::default(), clients: Vec::new() };
    let mut differences = Vec::new();
    for (table, request) in all(tables) {
        let id = id(table, request);
        let page = |side: &Side, seen: &BTreeMap<String, Observation>| {
            seen.get(&id).map(|seen| render(&case, &side.names, seen)).unwrap_or_default()
        };
        let (one, other) = (page(&left, &one), page(&right, &other));
        if one != other {
            differences.push(Difference { table, request, text: compare::diff(&one, &other) });
        }
    }
    Ok(differences)
}

fn all(tables: &[(Table, Vec<Request>)]) -> impl Iterator<Item = (usize, usize)> {
    tables
        .iter()
        .enumerate()
        .flat_map(|(at, (_, requests))| (0..requests.len()).map(move |request| (at, request)))
}

fn id(table: usize, request: usize) -> String {
    format!("t{table}-{request}")
}

/// The group that carries every table, as a case file would.
fn group(tables: &[(Table, Vec<Request>)]) -> Result<Group> {
    let mut listeners = Map::new();
    for (at, (table, _)) in tables.iter().enumerate() {
        let log = "%REQ(X-PAIR)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% route=%ROUTE_NAME% \
                   cluster=%UPSTREAM_CLUSTER% path=%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%";
        let fields = json!({"virtual_hosts": table.hosts, "route_config": table.config, "hcm": table.hcm, "log": log});
        listeners.insert(format!("t{at}"), fields);
    }
    let clusters = json!({"one": {"hosts": ["UPSTREAM1"]}, "two": {"hosts": ["UPSTREAM2"]}});
    let group =
        json!({"group": "generated", "listeners": Value::Object(listeners), "clusters": clusters});
    Ok(serde_json::from_value(group)?)
}

/// Sends everything and sorts what was seen by the ids of the pairs.
async fn observe(
    side: &mut Side,
    tables: &[(Table, Vec<Request>)],
) -> Result<BTreeMap<String, Observation>> {
    side.begin(&Case { options: Options::default(), clients: Vec::new() }, &[]).await?;
    let mut tasks = JoinSet::new();
    for (at, (_, requests)) in tables.iter().enumerate() {
        let port = side.port(&format!("t{at}"))?;
        let bytes: Vec<_> =
            requests.iter().enumerate().map(|(n, request)| request.bytes(&id(at, n))).collect();
        tasks.spawn(async move { anyhow::Ok((at, exchange_all(port, &bytes).await?)) });
    }
    let mut pairs: BTreeMap<String, Observation> = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (at, responses) = done??;
        for (n, response) in responses.into_iter().enumerate() {
            let heard = Heard { responses: response.into_iter().collect(), ..Heard::default() };
            pairs.insert(id(at, n), Observation { heard: vec![heard], ..Observation::default() });
        }
    }
    let expected = pairs.len();
    let limit = Instant::now() + PATIENCE;
    let seen = loop {
        let seen = side.observe(&[], &[]).await?;
        if seen.log.len() >= expected || Instant::now() > limit {
            break seen;
        }
        sleep(Duration::from_millis(20)).await;
    };
    for line in seen.log {
        let id = line.split(' ').next().unwrap_or_default().to_owned();
        if let Some(pair) = pairs.get_mut(&id) {
            pair.log.push(line);
        }
    }
    for request in seen.seen {
        let id = request
            .head
            .value("x-pair")
            .map(|id| String::from_utf8_lossy(id).into_owned())
            .unwrap_or_default();
        if let Some(pair) = pairs.get_mut(&id) {
            pair.seen.push(request);
        }
    }
    Ok(pairs)
}
