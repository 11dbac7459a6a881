//! Calls whose answers are wanted one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Connection, Kind, word};
use crate::istio::call::{Answer, Call, Tcp};

/// All answers, in the order in which they came.
pub(super) async fn run(call: Call) -> Result<Vec<Answer>> {
    let (times, lanes) = (call.times.max(1), call.at_once.max(1));
    let call = Arc::new(call);
    let sent = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..lanes.min(times) {
        all.spawn(lane(call.clone(), sent.clone(), times));
    }
    let mut answers = Vec::new();
    while let Some(done) = all.join_next().await {
        answers.append(&mut done??);
    }
    Ok(answers)
}

async fn lane(call: Arc<Call>, sent: Arc<AtomicUsize>, times: usize) -> Result<Vec<Answer>> {
    let mut connection = None;
    let mut answers = Vec::new();
    while sent.fetch_add(1, Ordering::Relaxed) < times {
        let one = timeout(call.limit(), exchange(&call, &mut connection)).await;
        answers.push(match one {
            Ok(answer) => answer?,
            Err(_) => Answer { end: "no answer".into(), ..Answer::default() },
        });
    }
    Ok(answers)
}

async fn exchange(call: &Call, kept: &mut Option<Connection>) -> Result<Answer> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => match Connection::open(call).await? {
            Ok(connection) => connection,
            Err(answer) => return Ok(answer),
        },
    };
    if let Some(tcp) = &call.tcp {
        return speak(connection, tcp).await;
    }
    let http = call.http.as_ref().context("a call without http or tcp")?;
    let (answer, usable) = connection.exchange(http).await?;
    *kept = (usable && call.reuse).then_some(connection);
    Ok(answer)
}

async fn speak(connection: Connection, tcp: &Tcp) -> Result<Answer> {
    let mut answer =
        Answer { port: connection.port, tls: connection.tls.clone(), ..Answer::default() };
    let Kind::One(mut stream) = connection.kind else { anyhow::bail!("tcp over HTTP/2") };
    let mut input = Vec::new();
    let done = async {
        stream.write_all(tcp.send.as_bytes()).await?;
        stream.flush().await?;
        loop {
            answer.body = String::from_utf8_lossy(&input).into_owned();
            if !tcp.until.is_empty() && answer.body.contains(&tcp.until) {
                return stream.shutdown().await.map(|()| "whole".to_owned());
            }
            if stream.read_buf(&mut input).await? == 0 {
                return Ok("closed".to_owned());
            }
        }
    };
    answer.end = done.await.unwrap_or_else(|error: std::io::Error| word(&error));
    Ok(answer)
}
