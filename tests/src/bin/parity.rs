//! `parity`: the same bootstrap and bytes on two binaries. `make parity` runs it with Envoy on the left
//! and Outrigger on the right; with Envoy on both sides it finds cases that do not repeat.

use std::fs;
use std::future::pending;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use outrigger_tests::binary::locate;
use outrigger_tests::certs::Certs;
use outrigger_tests::generate;
use outrigger_tests::parity::case::{self, Group};
use outrigger_tests::parity::compare::Verdict;
use outrigger_tests::parity::listed;
use outrigger_tests::parity::run::{Outcome, Run};
use outrigger_tests::scratch::Scratch;

#[derive(Debug, Parser)]
struct Flags {
    /// The reference: `envoy` or a path.
    #[arg(long, default_value = "envoy")]
    left: String,
    /// What is compared with it: `envoy` or a path.
    #[arg(long, default_value = "target/debug/outrigger")]
    right: String,
    /// Only cases whose `file / group / name` contains this.
    #[arg(long, default_value = "")]
    only: String,
    #[arg(long, default_value = "tests/parity/cases")]
    cases: PathBuf,
    /// Groups that run at the same time; most of a case is waiting.
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Prints what the left side showed of every case.
    #[arg(long)]
    show: bool,
    /// How many random pairs of a route table and a request are compared.
    #[arg(long, default_value_t = 500)]
    pairs: usize,
    /// Repeats the random pairs of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the table of listed differences into docs/parity.md and ends.
    #[arg(long)]
    write_docs: bool,
}

fn main() -> ExitCode {
    parity().unwrap_or_else(|error| {
        eprintln!("parity: {error:#}");
        ExitCode::FAILURE
    })
}

fn parity() -> Result<ExitCode> {
    let flags = Flags::parse();
    let groups = case::load(&flags.cases)?;
    if flags.write_docs {
        let old = fs::read_to_string("docs/parity.md").context("docs/parity.md")?;
        fs::write("docs/parity.md", listed::document(&old, &groups)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = run(&flags, groups) => done,
            // Returning ends the proxies: they are children that die with their owners.
            () = interrupted() => bail!("interrupted"),
        }
    })
}

async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn run(flags: &Flags, groups: Vec<Group>) -> Result<ExitCode> {
    let scratch = Scratch::new()?;
    let run = Run {
        left: locate(&flags.left)?,
        right: locate(&flags.right)?,
        certs: Arc::new(Certs::create(&scratch.path().join("certs"))?),
    };
    let permits = Arc::new(Semaphore::new(flags.jobs));
    let mut tasks = JoinSet::new();
    for group in groups {
        let (run, permits, only) = (run.clone(), Arc::clone(&permits), flags.only.clone());
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            run.group(&group, &only).await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = tasks.join_next().await {
        outcomes.append(&mut done??);
    }
    if flags.pairs > 0 && "generated".starts_with(&flags.only) {
        let seed = flags.seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
        println!("generated: {} pairs with --seed {seed}", flags.pairs);
        outcomes.append(&mut generate::run(&run, seed, flags.pairs).await);
    }
    Ok(summary(outcomes, flags.show))
}

fn summary(mut outcomes: Vec<Outcome>, show: bool) -> ExitCode {
    outcomes.sort_by(|a, b| a.title.cmp(&b.title));
    let (mut equal, mut listed, mut different) = (0, 0, 0);
    let mut out = String::new();
    for outcome in &outcomes {
        if show {
            out += &format!("{}\n{}\n\n", outcome.title, outcome.page.join("\n"));
        }
        match &outcome.verdict {
            Verdict::Equal => equal += 1,
            Verdict::Listed => listed += 1,
            Verdict::Different(how) => {
                different += 1;
                out += &format!("different: {}\n{how}\n", outcome.title);
            }
        }
    }
    let cases = outcomes.len();
    out +=
        &format!("parity: {cases} cases, {equal} equal, {listed} listed, {different} different\n");
    // A reader that has seen enough, as `head`, is no failure of the run.
    drop(io::stdout().write_all(out.as_bytes()));
    // A filter that matches nothing must not look like success.
    if different > 0 || cases == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
