//! The client that sends exact bytes, with pauses and waits between them, and watches what comes back
//! until the connection ends or everything expected is there.

use std::collections::BTreeMap;
use std::future;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Client, Ends, Heard, Response, SETTLE, Step, responses};
use crate::stream::{Fate, Stream};
use crate::text;

/// More than any case expects: a proxy that sends without end must not fill the memory.
const RECEIVE_LIMIT: usize = 8 << 20;

/// Everything received so far, and how the connection ended if it did.
#[derive(Clone, Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    end: Option<Fate>,
}

struct Connection {
    write: WriteHalf<Box<dyn Stream>>,
    received: watch::Receiver<Received>,
    reader: JoinHandle<()>,
    sent: Vec<u8>,
    limit: Duration,
}

impl Connection {
    fn new(stream: Box<dyn Stream>, limit: Duration) -> Self {
        let (mut read, write) = tokio::io::split(stream);
        let (sender, received) = watch::channel(Received::default());
        let reader = tokio::spawn(async move {
            let mut chunk = Vec::with_capacity(64 << 10);
            loop {
                chunk.clear();
                let end = match read.read_buf(&mut chunk).await {
                    Ok(0) => Some(Fate::Closed),
                    Ok(_) => None,
                    Err(error) => Some(Fate::of(&error)),
                };
                sender.send_modify(|received| {
                    received.bytes.extend_from_slice(&chunk);
                    received.end = end;
                });
                if end.is_some() || sender.borrow().bytes.len() > RECEIVE_LIMIT {
                    return;
                }
            }
        });
        Self { write, received, reader, sent: Vec::new(), limit }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        let write = async {
            self.write.write_all(bytes).await?;
            self.write.flush().await
        };
        // A proxy may close before it has read everything: the reader sees how.
        drop(timeout(self.limit, write).await);
    }

    /// Until the condition holds or the connection ended, at most for `limit`.
    async fn wait(&mut self, limit: Duration, enough: impl Fn(&Received) -> bool) {
        let seen = self.received.wait_for(|received| received.end.is_some() || enough(received));
        drop(timeout(limit, seen).await);
    }

    async fn wait_for_responses(&mut self, count: usize) {
        let methods = responses::methods(&self.sent);
        self.wait(self.limit, |received| {
            let (all, _) = responses::read(&received.bytes, &methods, false);
            all.iter().filter(|response| response.is_final() && response.complete).count() >= count
        })
        .await;
    }

    fn responses(&self) -> (Vec<Response>, Vec<u8>) {
        let received = self.received.borrow();
        let ended = received.end == Some(Fate::Closed);
        responses::read(&received.bytes, &responses::methods(&self.sent), ended)
    }

    /// Stops reading and closes; returns when that is done.
    async fn leave(self) {
        self.reader.abort();
        drop(self.reader.await);
    }
}

pub(super) async fn run(
    client: &Client,
    ends: &Ends,
    stream: Box<dyn Stream>,
    heard: &mut Heard,
) -> Result<()> {
    if client.steps.iter().any(|step| matches!(step, Step::Reset)) {
        stream.reset_on_close();
    }
    let mut connection = Connection::new(stream, client.limit());
    if let Some(request) = client.request()? {
        connection.send(&request).await;
    }
    let mut left = false;
    for step in &client.steps {
        match step {
            Step::Close | Step::Reset => left = true,
            other => take(other, client, ends, &mut connection).await,
        }
    }
    if !left {
        connection.wait_for_responses(client.responses).await;
        let (all, _) = connection.responses();
        let closing = client.responses > 0 && all.last().is_some_and(|last| last.head.closes());
        let patience = if closing { client.limit() } else { SETTLE };
        connection.wait(patience, |_| false).await;
        heard.fate = Some(connection.received.borrow().end.unwrap_or(Fate::Kept));
    }
    (heard.responses, heard.bytes) = connection.responses();
    connection.leave().await;
    Ok(())
}

async fn take(step: &Step, client: &Client, ends: &Ends, connection: &mut Connection) {
    match step {
        Step::Get(target) => connection.send(&client.get_request(target)).await,
        Step::Send(block) => connection.send(&text::message(&text::repeat(block))).await,
        Step::Raw(raw) => connection.send(&text::bytes(&text::repeat(raw))).await,
        Step::PauseMs(ms) => sleep(Duration::from_millis(*ms)).await,
        // Not reached is for the comparison to show.
        Step::AwaitUpstream(count) => {
            drop(timeout(client.limit(), ends.recorder.wait_for(*count)).await)
        }
        Step::AwaitResponses(count) => connection.wait_for_responses(*count).await,
        Step::AwaitText(wanted) => {
            let wanted = text::bytes(wanted);
            let holds =
                |received: &Received| received.bytes.windows(wanted.len()).any(|w| w == wanted);
            connection.wait(client.limit(), holds).await;
        }
        Step::Shutdown => drop(connection.write.shutdown().await),
        Step::Close | Step::Reset => future::ready(()).await,
    }
}

/// Sends the request many times and counts the answers by status and one header.
pub(super) async fn count(
    client: &Client,
    ends: &Ends,
    first: Box<dyn Stream>,
) -> Result<BTreeMap<String, usize>> {
    let request = client.request()?.context("repeat needs a request")?;
    let mut counts = BTreeMap::new();
    let mut connection = Some(Connection::new(first, client.limit()));
    for _ in 0..client.repeat {
        let mut current = match connection.take() {
            Some(current) => current,
            None => match client.connect(ends, &mut Heard::default()).await? {
                Some(stream) => Connection::new(stream, client.limit()),
                None => break,
            },
        };
        let before = current.responses().0.len();
        current.send(&request).await;
        current.wait_for_responses(before + 1).await;
        let (all, _) = current.responses();
        let answer = all.get(before).map_or_else(
            || "no answer".to_owned(),
            |r| {
                format!(
                    "{} {}",
                    r.head.status(),
                    text::show(r.head.value(&client.count_by).unwrap_or(b"-"))
                )
            },
        );
        *counts.entry(answer).or_default() += 1;
        // A fresh connection now and then keeps what is parsed again short.
        let open = current.received.borrow().end.is_none();
        if open
            && !client.reconnect
            && before < 64
            && all.last().is_some_and(|last| !last.head.closes())
        {
            connection = Some(current);
        }
    }
    Ok(counts)
}

/// Sends requests one after the other on one connection, on a new one when the last was closed.
/// A request without an answer in time has none.
///
/// # Errors
/// When nothing listens.
pub async fn exchange_all(port: u16, requests: &[Vec<u8>]) -> Result<Vec<Option<Response>>> {
    const LIMIT: Duration = Duration::from_secs(2);
    // Everything received is parsed again for each answer: short connections keep that cheap.
    const REQUESTS_PER_CONNECTION: usize = 16;
    let mut answers = Vec::new();
    let mut connection: Option<Connection> = None;
    for request in requests {
        let mut current = match connection.take() {
            Some(current) => current,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.set_nodelay(true)?;
                Connection::new(Box::new(stream), LIMIT)
            }
        };
        let before = current.responses().0.len();
        current.send(request).await;
        current.wait_for_responses(before + 1).await;
        let (all, rest) = current.responses();
        let answer = all.get(before).cloned();
        let open = current.received.borrow().end.is_none();
        let kept = answer.as_ref().is_some_and(|answer| answer.complete && !answer.head.closes());
        // Bytes behind an answer would be read as the next one.
        if open && kept && rest.is_empty() && before + 1 < REQUESTS_PER_CONNECTION {
            connection = Some(current);
        }
        answers.push(answer);
    }
    Ok(answers)
}
