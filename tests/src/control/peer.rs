//! The process of the control plane, and what it says.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lines that may wait for a test that looks at them.
const LINES: usize = 65_536;

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    process: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<Value>,
    /// What was said while something else was waited for.
    passed: VecDeque<Value>,
    /// Where it listens.
    pub address: String,
}

impl ControlPlane {
    /// Starts one that serves the files of `directory` as `version`, at `address`: a path, or an IP address and port.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub async fn start(directory: &Path, version: &str, address: &str) -> Result<Self> {
        let network = if address.contains('/') { "-unix" } else { "-tcp" };
        if network == "-unix" {
            // The one before may have left it.
            drop(fs::remove_file(address));
        }
        let mut process = Command::new(program()?)
            .args(["-version", version, network, address, "-dir"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().context("no standard input")?;
        let output = process.stdout.take().context("no standard output")?;
        let (sender, lines) = mpsc::channel(LINES);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { continue };
                // A test that does not listen misses lines; the control plane never waits.
                if let Err(TrySendError::Closed(_)) = sender.try_send(line) {
                    return;
                }
            }
        });
        let mut plane =
            Self { process, input, lines, passed: VecDeque::new(), address: String::new() };
        let line = plane.until(|line| word(line, "event") == "listening").await?;
        plane.address = word(&line, "address").to_owned();
        Ok(plane)
    }

    /// The next event that is `wanted`.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Result<Value> {
        let look = async {
            loop {
                let line = match self.passed.pop_front() {
                    Some(line) => line,
                    None => self.lines.recv().await.context("the control plane has ended")?,
                };
                if wanted(&line) {
                    return Ok(line);
                }
            }
        };
        timeout(PATIENCE, look).await.context("the control plane was not asked that")?
    }

    /// The next request about a type, by the last word of its name, that is `wanted`.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn request(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let is_kind = |line: &Value| word(line, "type").ends_with(kind);
        self.until(|line| word(line, "event") == "request" && is_kind(line) && wanted(line)).await
    }

    /// The next refusal of a type: what the proxy says of it.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn refusal(&mut self, kind: &str) -> Result<String> {
        let request = self.request(kind, |line| !word(line, "error").is_empty()).await?;
        Ok(word(&request, "error").to_owned())
    }

    /// Lets it read its files again, and serve them as `version`. What it was asked before is forgotten.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn load(&mut self, version: &str) -> Result<()> {
        self.passed.clear();
        while self.lines.try_recv().is_ok() {}
        writeln!(self.input, "{version}")?;
        let mut passed = VecDeque::new();
        self.until(|line| {
            let is_it = word(line, "event") == "loaded" && word(line, "version") == version;
            if !is_it {
                passed.push_back(line.clone());
            }
            is_it
        })
        .await?;
        // It may have been asked before it says that it has served.
        self.passed = passed;
        Ok(())
    }
}

impl Drop for ControlPlane {
    /// Ends it as a crash does.
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A text in an event.
fn word<'a>(line: &'a Value, field: &str) -> &'a str {
    line.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Builds the program once in a process; Go keeps what has not changed.
fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/controlplane");
    let test = env::current_exe()?;
    let directory = test.ancestors().nth(2).context("a test without a directory")?;
    let program = directory.join("controlplane");
    // Several tests may build at once: each has a file of its own, and the last one stays.
    let own = directory.join(format!("controlplane-{}", std::process::id()));
    let status = Command::new("go")
        .args(["build", "-p", "2", "-o"])
        .arg(&own)
        .arg(".")
        .current_dir(source)
        .status()
        .context("this test needs Go 1.24 or newer (https://go.dev)")?;
    if !status.success() {
        bail!("go build: {status}");
    }
    fs::rename(&own, &program)?;
    Ok(program)
}
