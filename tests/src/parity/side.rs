//! One side of the comparison: a proxy, upstreams of its own, and what is observed there per case.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use super::bootstrap;
use super::case::{Case, Group};
use super::names::Names;
use crate::certs::Certs;
use crate::client::{Ends, Heard};
use crate::ports::free_port;
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::text;
use crate::upstream::Upstreams;
use crate::upstream::record::Seen;
use crate::upstream::script::Script;

#[derive(Debug)]
pub struct Side {
    pub names: Names,
    proxy: Proxy,
    upstreams: Upstreams,
    ends: Ends,
    scratch: Scratch,
    /// Bytes of the access log that belong to earlier cases.
    log_read: usize,
    counters_before: BTreeMap<String, i64>,
}

/// Everything that can be seen of one case on one side.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    pub heard: Vec<Heard>,
    pub seen: Vec<Seen>,
    pub log: Vec<String>,
    /// How long the log was when it was read.
    pub log_length: usize,
    /// Changes since the case began.
    pub counters: BTreeMap<String, i64>,
}

impl Side {
    /// Starts upstreams and then the proxy.
    ///
    /// # Errors
    /// When the group's data is wrong or the proxy does not become ready.
    pub async fn start(binary: &Path, group: &Group, certs: &Arc<Certs>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let upstreams = Upstreams::start(certs, scratch.path()).await?;
        let mut ports = upstreams.ports.clone();
        let admin = free_port()?;
        ports.insert("ADMIN".to_owned(), admin);
        for name in group.listeners.keys() {
            ports.insert(name.clone(), free_port()?);
        }
        let names = Names::new(ports.clone(), scratch.path(), certs.dir())?;
        let mut config = bootstrap::build(group)?;
        names.fill_all(&mut config)?;
        let proxy = match Proxy::start(binary, &config, scratch.path(), admin).await {
            Ok(proxy) => proxy,
            Err(error) if group.refused => return Err(error),
            Err(error) => {
                scratch.keep();
                return Err(error.context(format!("files are in {}", scratch.path().display())));
            }
        };
        let recorder = Arc::clone(&upstreams.recorder);
        let ends =
            Ends { ports, dir: scratch.path().to_owned(), certs: Arc::clone(certs), recorder };
        Ok(Self {
            names,
            proxy,
            upstreams,
            ends,
            scratch,
            log_read: 0,
            counters_before: BTreeMap::new(),
        })
    }

    /// The port of a listener.
    ///
    /// # Errors
    /// When the group has no such listener.
    pub fn port(&self, listener: &str) -> Result<u16> {
        self.ends.ports.get(listener).copied().with_context(|| format!("no listener {listener}"))
    }

    /// Begins a case. Log lines that came after the end of the one before are returned.
    ///
    /// # Errors
    /// When the script is wrong or the admin port does not answer.
    pub async fn begin(&mut self, case: &Case, counters: &[String]) -> Result<Vec<String>> {
        let (stray, length) = self.log_lines();
        self.log_read = length;
        self.upstreams.recorder.begin(Script::from_value(case.options.upstream.clone())?);
        self.counters_before = self.counters(counters).await?;
        Ok(stray)
    }

    /// Runs the clients of a case, in order or all at once.
    ///
    /// # Errors
    /// When the case is wrong.
    pub async fn run(&self, case: &Case) -> Result<Vec<Heard>> {
        let mut clients = case.clients.clone();
        for client in &mut clients {
            for text in client.texts() {
                *text = self.names.fill(text)?;
            }
        }
        if !case.options.concurrent {
            let mut heard = Vec::new();
            for client in &clients {
                heard.push(client.run(&self.ends).await?);
            }
            return Ok(heard);
        }
        let mut tasks = JoinSet::new();
        for (index, client) in clients.into_iter().enumerate() {
            let ends = self.ends.clone();
            tasks.spawn(async move { anyhow::Ok((index, client.run(&ends).await?)) });
        }
        let mut heard = tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        heard.sort_by_key(|(index, _)| *index);
        Ok(heard.into_iter().map(|(_, heard)| heard).collect())
    }

    /// What there is to see now, beside what the clients heard.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub async fn observe(&self, heard: &[Heard], counters: &[String]) -> Result<Observation> {
        let now = self.counters(counters).await?;
        // A counter that is not there yet stands at zero: both proxies make some at their first use.
        let at =
            |counters: &BTreeMap<String, i64>, name: &str| counters.get(name).copied().unwrap_or(0);
        let change = |name: &String| {
            let filled = self.names.fill(name).unwrap_or_default();
            (name.clone(), at(&now, &filled) - at(&self.counters_before, &filled))
        };
        let (log, log_length) = self.log_lines();
        Ok(Observation {
            heard: heard.to_vec(),
            seen: self.upstreams.recorder.seen(),
            log,
            log_length,
            counters: counters.iter().map(change).collect(),
        })
    }

    async fn counters(&self, names: &[String]) -> Result<BTreeMap<String, i64>> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names: Vec<_> =
            names.iter().map(|name| self.names.fill(name)).collect::<Result<_>>()?;
        self.proxy.admin.stats(&names).await.context("counters")
    }

    /// Log lines that came after the end of the last case.
    pub fn stray(&self) -> Vec<String> {
        self.log_lines().0
    }

    /// Ends a case: what the log held then belongs to it.
    pub fn end(&mut self, seen: &Observation) {
        self.log_read = seen.log_length;
    }

    /// The lines since the last case, and the length of the log with them.
    fn log_lines(&self) -> (Vec<String>, usize) {
        // Absent until the proxy has opened it.
        let log = fs::read(self.scratch.path().join("access.log")).unwrap_or_default();
        let new = log.get(self.log_read..).unwrap_or_default();
        let lines = new.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let shown = lines.map(|line| self.names.normalize(&text::show(line)));
        (shown.collect(), log.len())
    }

    /// Those of the names that the proxy has no counter for.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub async fn unknown(&self, names: &[String]) -> Result<Vec<String>> {
        let known = self.counters(names).await?;
        let is_known =
            |name: &String| self.names.fill(name).is_ok_and(|name| known.contains_key(&name));
        Ok(names.iter().filter(|name| !is_known(name)).cloned().collect())
    }

    /// Why the proxy is gone, if it is.
    pub fn death(&mut self) -> Option<String> {
        let status = self.proxy.ended()?;
        Some(format!("the proxy ended with {status}\n{}\n", self.proxy.last_output(4)))
    }

    /// Leaves bootstrap and logs on disk for whoever reads the failure, and tells where.
    pub fn keep_files(&self) -> String {
        self.scratch.keep();
        self.scratch.path().display().to_string()
    }
}
