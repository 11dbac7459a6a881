//! Compares Envoy and Outrigger on the same files with the same work: `make bench-peers`.
//!
//! Prints a line for each round while it works, then the table, then one line of result. Exits with 1 if a row failed or is above the limit.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use std::{env, fs, future};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use outrigger_benches::peers::compare::compare;
use outrigger_benches::peers::peer::Peer;
use outrigger_benches::peers::report::{self, Origin};
use outrigger_benches::peers::round::Setting;
use outrigger_benches::peers::row;
use tokio::signal::unix::{SignalKind, signal};

/// The CPU time of a request on Outrigger in units of that on Envoy.
#[derive(Debug, Parser)]
struct Flags {
    /// Rows to run, all if not given.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// The figure of a row is the median of this many ratios.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The length of one measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The proxy that is the unit: a path, or `envoy` for ENVOY_BIN, .venv/bin/envoy or the one on PATH.
    #[arg(long, default_value = "envoy")]
    left: String,
    /// The proxy that is measured; without it the `outrigger` that was built beside this program.
    #[arg(long, visible_alias = "outrigger")]
    right: Option<String>,
    /// Write all rounds to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the table to this file, or between its marks if it has them; not if a row failed.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Only start the right proxy with the backend of the first of the rows, on port 18080, for a generator of one's own, until Ctrl-C.
    #[arg(long)]
    hold: bool,
    /// Fail if a ratio is above this.
    #[arg(long)]
    limit: Option<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let flags = Flags::parse();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Leaving a future drops the proxy that it started, which ends it.
    tokio::select! {
        done = run(&flags) => done,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn run(flags: &Flags) -> Result<ExitCode> {
    ensure!(flags.rounds > 0 && flags.seconds > 0, "nothing to measure");
    let rows = row::named(&flags.rows)?;
    let right = Peer::of_envoy_kind(&match &flags.right {
        Some(path) => path.clone(),
        None => beside()?,
    })?;
    let setting = Setting::new(Duration::from_secs(flags.seconds))?;
    if let (true, Some(row)) = (flags.hold, rows.first()) {
        let _running = setting.start(&right, row).await?;
        println!("{} is running on 127.0.0.1:18080", row.name);
        future::pending::<()>().await;
    }
    let left = Peer::of_envoy_kind(&flags.left)?;
    let mut all = Vec::new();
    for row in &rows {
        let compared = compare(&setting, [&left, &right], row, flags.rounds, |index, round| {
            let costs = [round.0.cost_us, round.1.cost_us];
            println!(
                "{} {}/{}: {:.1} us, {:.1} us, {:.3}",
                row.name,
                index + 1,
                flags.rounds,
                costs[0],
                costs[1],
                costs[1] / costs[0]
            );
        });
        let compared = compared.await;
        if let Err(error) = &compared.rounds {
            println!("{}: {error:#}", row.name);
        }
        all.push(compared);
    }
    let origin = origin(flags);
    let table = report::markdown(&all, &origin);
    println!("\n{table}");
    // A page keeps its last whole table.
    if let Some(path) = &flags.markdown
        && all.iter().all(|compared| compared.rounds.is_ok())
    {
        let page = fs::read_to_string(path).unwrap_or_default();
        write(path, &report::placed(&page, &table))?;
    }
    if let Some(path) = &flags.json {
        write(path, &serde_json::to_string_pretty(&report::document(&all, &origin))?)?;
    }
    let (line, passes) = report::verdict(&all, flags.limit);
    println!("{line}");
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn beside() -> Result<String> {
    let path = env::current_exe()?.with_file_name("outrigger");
    ensure!(path.is_file(), "no {}: cargo build --profile bench --bin outrigger", path.display());
    Ok(path.display().to_string())
}

fn origin(flags: &Flags) -> Origin {
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cores.lines().find_map(|line| line.strip_prefix("model name"));
    let core =
        model.and_then(|rest| rest.split_once(':')).map_or("unknown", |(_, name)| name.trim());
    Origin {
        date: httpdate::fmt_http_date(SystemTime::now()),
        core: core.to_owned(),
        command: command(flags),
        rounds: flags.rounds,
        seconds: flags.seconds,
    }
}

/// What makes this table again; where it was written to does not matter.
fn command(flags: &Flags) -> String {
    let mut command = "bench-peers".to_owned();
    if !flags.rows.is_empty() {
        command += &format!(" --rows {}", flags.rows.join(","));
    }
    command += &format!(" --rounds {} --seconds {}", flags.rounds, flags.seconds);
    if flags.left != "envoy" {
        command += &format!(" --left {}", flags.left);
    }
    if let Some(right) = &flags.right {
        command += &format!(" --right {right}");
    }
    command
}
