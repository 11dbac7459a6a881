//! How a proxy is started on a row's file.
//!
//! What differs between peers is one [`Peer`]: its program, what its files end with, and its flags. A proxy with a language of its own is one more constructor, and
//! one more file for each row that it takes part in.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use outrigger_tests::binary;
use outrigger_tests::child::Process;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::cores::Cores;
use super::load::PORT;
use super::row::Row;

const START_LIMIT: Duration = Duration::from_secs(20);

/// One of the proxies that are compared.
#[derive(Clone, Debug)]
pub struct Peer {
    program: PathBuf,
    /// What the names of its rows' files end with.
    ending: &'static str,
    arguments: fn(&Path) -> Vec<OsString>,
}

impl Peer {
    /// Envoy, or a proxy that takes Envoy's flags and files; `envoy` stands for the one of `ENVOY_BIN`, else of `.venv/bin`, else of `PATH`.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn of_envoy_kind(program: &str) -> Result<Self> {
        let program = match (program, binary::locate(program)) {
            (_, Ok(path)) => path,
            ("envoy", Err(error)) => on_path("envoy").ok_or(error)?,
            (_, Err(error)) => return Err(error),
        };
        Ok(Self { program, ending: "yaml", arguments: as_envoy })
    }

    /// Starts it on the row's file in `scratch`, on the proxy's core, and waits until it takes connections.
    ///
    /// # Errors
    /// When it ends instead, or does not listen in time: the text ends with the last lines of its log.
    pub async fn start(
        &self,
        row: &Row,
        scratch: &Path,
        certs: &Path,
        cores: Cores,
    ) -> Result<Process> {
        // Envoy shares a port with whoever has it: half of the load would go there.
        drop(TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).context("the proxy's port 18080")?);
        let file = write(row, self.ending, scratch, certs)?;
        let log = scratch.join("proxy.log");
        let arguments = (self.arguments)(&file);
        let mut process = cores.beside(|| Process::start(&self.program, &arguments, log))?;
        let limit = Instant::now() + START_LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).await.is_err() {
            if let Some(status) = process.ended() {
                bail!("ended with {status}:\n{}", process.last_output(4));
            }
            if Instant::now() > limit {
                bail!("does not listen after {START_LIMIT:?}:\n{}", process.last_output(4));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(process)
    }
}

/// One worker, as both sides of a comparison must have.
fn as_envoy(file: &Path) -> Vec<OsString> {
    let mut all: Vec<OsString> =
        ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning", "-c"]
            .map(OsString::from)
            .to_vec();
    all.push(file.into());
    all
}

/// A program of this name.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let all = env::var_os("PATH")?;
    env::split_paths(&all).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Writes the row's file with its placeholders filled, and returns where.
fn write(row: &Row, ending: &str, scratch: &Path, certs: &Path) -> Result<PathBuf> {
    let name = format!("{}.{ending}", row.file);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(&name);
    let text = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let path = scratch.join(name);
    fs::write(&path, fill(&text, scratch, certs))?;
    Ok(path)
}

/// `RUN/` becomes a folder to write to, `CERTS/` the one of the certificates.
fn fill(text: &str, run: &Path, certs: &Path) -> String {
    text.replace("RUN/", &format!("{}/", run.display()))
        .replace("CERTS/", &format!("{}/", certs.display()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use outrigger_tests::scratch::Scratch;

    use super::*;
    use crate::peers::identity::Identity;
    use crate::peers::row::ROWS;

    #[test]
    fn placeholders_are_filled_wherever_they_stand_and_nothing_else_changes() {
        let text = "path: RUN/a.log\nx: [CERTS/ca.pem, CERTS/leaf.pem]\ny: RUNNING CERTS\n";
        let filled = fill(text, Path::new("/r"), Path::new("/c"));
        assert_eq!(filled, "path: /r/a.log\nx: [/c/ca.pem, /c/leaf.pem]\ny: RUNNING CERTS\n");
    }

    #[test]
    fn envoy_takes_the_file_of_every_row() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let venv = root.join(".venv/bin/envoy");
        let envoy = env::var_os("ENVOY_BIN")
            .map(PathBuf::from)
            .or_else(|| venv.is_file().then_some(venv))
            .or_else(|| on_path("envoy"))
            .expect("an Envoy: ENVOY_BIN, or `make setup`");
        let scratch = Scratch::new().unwrap();
        let certs = scratch.path().join("certs");
        Identity::create(&certs).unwrap();
        for row in ROWS {
            let file = write(&row, "yaml", scratch.path(), &certs).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("RUN/") && !text.contains("CERTS/"), "{}", row.name);
            let output = Command::new(&envoy)
                .args(["--mode", "validate", "--log-level", "error"])
                .args(["--use-dynamic-base-id", "-c"])
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", row.name);
        }
    }
}
