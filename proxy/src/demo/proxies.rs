//! The proxies of the demonstration: child processes of this executable, with the bootstraps that real sidecars would get.
//!
//! `OUTRIGGER_DEMO_PROXY` names another executable that takes Envoy's flags, so that the same story can be told of it.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::client::{Call, Client};
use super::error::{DemoError, system};
use super::stats::Stats;

/// From start to ready, on a slow machine.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How long a line may take from the end of its request into the log.
const LOG_LIMIT: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// Ends its process with itself, however that comes: the end of the story, an error, a panic, Ctrl-C.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    /// Beside whom it runs.
    pub(super) name: &'static str,
    /// Where its admin server listens.
    pub(super) admin: SocketAddr,
    /// What it says about itself.
    pub(super) log: PathBuf,
    /// What it says about requests; without a file if it was not told to.
    pub(super) access_log: PathBuf,
    listeners: HashMap<String, SocketAddr>,
    process: Process,
}

/// Which program the proxies are.
pub(super) fn program() -> Result<PathBuf, DemoError> {
    match env::var_os("OUTRIGGER_DEMO_PROXY") {
        Some(path) => Ok(path.into()),
        None => env::current_exe().map_err(system("the path of this program")),
    }
}

impl Proxy {
    /// Starts the proxy of `name` with this bootstrap, and waits until it serves.
    pub(super) async fn start(
        program: &Path,
        dir: &Path,
        name: &'static str,
        bootstrap: &str,
    ) -> Result<Self, DemoError> {
        let file = |kind: &str| dir.join(format!("{name}.{kind}"));
        let (config, log, address) = (file("yaml"), file("log"), file("admin"));
        fs::write(&config, bootstrap).map_err(system("a bootstrap"))?;
        let output = File::create(&log).map_err(system("a log"))?;
        let child = Command::new(program)
            .args(["--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"])
            .args(["--file-flush-interval-msec", "50", "--admin-address-path"])
            .arg(&address)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(system("a log"))?)
            .stderr(output)
            .spawn()
            .map_err(system("starting a proxy"))?;
        let mut process = Process(child);
        let limit = Instant::now() + START_LIMIT;
        let (admin, listeners) = loop {
            if let Some(found) = ready(&address).await {
                break found;
            }
            let ended = process.0.try_wait().map_err(system("a proxy"))?;
            let reason = match ended {
                Some(status) => status.to_string(),
                None if Instant::now() > limit => format!("not ready after {START_LIMIT:?}"),
                None => {
                    sleep(LOOK).await;
                    continue;
                }
            };
            let reason = format!("{reason}\n{}", end_of(&log));
            return Err(DemoError::Proxy { name, reason });
        };
        Ok(Self { name, admin, log, access_log: file("access.log"), listeners, process })
    }

    /// Where one of its listeners listens, on the port that the kernel chose.
    pub(super) fn listener(&self, name: &str) -> Result<SocketAddr, DemoError> {
        self.listeners.get(name).copied().ok_or_else(|| DemoError::Proxy {
            name: self.name,
            reason: format!("no listener '{name}'"),
        })
    }

    /// What its admin server says.
    pub(super) async fn ask(&self, path: &'static str) -> Result<String, DemoError> {
        let answer = get(self.admin, path).await;
        answer.ok_or_else(|| DemoError::Proxy {
            name: self.name,
            reason: format!("no answer to {path}\n{}", end_of(&self.log)),
        })
    }

    pub(super) async fn stats(&self) -> Result<Stats, DemoError> {
        Ok(Stats::read(&self.ask("/stats").await?))
    }

    /// The lines of its access log that say so, once there are `count`; those that there are if that takes too long.
    pub(super) async fn logged(&self, says: &str, count: usize) -> Vec<String> {
        let limit = Instant::now() + LOG_LIMIT;
        loop {
            let text = fs::read_to_string(&self.access_log).unwrap_or_default();
            let lines: Vec<String> =
                text.lines().filter(|line| line.contains(says)).map(str::to_owned).collect();
            if lines.len() >= count || Instant::now() > limit {
                return lines;
            }
            sleep(LOOK).await;
        }
    }

    /// The memory that it occupies, in MiB, where the system tells.
    pub(super) fn resident_mib(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

/// Where a proxy listens that has written its admin address, once it serves.
async fn ready(address: &Path) -> Option<(SocketAddr, HashMap<String, SocketAddr>)> {
    let admin = fs::read_to_string(address).ok()?.trim().parse().ok()?;
    get(admin, "/ready").await?;
    let listeners: Value =
        serde_json::from_str(&get(admin, "/listeners?format=json").await?).ok()?;
    let statuses = listeners.get("listener_statuses")?.as_array()?;
    let all: Option<HashMap<_, _>> = statuses.iter().map(listener).collect();
    Some((admin, all?))
}

fn listener(status: &Value) -> Option<(String, SocketAddr)> {
    let name = status.get("name")?.as_str()?.to_owned();
    let socket = status.get("local_address")?.get("socket_address")?;
    let ip = socket.get("address")?.as_str()?.parse().ok()?;
    let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
    Some((name, SocketAddr::new(ip, port)))
}

async fn get(admin: SocketAddr, path: &'static str) -> Option<String> {
    let mut replies = Client::new(admin).send(Call::to(path), 1, 1).await;
    let reply = replies.0.pop()?;
    (reply.status == 200).then_some(reply.body)
}

fn end_of(log: &Path) -> String {
    const LINES: usize = 6;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut last: Vec<&str> = text.lines().rev().take(LINES).collect();
    last.reverse();
    last.join("\n")
}
