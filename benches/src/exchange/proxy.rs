//! The proxy under callgrind.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use outrigger_tests::child::Process;
use outrigger_tests::ports::free_port;
use tempfile::TempDir;

use super::bootstrap::{Bootstrap, Ports};

/// How long it may take to end: it has no connection to wait for.
const END: Duration = Duration::from_secs(60);

/// The file in its folder that it writes to.
const OUTPUT: &str = "output";

/// A running proxy; killed when dropped.
pub(super) struct Proxy {
    pub(super) port: u16,
    process: Process,
    folder: TempDir,
}

impl Proxy {
    /// Starts `program`; its profiles go to `out-01` and so on, one for each thread.
    pub(super) fn start(
        program: &Path,
        bootstrap: Bootstrap,
        backend: u16,
        out: &Path,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let config = folder.path().join("bootstrap.yaml");
        std::fs::write(&config, bootstrap.text(folder.path(), Ports { proxy: port, backend }))?;
        let callgrind_out = format!("--callgrind-out-file={}", out.display());
        let arguments = [
            "--tool=callgrind".as_ref(),
            "--separate-threads=yes".as_ref(),
            callgrind_out.as_ref(),
            program.as_os_str(),
            "-c".as_ref(),
            config.as_os_str(),
            "--concurrency".as_ref(),
            "1".as_ref(),
            "-l".as_ref(),
            "warning".as_ref(),
        ];
        let output = folder.path().join(OUTPUT);
        let process = Process::start(Path::new("valgrind"), &arguments, output)?;
        Ok(Self { port, process, folder })
    }

    /// What it said, for a report of why it failed.
    pub(super) fn last_output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(OUTPUT)).unwrap_or_default()
    }

    /// Ends it; its profile is written then.
    pub(super) fn stop(mut self) -> Result<()> {
        self.process.signal("TERM")?;
        let begin = Instant::now();
        while begin.elapsed() < END {
            if self.process.ended().is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the proxy does not end: {}", self.last_output())
    }
}
