//! `bench-counts`: counts the exchanges, reads what gungraun has counted of functions, and holds both to their limits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::Parser;
use outrigger_benches::limits::{self, Count, Counts};
use outrigger_benches::{exchange, summaries};

/// Instructions and allocations, held to their limits. Needs valgrind.
#[derive(Debug, Parser)]
struct Flags {
    /// The proxy: built with the profile `bench`, which is what ships. By default the one beside this program.
    #[arg(long, value_name = "PATH")]
    outrigger: Option<PathBuf>,
    /// Where gungraun has left its summaries. By default `gungraun` beside this program's folder.
    #[arg(long, value_name = "FOLDER")]
    gungraun: Option<PathBuf>,
    /// The limits.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/limits.json"))]
    limits: PathBuf,
    /// Writes what was reached as the new limits.
    #[arg(long)]
    update: bool,
    /// Leaves the profiles of exchanges here, for `callgrind_annotate`.
    #[arg(long, value_name = "FOLDER")]
    profiles: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-counts: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False if a limit does not hold.
fn run(flags: &Flags) -> Result<bool> {
    let program = std::env::current_exe()?;
    let built = program.parent().context("no folder")?;
    let outrigger = flags.outrigger.clone().unwrap_or_else(|| built.join("outrigger"));
    let gungraun = flags.gungraun.clone().unwrap_or_else(|| built.join("../gungraun"));
    let folder = tempfile::tempdir()?;
    let profiles = flags.profiles.as_deref().unwrap_or_else(|| folder.path());
    std::fs::create_dir_all(profiles)?;

    let mut counts = summaries::read(&gungraun)?;
    counts.extend(exchanges(&outrigger, profiles)?);
    if flags.update {
        limits::write(&flags.limits, &counts)?;
    }
    let limits = limits::read(&flags.limits)?;
    print!("{}", limits::table(&counts, &limits));
    let wrong = limits::violations(&counts, &limits);
    for violation in &wrong {
        println!("FAILED: {violation}");
    }
    println!("{} counts, {} above their limits", counts.len(), wrong.len());
    Ok(wrong.is_empty())
}

/// All exchanges at once: instructions do not depend on what else runs.
fn exchanges(outrigger: &Path, profiles: &Path) -> Result<Counts> {
    thread::scope(|scope| {
        let running = exchange::ALL.map(|(name, bootstrap)| {
            let cost = move || exchange::cost(outrigger, name, bootstrap, profiles);
            (name, scope.spawn(cost))
        });
        let mut counts = BTreeMap::new();
        for (name, cost) in running {
            let cost = cost.join().map_err(|_| anyhow::anyhow!("{name}: panic"))?;
            let cost = cost.context(name)?;
            let exchange::Cost { instructions, allocations } = cost;
            let count = Count { instructions, allocations: Some(allocations) };
            counts.insert(format!("exchange/{name}"), count);
        }
        Ok(counts)
    })
}
