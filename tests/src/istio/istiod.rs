//! istiod in a namespace of its own: started, killed and started again, asked what proxies have acknowledged.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::app::CALLER;
use super::call::Call;
use super::net::Namespace;
use super::process::{Process, Start};
use super::tools::Tools;

const START_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Istiod {
    process: Option<Process>,
    /// In the same namespace, because istiod tells its state to loopback only.
    _app: Process,
    socket: PathBuf,
    dir: PathBuf,
    start: Settings,
    namespace: String,
}

/// How istiod is started, each time.
#[derive(Clone, Debug)]
pub struct Settings {
    pub program: PathBuf,
    pub config: PathBuf,
    pub mesh: PathBuf,
    pub authority: PathBuf,
    pub kubernetes: PathBuf,
    pub environment: Vec<(String, String)>,
}

impl Istiod {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(
        namespace: &Namespace,
        dir: &Path,
        tools: &Tools,
        start: Settings,
    ) -> Result<Self> {
        let socket = dir.join("istiod.sock");
        let app = Start {
            arguments: vec![CALLER.into(), socket.display().to_string()],
            ..Start::new(&namespace.name, &tools.app)
        };
        let app = app.run(dir.join("istiod.app.log"))?;
        let name = namespace.name.clone();
        let mut istiod =
            Self { process: None, _app: app, socket, dir: dir.into(), start, namespace: name };
        istiod.revive()?;
        Ok(istiod)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops or continues it: its connections stay, and nothing comes.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn stall(&self, stalled: bool) -> Result<()> {
        let process = self.process.as_ref().context("istiod does not run")?;
        process.signal(if stalled { "STOP" } else { "CONT" })
    }

    /// Starts it again after [`Istiod::kill`], and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub fn revive(&mut self) -> Result<()> {
        let settings = &self.start;
        let path = |path: &Path| path.display().to_string();
        let mut environment: Vec<(String, String)> = [
            ("POD_NAMESPACE", "istio-system"),
            ("POD_NAME", "istiod-0"),
            ("PILOT_CERT_PROVIDER", "istiod"),
            ("ENABLE_CA_SERVER", "true"),
            ("ROOT_CA_DIR", &path(&settings.authority)),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        environment.extend(settings.environment.iter().cloned());
        let flags = [
            ("-host", "0.0.0.0".into()),
            ("-config", path(&settings.config)),
            ("-mesh", path(&settings.mesh)),
            ("-kubernetes", path(&settings.kubernetes)),
        ];
        let start = Start {
            arguments: flags
                .into_iter()
                .flat_map(|(flag, value)| [flag.to_owned(), value])
                .collect(),
            environment,
            directory: Some(&self.dir),
            with_input: true,
            ..Start::new(&self.namespace, &settings.program)
        };
        let mut process = start.run(self.dir.join("istiod.log"))?;
        let limit = Instant::now() + START_LIMIT;
        while !self.socket.exists() || !self.is_ready() {
            if process.has_ended() || Instant::now() > limit {
                bail!("istiod is not ready: {}", process.last_output(8));
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.process = Some(process);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.ask("ready").is_ok()
    }

    /// Has it read the folder of Kubernetes objects again.
    ///
    /// # Errors
    /// When it does not say that it has.
    pub fn reread(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("istiod does not run")?;
        let told = |process: &Process| {
            let text = fs::read_to_string(&process.output).unwrap_or_default();
            text.matches("\nkubernetes ").count()
        };
        let before = told(process);
        process.input().context("no input")?.write_all(b"\n")?;
        for _ in 0..100 {
            if told(process) > before {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("istiod did not read the objects: {}", process.last_output(4))
    }

    /// The body of one of its pages.
    ///
    /// # Errors
    /// When it does not answer with 200.
    pub fn ask(&self, page: &str) -> Result<String> {
        let mut call = Call::get(&format!("http://127.0.0.1:8080/{page}"));
        call.limit_ms = 5_000;
        let answer = call.answers(&self.socket)?.pop().context("no answer")?;
        anyhow::ensure!(answer.status == 200, "/{page}: {} {}", answer.status, answer.end);
        Ok(answer.body)
    }

    /// What each connected proxy was sent and has acknowledged.
    ///
    /// # Errors
    /// When istiod does not tell.
    pub fn state(&self) -> Result<State> {
        let page: Value = serde_json::from_str(&self.ask("debug/syncz")?)?;
        let list = page.as_array().or_else(|| page.get("proxies")?.as_array()).cloned();
        let proxies = list.unwrap_or_default();
        let text = |proxy: &Value, field: String| {
            proxy.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let nonces = |proxy: &Value, end: &str| {
            TYPES.map(|kind| text(proxy, format!("{kind}_{end}"))).join(" ")
        };
        let mut all: Vec<Sync> = proxies
            .iter()
            .map(|proxy| Sync {
                name: text(proxy, "proxy".into()),
                sent: nonces(proxy, "sent"),
                acknowledged: nonces(proxy, "acked"),
            })
            .collect();
        // istiod lists them in the order of a hash map.
        all.sort();
        Ok(State(all))
    }

    /// Waits until what was written after `before` is pushed and acknowledged everywhere; false when it is not in time.
    pub fn settle(&self, before: &State, proxies: usize, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut last = State::default();
        let mut pushed = false;
        while Instant::now() < end {
            let Ok(now) = self.state() else { continue };
            pushed |= now.sent() != before.sent();
            // Not between two pushes, nor between the types of one.
            if pushed && now.is_synced(proxies) && now == last {
                return true;
            }
            last = now;
            thread::sleep(SETTLE);
        }
        false
    }
}

/// How long nothing more must be sent.
const SETTLE: Duration = Duration::from_millis(120);
const TYPES: [&str; 4] = ["cluster", "listener", "route", "endpoint"];

/// Every connected proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State(Vec<Sync>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sync {
    name: String,
    sent: String,
    acknowledged: String,
}

impl State {
    fn sent(&self) -> Vec<&str> {
        self.0.iter().map(|proxy| proxy.sent.as_str()).collect()
    }

    /// Whether so many proxies have acknowledged what they were sent.
    pub fn is_synced(&self, proxies: usize) -> bool {
        self.0.len() >= proxies && self.0.iter().all(|proxy| proxy.sent == proxy.acknowledged)
    }

    /// The names of those that have not.
    pub fn behind(&self) -> Vec<&str> {
        let behind = self.0.iter().filter(|proxy| proxy.sent != proxy.acknowledged);
        behind.map(|proxy| proxy.name.as_str()).collect()
    }
}
