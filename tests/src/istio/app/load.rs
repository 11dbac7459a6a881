//! Many requests at a steady rate, and only how they ended.
//!
//! A connection that ends between two requests, or says that it will, counts as drained: nothing that a control plane does may
//! cause one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Connection;
use crate::istio::call::{Answer, Call, Load, Outcome};

const FAILURES_SHOWN: usize = 8;

pub(super) async fn run(call: Call) -> Result<Outcome> {
    let load = call.load.clone().context("no load")?;
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let call = Arc::new(call);
    let mut all = JoinSet::new();
    let start = Instant::now();
    let lanes = load.connections.max(1);
    for lane in 0..lanes {
        all.spawn(client(call.clone(), load.clone(), lane, start, outcome.clone()));
    }
    while let Some(done) = all.join_next().await {
        done??;
    }
    Ok(outcome.lock().map(|outcome| outcome.clone()).unwrap_or_default())
}

async fn client(
    call: Arc<Call>,
    load: Load,
    lane: usize,
    start: Instant,
    outcome: Arc<Mutex<Outcome>>,
) -> Result<()> {
    let http = call.http.clone().context("a load without http")?;
    let rate = f64::from(u32::try_from(load.per_second.max(1))?);
    let lanes = f64::from(u32::try_from(load.connections.max(1))?);
    let pace = Duration::from_secs_f64(lanes / rate);
    let mut next = start + pace.mul_f64(f64::from(u32::try_from(lane)?) / lanes);
    let end = start + Duration::from_secs_f64(load.seconds);
    let mut kept: Option<Connection> = None;
    while next < end {
        sleep_until(next).await;
        // What was late is not sent twice as fast: the rate is a ceiling.
        next = (next + pace).max(Instant::now());
        let fresh = kept.is_none();
        let one = timeout(call.limit(), async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => match Connection::open(&call).await? {
                    Ok(connection) => connection,
                    Err(answer) => return Ok((answer, None)),
                },
            };
            let (answer, usable) = connection.exchange(&http).await?;
            Ok::<_, anyhow::Error>((answer, usable.then_some(connection)))
        });
        let (answer, connection) = match one.await {
            Ok(done) => done?,
            Err(_) => (Answer { end: "no answer".into(), ..Answer::default() }, None),
        };
        let drained = connection.is_none();
        kept = connection;
        if let Ok(mut outcome) = outcome.lock() {
            outcome.opened += u64::from(fresh);
            outcome.drained += u64::from(drained);
            note(&mut outcome, &answer, start.elapsed());
        }
    }
    Ok(())
}

fn note(outcome: &mut Outcome, answer: &Answer, at: Duration) {
    let whole = answer.end == "whole";
    let status = if whole { answer.status } else { 0 };
    *outcome.answers.entry(status).or_default() += 1;
    if let Some(pod) = answer.by() {
        *outcome.by.entry(pod.to_owned()).or_default() += 1;
    }
    if status != 200 && outcome.failures.len() < FAILURES_SHOWN {
        let body: String = answer.body.chars().take(160).collect();
        let at = at.as_secs_f64();
        outcome.failures.push(format!("{at:.2} s: {} {} {body}", answer.start, answer.end));
    }
}
