//! Commands that set the mesh up, and processes that live in a network namespace.
//!
//! A process leads a group of its own, because pilot-agent has the proxy as a child. It is ended with its namespace: whatever runs in one is ours.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// When it cannot be run, or fails: the text then has what it printed as an error.
pub fn run<A: AsRef<OsStr>>(words: &[A]) -> Result<String> {
    let (program, arguments) = words.split_first().context("an empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| program.as_ref().to_string_lossy().into_owned())?;
    let told = || {
        let words: Vec<_> = words.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        format!("{}: {}{}", words.join(" "), String::from_utf8_lossy(&output.stderr), output.status)
    };
    ensure!(output.status.success(), "{}", told());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`run`], of words in one text.
///
/// # Errors
/// As [`run`].
pub fn sh(words: &str) -> Result<String> {
    run(&words.split_whitespace().collect::<Vec<_>>())
}

#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    pub output: PathBuf,
}

/// What to start.
#[derive(Debug)]
pub struct Start<'a> {
    pub namespace: &'a str,
    /// The user to run as; none is root.
    pub user: Option<u32>,
    pub program: &'a Path,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub directory: Option<&'a Path>,
    /// Keep its standard input open.
    pub with_input: bool,
}

impl<'a> Start<'a> {
    /// A program without arguments, as root.
    pub fn new(namespace: &'a str, program: &'a Path) -> Self {
        Self {
            namespace,
            program,
            user: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            with_input: false,
        }
    }

    /// Starts it, with its output at the end of a file that it may open again by any name.
    ///
    /// # Errors
    /// When it cannot be started or the file not be made.
    pub fn run(self, output: PathBuf) -> Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(&output)?;
        // The proxy opens /dev/stdout again, as a user that did not make the file.
        fs::set_permissions(&output, fs::Permissions::from_mode(0o666))?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace]);
        if let Some(user) = self.user {
            let user = user.to_string();
            command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"]);
        }
        command.arg(self.program).args(self.arguments).envs(self.environment);
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        let input = if self.with_input { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(log.try_clone()?).stderr(log).process_group(0);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let input = child.stdin.take();
        Ok(Process { child, input, output })
    }
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn input(&mut self) -> Option<&mut ChildStdin> {
        self.input.as_mut()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    /// Sends a signal, named as `kill` names it, to this process alone.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        sh(&format!("kill -s {name} {}", self.pid())).map(drop)
    }

    /// Sends a signal to it and to what it has started.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal_all(&self, name: &str) -> Result<()> {
        sh(&format!("kill -s {name} -- -{}", self.pid())).map(drop)
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        // It is over either way.
        drop(self.child.wait());
    }

    /// The end of what it wrote.
    pub fn last_output(&self, lines: usize) -> String {
        let text = fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has gone already.
        drop(self.signal_all("KILL"));
        self.wait();
    }
}
