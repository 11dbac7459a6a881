//! One running proxy: Envoy or Outrigger, which take the same flags and the same bootstrap.
//!
//! The group runner starts one on each side. What a proxy under test must provide is only the command
//! line that pilot-agent uses and `/ready` on its admin port.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{error, fmt, fs};

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::admin::Admin;
use crate::child::Process;

/// From start to the first `200` of `/ready`, on a machine where many start at once.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A proxy that ended instead of becoming ready.
#[derive(Debug)]
pub struct Ended {
    status: String,
    output: String,
}

impl Ended {
    /// Whether it ended because it said no, not because it crashed: 101 is a panic.
    pub fn in_order(&self) -> bool {
        self.status.starts_with("exit status") && !self.status.ends_with(" 101")
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ended with {}:\n{}", self.status, self.output)
    }
}

impl error::Error for Ended {}

#[derive(Debug)]
pub struct Proxy {
    process: Process,
    pub admin: Admin,
}

impl Proxy {
    /// Writes the bootstrap into `dir`, starts `binary` with it and waits until it is ready.
    ///
    /// # Errors
    /// When it exits or is not ready in time: the text ends with the last lines of its log.
    pub async fn start(
        binary: &Path,
        bootstrap: &Value,
        dir: &Path,
        admin_port: u16,
    ) -> Result<Self> {
        Self::start_with(binary, bootstrap, dir, admin_port, &[]).await
    }

    /// As [`Proxy::start`], with more flags; each with its value; one that is given goes before the usual one.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub async fn start_with(
        binary: &Path,
        bootstrap: &Value,
        dir: &Path,
        admin_port: u16,
        flags: &[&str],
    ) -> Result<Self> {
        let mut proxy = Self::launch(binary, bootstrap, dir, admin_port, flags)?;
        proxy.ready().await?;
        Ok(proxy)
    }

    /// As [`Proxy::start_with`], without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(
        binary: &Path,
        bootstrap: &Value,
        dir: &Path,
        admin_port: u16,
        flags: &[&str],
    ) -> Result<Self> {
        let config = dir.join("bootstrap.json");
        fs::write(&config, serde_json::to_vec_pretty(bootstrap)?)?;
        let process = Process::start(binary, &arguments(&config, flags), dir.join("proxy.log"))?;
        Ok(Self { process, admin: Admin { port: admin_port } })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it exits or is not ready in time: the text ends with the last lines of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let limit = Instant::now() + START_LIMIT;
        while !self.admin.is_ready().await {
            if let Some(status) = self.process.ended() {
                return Err(Ended { status, output: self.process.last_output(4) }.into());
            }
            if Instant::now() > limit {
                bail!("not ready after {START_LIMIT:?}:\n{}", self.process.last_output(4));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub fn last_output(&self, lines: usize) -> String {
        self.process.last_output(lines)
    }

    /// Sends a signal, named as `kill` names it.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn ended(&mut self) -> Option<String> {
        self.process.ended()
    }
}

/// One worker, so that pools and round robin are the same in every run; logs and drains without delay.
fn arguments(config: &Path, flags: &[&str]) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = [
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
        "--file-flush-interval-msec",
        "20",
        "--drain-time-s",
        "1",
        "--parent-shutdown-time-s",
        "2",
        "-c",
    ]
    .map(PathBuf::from)
    .to_vec();
    all.push(config.to_owned());
    for pair in flags.chunks(2) {
        if let Some(at) =
            pair.first().and_then(|flag| all.iter().position(|a| a.as_os_str() == *flag))
        {
            all.drain(at..at + 2);
        }
        all.extend(pair.iter().map(PathBuf::from));
    }
    all
}
