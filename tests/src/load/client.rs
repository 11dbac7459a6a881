//! Clients that speak HTTP/1.1 and keep their connections.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Tally;
use crate::wire;

/// A request that has no answer by now has none.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends up to `limit` requests from `clients` connections at once. A client that is told to close its connection opens another; one that finds
/// nobody listening is done: the service has left, and nothing was sent.
pub async fn run(port: u16, clients: usize, limit: u64, request: &str, tally: &Arc<Tally>) {
    let request: Arc<[u8]> = request.as_bytes().into();
    let mut all = JoinSet::new();
    for _ in 0..clients {
        all.spawn(client(port, limit, request.clone(), tally.clone()));
    }
    all.join_all().await;
}

async fn client(port: u16, limit: u64, request: Arc<[u8]>, tally: Arc<Tally>) {
    let mut connection = None;
    while tally.may_send(limit) {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => stream,
                Err(_) => return,
            },
        };
        match timeout(PATIENCE, exchange(&mut stream, &request)).await {
            Ok(Ok((status, closes))) => {
                tally.answer(status);
                connection = (!closes).then_some(stream);
            }
            Ok(Err(error)) => tally.lose(&error),
            Err(elapsed) => tally.lose(&elapsed),
        }
    }
}

/// The status, and whether the connection ends with it.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<(u16, bool)> {
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut input = Vec::new();
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            bail!("closed after {} bytes of the answer", input.len());
        }
        let Some((head, rest)) = wire::head(&input) else { continue };
        let (body, _) = wire::body(head.response_framing(b"GET"), rest);
        if body.complete {
            return Ok((head.status(), head.closes()));
        }
    }
}
