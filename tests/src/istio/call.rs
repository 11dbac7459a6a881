//! What the harness asks an application in a pod to do as a client, and what the application tells of it.
//!
//! A call travels as one line of JSON over the application's unix socket, which network namespaces do not separate; the
//! answers come back as another. Both ends are this crate.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// One or more times the same exchange.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Call {
    /// `host:port`, the host as the pod's hosts file knows it.
    pub to: String,
    pub tls: Option<Tls>,
    pub http: Option<Http>,
    /// Bytes to send instead of a request.
    pub tcp: Option<Tcp>,
    /// How often; 0 is once.
    pub times: usize,
    /// How many at once; 0 is one.
    pub at_once: usize,
    /// Use a connection again where that is possible.
    pub reuse: bool,
    /// For each exchange; 0 is ten seconds.
    pub limit_ms: u64,
    pub load: Option<Load>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub sni: Option<String>,
    pub alpn: Vec<String>,
    /// Files: what is trusted, and what is shown. The peer's name is not checked when nothing is trusted.
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// HTTP/2, with prior knowledge or over TLS.
    pub two: bool,
    pub method: String,
    pub path: String,
    pub authority: String,
    /// `name: value`
    pub headers: Vec<String>,
    pub body: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tcp {
    pub send: String,
    /// Ends the exchange when the answer contains this.
    pub until: String,
}

/// Instead of single answers: so many requests for so long, and only how they ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    pub per_second: u64,
    pub connections: usize,
    pub seconds: f64,
}

/// How one exchange ended, and what it brought.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Answer {
    /// 0 when no response came.
    pub status: u16,
    /// The response's first line.
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub trailers: Vec<(String, String)>,
    /// `whole`, or what went wrong: `refused`, `closed`, `no answer`, `tls: …`.
    pub end: String,
    /// What TLS agreed on.
    pub tls: Option<String>,
    /// Of the client's end: finds its lines in an access log.
    pub port: u16,
}

/// The outcome of a [`Load`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Outcome {
    /// Answers by status; 0 for those that have none.
    pub answers: BTreeMap<u16, u64>,
    /// Answers by the pod that gave them.
    pub by: BTreeMap<String, u64>,
    /// The first few failures, as text, with the second in which they happened.
    pub failures: Vec<String>,
    /// Connections that ended although their client had not asked for it.
    pub drained: u64,
    pub opened: u64,
}

impl Outcome {
    pub fn total(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Everything that is no 200.
    pub fn failed(&self) -> u64 {
        self.answers.iter().filter(|(status, _)| **status != 200).map(|(_, count)| count).sum()
    }
}

/// What comes back for a call.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    Answers(Vec<Answer>),
    Load(Outcome),
    /// The call itself was wrong.
    Wrong(String),
}

impl Call {
    pub fn limit(&self) -> Duration {
        Duration::from_millis(if self.limit_ms == 0 { 10_000 } else { self.limit_ms })
    }

    /// Has the application behind `socket` do it.
    ///
    /// # Errors
    /// When the application does not answer, or the call is wrong.
    pub fn run(&self, socket: &Path) -> Result<Told> {
        let mut stream =
            UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        let mut answer = String::new();
        if BufReader::new(stream).read_line(&mut answer)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match serde_json::from_str(&answer)? {
            Told::Wrong(why) => anyhow::bail!("{}: {why}", self.to),
            told => Ok(told),
        }
    }

    /// As [`Call::run`], for a call that is no load.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub fn answers(&self, socket: &Path) -> Result<Vec<Answer>> {
        match self.run(socket)? {
            Told::Answers(answers) => Ok(answers),
            told => anyhow::bail!("{told:?} for single exchanges"),
        }
    }

    /// As [`Call::run`], for a load.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub fn outcome(&self, socket: &Path) -> Result<Outcome> {
        match self.run(socket)? {
            Told::Load(outcome) => Ok(outcome),
            told => anyhow::bail!("{told:?} for a load"),
        }
    }

    /// A plain GET.
    pub fn get(url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let to = if authority.contains(':') { authority.into() } else { format!("{authority}:80") };
        let http = Http {
            method: "GET".into(),
            path: format!("/{path}"),
            authority: authority.into(),
            ..Http::default()
        };
        Self { to, http: Some(http), ..Self::default() }
    }
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The pod that answered, when an application did.
    pub fn by(&self) -> Option<&str> {
        self.header("x-pod")
    }
}
