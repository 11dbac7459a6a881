//! A process of the harness: started with its output in a file, ended by its pid when dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

#[derive(Debug)]
pub struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts `program`; standard output and error go to the file `output`.
    ///
    /// # Errors
    /// When the program cannot be started or the file cannot be made.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        output: PathBuf,
    ) -> Result<Self> {
        let log = File::create(&output).with_context(|| output.display().to_string())?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, output })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, named as `kill` names it.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status()?;
        anyhow::ensure!(status.success(), "kill -s {name} {pid}: {status}");
        Ok(())
    }

    /// The exit status as text, once the process has ended by itself.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// The last lines that it logged, for a report of why it failed; long ones are cut.
    pub fn last_output(&self, lines: usize) -> String {
        const WIDTH: usize = 700;
        let text = fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // Envoy logs a refused configuration as a document of many lines: only what says why is wanted.
        let tells = |line: &&str| {
            line.starts_with(['[', 'o'])
                || ["error", "failed", "invalid"].iter().any(|word| line.contains(word))
        };
        let cut = |line: &str| line.chars().take(WIDTH).collect::<String>();
        let mut last: Vec<String> = text.lines().rev().filter(tells).take(lines).map(cut).collect();
        last.reverse();
        last.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::{process, thread};

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_process_ends_with_its_owner_and_its_output_stays_readable() {
        let scratch = Scratch::new().unwrap();
        let shell = Path::new("/bin/sh");
        let mut done = Process::start(
            shell,
            &["-c", "echo [one]; echo [two] >&2; echo }; exit 3"],
            scratch.path().join("a"),
        )
        .unwrap();
        while done.ended().is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(done.ended().unwrap(), "exit status: 3");
        assert_eq!(done.last_output(1), "[two]");

        let running = Process::start(shell, &["-c", "sleep 60"], scratch.path().join("b")).unwrap();
        let stat = format!("/proc/{}/stat", running.child.id());
        assert!(Path::new(&stat).exists() && running.child.id() != process::id());
        drop(running);
        assert!(!Path::new(&stat).exists());
    }
}
