//! The client of the demonstration: sends the same request many times, over as many connections as it is told.
//!
//! It never retries and never follows anything, so what it reports is what the proxy did.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// No answer of the demonstration takes as long as this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent: a GET.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
}

impl Call {
    /// A GET of this path, without headers of its own.
    pub(super) const fn to(path: &'static str) -> Self {
        Self { path, headers: &[] }
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// The status, 0 if there was no answer.
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// From the first byte sent to the last byte received.
    pub(super) elapsed: Duration,
}

impl Reply {
    /// A header, or nothing if it is absent or no text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client of one address.
#[derive(Debug)]
pub(super) struct Client {
    /// Whom it calls.
    pub(super) address: SocketAddr,
    sent: Cell<u64>,
}

impl Client {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self { address, sent: Cell::new(0) }
    }

    /// Requests sent so far.
    pub(super) const fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Sends `count` times, over `lanes` connections at once, on each of them one request after the other.
    pub(super) async fn send(&self, call: Call, count: usize, lanes: usize) -> Replies {
        self.sent.set(self.sent.get() + u64::try_from(count).unwrap_or(u64::MAX));
        let left = Rc::new(Cell::new(count));
        let mut running = JoinSet::new();
        for _ in 0..lanes.min(count) {
            running.spawn_local(lane(self.address, call, left.clone()));
        }
        Replies(running.join_all().await.concat())
    }
}

async fn lane(address: SocketAddr, call: Call, left: Rc<Cell<usize>>) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut connection = None;
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        let start = Instant::now();
        let reply = timeout(PATIENCE, exchange(&mut connection, address, call)).await;
        let reply = reply.ok().flatten().unwrap_or_else(|| {
            connection = None;
            Reply::default()
        });
        replies.push(Reply { elapsed: start.elapsed(), ..reply });
    }
    replies
}

/// Sends over the connection, or over a new one if there is none that works.
async fn exchange(
    connection: &mut Option<SendRequest<Empty<Bytes>>>,
    address: SocketAddr,
    call: Call,
) -> Option<Reply> {
    let usable = match connection.take() {
        Some(mut open) => open.ready().await.is_ok().then_some(open),
        None => None,
    };
    let sender = match usable {
        Some(open) => connection.insert(open),
        None => connection.insert(connect(address).await?),
    };
    let mut request = Request::get(call.path).header("host", "reviews");
    for (name, value) in call.headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Empty::new()).ok()?).await.ok()?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        elapsed: Duration::ZERO,
    })
}

async fn connect(address: SocketAddr) -> Option<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::task::spawn_local(async move { connection.await.ok() });
    Some(sender)
}

/// What came back for one round of the same request.
#[derive(Debug)]
pub(super) struct Replies(pub(super) Vec<Reply>);

impl Replies {
    /// How many replies are so.
    pub(super) fn count(&self, is_so: impl Fn(&Reply) -> bool) -> usize {
        self.0.iter().filter(|reply| is_so(reply)).count()
    }

    pub(super) fn with_status(&self, status: u16) -> usize {
        self.count(|reply| reply.status == status)
    }

    /// How many replies this version gave.
    pub(super) fn by_version(&self, version: &str) -> usize {
        self.count(|reply| reply.header("x-version") == Some(version))
    }

    /// The time that this share of the replies, in percent, stayed below, in milliseconds.
    pub(super) fn quantile_ms(&self, percent: usize) -> f64 {
        let mut times: Vec<_> = self.0.iter().map(|reply| reply.elapsed).collect();
        times.sort_unstable();
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    /// How often each status came, as `195 x 503, 5 x 200`; the most frequent first.
    pub(super) fn statuses(&self) -> String {
        let mut counts: Vec<(usize, u16)> = Vec::new();
        for reply in &self.0 {
            match counts.iter_mut().find(|(_, status)| *status == reply.status) {
                Some((count, _)) => *count += 1,
                None => counts.push((1, reply.status)),
            }
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let told = counts.iter().map(|(count, status)| match status {
            0 => format!("{count} x no answer"),
            _ => format!("{count} x {status}"),
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_and_timed() {
        let reply =
            |status, ms| Reply { status, elapsed: Duration::from_millis(ms), ..Reply::default() };
        let replies = Replies(vec![reply(200, 1), reply(503, 9), reply(0, 3), reply(503, 2)]);
        assert_eq!(replies.statuses(), "2 x 503, 1 x 200, 1 x no answer");
        assert_eq!((replies.with_status(503), replies.with_status(404)), (2, 0));
        assert_eq!((replies.quantile_ms(50), replies.quantile_ms(99)), (3.0, 9.0));
        assert_eq!(Replies(Vec::new()).quantile_ms(50), 0.0);
    }
}
