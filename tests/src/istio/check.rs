//! Checks as data: who calls what, and what Envoy is known to answer. Files in `tests/istio/checks`, a document for each group.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Http, Tcp, Tls};
use super::config::files;

/// Checks that share a configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub group: String,
    /// The set of Istio resources below it: `seed` or `rich`.
    pub set: String,
    /// Resources over the set's, for this group only.
    #[serde(default)]
    pub istio: Vec<Value>,
    /// Resources to take away, as `Kind/namespace/name`.
    #[serde(default)]
    pub without: Vec<String>,
    pub checks: Vec<Check>,
}

impl Group {
    /// The checks whose `group / check` contains this.
    pub fn wanted(&self, only: &str) -> impl Iterator<Item = &Check> {
        let is_wanted =
            move |check: &&Check| format!("{} / {}", self.group, check.check).contains(only);
        self.checks.iter().filter(is_wanted)
    }

    /// Whether there are such.
    pub fn is_wanted(&self, only: &str) -> bool {
        self.wanted(only).next().is_some()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    pub check: String,
    /// The pod that calls.
    pub from: String,
    /// `http://AUTHORITY/PATH`, or `https://` with TLS of its own.
    pub get: Option<String>,
    pub method: Option<String>,
    pub headers: Vec<String>,
    pub body: String,
    /// HTTP/2.
    pub two: bool,
    /// Where to connect when that is not the authority.
    pub to: Option<String>,
    /// Files of the outside world by name: `ca`, `client.example.com`.
    pub tls: Option<Certificates>,
    pub tcp: Option<Tcp>,
    pub times: Option<usize>,
    pub at_once: usize,
    pub reuse: bool,
    pub limit_ms: u64,
    /// Other requests before it that are not compared: so often the same.
    pub warm_up: usize,

    /// What every answer of Envoy has: the guard against a check that tests something else than its name says.
    pub status: Option<u16>,
    /// The pods that may answer.
    pub by: Vec<String>,
    /// How the exchange ended: `whole` when nothing is said.
    pub end: Option<String>,
    /// What each answer must contain, as lines of the page.
    pub shows: Vec<String>,

    /// Compares only counts by status and pod, which may differ by this part of all.
    pub within: Option<f64>,
    /// What is not compared: `log`, `body`, `end`, names of headers.
    pub skip: Vec<String>,
    /// A pattern of what is chance in the page.
    pub mask: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Certificates {
    pub sni: Option<String>,
    pub alpn: Vec<String>,
    /// Whether to trust the outside authority only; else anyone.
    pub trust: bool,
    pub cert: Option<String>,
}

impl Check {
    /// The call, with `tag` as the user agent, which access logs show.
    ///
    /// # Errors
    /// When the check says neither what to get nor what to send.
    pub fn call(&self, tag: &str, outside: &Path) -> Result<Call> {
        let mut call = match (&self.get, &self.tcp) {
            (Some(url), None) => self.request(url, tag),
            (None, Some(tcp)) => Call { tcp: Some(tcp.clone()), ..Call::default() },
            _ => anyhow::bail!("{}: either get or tcp", self.check),
        };
        if let Some(to) = &self.to {
            call.to.clone_from(to);
        }
        if let Some(tls) = &self.tls {
            let file = |name: &str| outside.join(name).display().to_string();
            call.tls = Some(Tls {
                sni: tls.sni.clone(),
                alpn: tls.alpn.clone(),
                ca: tls.trust.then(|| file("ca.crt")),
                cert: tls.cert.as_ref().map(|name| file(&format!("{name}.crt"))),
                key: tls.cert.as_ref().map(|name| file(&format!("{name}.key"))),
            });
        }
        call.times = self.times.unwrap_or(1);
        (call.at_once, call.reuse, call.limit_ms) = (self.at_once, self.reuse, self.limit_ms);
        Ok(call)
    }

    fn request(&self, url: &str, tag: &str) -> Call {
        let mut call = Call::get(url.strip_prefix("https://").unwrap_or(url));
        if let Some(http) = &mut call.http {
            let Http { two, method, headers, body, .. } = http;
            *two = self.two;
            *method = self.method.clone().unwrap_or_else(|| "GET".into());
            headers.push(format!("user-agent: {tag}"));
            headers.extend(self.headers.iter().cloned());
            self.body.clone_into(body);
        }
        call
    }

    pub fn skips(&self, part: &str) -> bool {
        self.skip.iter().any(|skipped| skipped.eq_ignore_ascii_case(part))
    }
}

/// All groups, in the order of their files.
///
/// # Errors
/// When a file is no list of groups.
pub fn load(dir: &Path) -> Result<Vec<Group>> {
    let mut all = Vec::new();
    for path in files(dir)? {
        let context = || path.display().to_string();
        let text = fs::read_to_string(&path).with_context(context)?;
        let groups: Vec<Group> = serde_saphyr::from_multiple(&text).with_context(context)?;
        all.extend(groups);
    }
    Ok(all)
}
