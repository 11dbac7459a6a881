//! The clients of a case: what they send, as data, and what they heard, for comparison.
//!
//! One client is one connection. It speaks raw bytes (HTTP/1, TCP, anything), HTTP/2 through the h2
//! crate, or HTTP/2 frames of its own making where the h2 crate would refuse to send them.

mod connect;
mod frames;
mod http2;
mod raw;
mod responses;
mod wire2;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;
use tokio::time::timeout;

use crate::certs::Certs;
use crate::stream::Fate;
use crate::tls::ClientTls;
use crate::upstream::record::Recorder;

pub use frames::Frame;
pub use http2::Request;
pub use raw::exchange_all;
pub use responses::Response;

/// How long an open connection is watched after the last thing that was expected of it. The default
/// `delayed_close_timeout` of the bootstraps is 50 ms, so a proxy that closes has done so by then.
const SETTLE: Duration = Duration::from_millis(200);

/// One connection of a case. Its fields are documented in `tests/README.md` with the case format.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// A listener of the group, `ADMIN`, or `unix:FILE` in the scratch directory.
    pub to: String,
    /// The local address to connect from, for rules on source addresses.
    pub from: Option<String>,
    /// Connects only when the upstreams have seen so many requests of this case.
    pub await_upstream: usize,
    pub tls: Option<ClientTls>,
    /// A GET of this target; `host` and `headers` complete it.
    pub get: Option<String>,
    pub host: String,
    pub headers: Vec<String>,
    /// A message as a block of lines: LF becomes CRLF in its head.
    pub send: Option<String>,
    /// Exact bytes.
    pub raw: Option<String>,
    pub steps: Vec<Step>,
    /// HTTP/2 requests, one after the other.
    pub requests: Vec<Request>,
    /// Starts every HTTP/2 request before the first answer.
    pub together: bool,
    pub frames: Vec<Frame>,
    /// How many final responses end the wait.
    pub responses: usize,
    /// Sends the request so often and keeps only counts by status and the header `count_by`.
    pub repeat: usize,
    pub count_by: String,
    /// Repeats on a new connection every time.
    pub reconnect: bool,
    /// The longest wait for what is expected.
    pub limit_ms: u64,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            to: "main".into(),
            from: None,
            await_upstream: 0,
            tls: None,
            get: None,
            host: "a.test".into(),
            headers: Vec::new(),
            send: None,
            raw: None,
            steps: Vec::new(),
            requests: Vec::new(),
            together: false,
            frames: Vec::new(),
            responses: 1,
            repeat: 0,
            count_by: "x-host".into(),
            reconnect: false,
            limit_ms: 4000,
        }
    }
}

/// One thing that a raw client does, in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Get(String),
    Send(String),
    Raw(String),
    PauseMs(u64),
    /// Until the upstreams have seen so many requests of this case.
    AwaitUpstream(usize),
    /// Until so many final responses are complete.
    AwaitResponses(usize),
    /// Until these bytes have arrived.
    AwaitText(String),
    /// Ends the sending direction.
    Shutdown,
    Close,
    Reset,
}

/// What one client saw.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The handshake, or why there is no connection.
    pub connection: Option<String>,
    pub responses: Vec<Response>,
    /// Bytes that are no HTTP/1 response.
    pub bytes: Vec<u8>,
    pub frames: Vec<String>,
    pub counts: BTreeMap<String, usize>,
    /// `None` when the client itself ended the connection.
    pub fate: Option<Fate>,
}

/// Where a side's ports are and what its clients may wait for.
#[derive(Clone, Debug)]
pub struct Ends {
    pub ports: BTreeMap<String, u16>,
    pub dir: PathBuf,
    pub certs: Arc<Certs>,
    pub recorder: Arc<Recorder>,
}

impl Client {
    fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms)
    }

    /// Connects and does what the case says.
    ///
    /// # Errors
    /// When the case itself is wrong; whatever the proxy does is in [`Heard`].
    pub async fn run(&self, ends: &Ends) -> Result<Heard> {
        let mut heard = Heard::default();
        // Not reached is for the comparison to show.
        drop(timeout(self.limit(), ends.recorder.wait_for(self.await_upstream)).await);
        let Some(stream) = self.connect(ends, &mut heard).await? else { return Ok(heard) };
        if self.repeat > 0 {
            heard.counts = raw::count(self, ends, stream).await?;
        } else if !self.requests.is_empty() {
            http2::run(self, ends, stream, &mut heard).await?;
        } else if !self.frames.is_empty() {
            frames::run(self, ends, stream, &mut heard).await?;
        } else {
            raw::run(self, ends, stream, &mut heard).await?;
        }
        Ok(heard)
    }

    /// The strings in which names of ports and files may stand.
    pub fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let steps = self.steps.iter_mut().filter_map(|step| match step {
            Step::Get(text) | Step::Send(text) | Step::Raw(text) | Step::AwaitText(text) => {
                Some(text)
            }
            _ => None,
        });
        let own = [&mut self.get, &mut self.send, &mut self.raw].into_iter().flatten();
        own.chain([&mut self.host]).chain(&mut self.headers).chain(steps)
    }

    /// The bytes of the request that the short forms `get`, `send` and `raw` stand for.
    fn request(&self) -> Result<Option<Vec<u8>>> {
        let forms = [&self.get, &self.send, &self.raw];
        if forms.iter().filter(|form| form.is_some()).count() > 1 {
            bail!("only one of get, send and raw");
        }
        Ok(match (&self.get, &self.send, &self.raw) {
            (Some(target), ..) => Some(self.get_request(target)),
            (_, Some(block), _) => Some(crate::text::message(&crate::text::repeat(block))),
            (.., Some(raw)) => Some(crate::text::bytes(&crate::text::repeat(raw))),
            _ => None,
        })
    }

    fn get_request(&self, target: &str) -> Vec<u8> {
        let mut block = format!("GET {target} HTTP/1.1\nhost: {}\n", self.host);
        for line in &self.headers {
            block += &format!("{line}\n");
        }
        crate::text::message(&crate::text::repeat(&block))
    }
}
