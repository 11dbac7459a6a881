//! `istio`: the same mesh under the real istiod with Envoy and with Outrigger as the proxy of every pod. `make istio` runs it.
//!
//! It needs root for network namespaces; elsewhere it says so and ends in order. Whatever happens, nothing of it stays on the machine.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::{future, thread};

use anyhow::{Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use outrigger_tests::binary::locate;
use outrigger_tests::istio::check::{self, Group};
use outrigger_tests::istio::compare::{self, Row, Verdict};
use outrigger_tests::istio::mesh::{Mesh, Plan};
use outrigger_tests::istio::net;
use outrigger_tests::istio::scenario;
use outrigger_tests::istio::table::table;
use outrigger_tests::istio::tools::{Tools, behind_script, hindrance};
use outrigger_tests::scratch;

#[derive(Clone, Debug, Parser)]
struct Flags {
    /// The reference: `envoy` or a path.
    #[arg(long, default_value = "envoy")]
    left: String,
    /// What is compared with it: `envoy`, a path, or `none`.
    #[arg(long, default_value = "target/debug/outrigger")]
    right: String,
    /// Only checks whose `group / check` contains this, and scenarios whose name does.
    #[arg(long, default_value = "")]
    only: String,
    #[arg(long, default_value = "tests/istio/checks")]
    checks: PathBuf,
    /// Only this set: `seed` or `rich`.
    #[arg(long)]
    set: Option<String>,
    /// How long configuration is rewritten under load.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Requests a second meanwhile, of each version of HTTP.
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Prints what the left side showed of every check.
    #[arg(long)]
    show: bool,
    /// Leaves the mesh running until it is interrupted.
    #[arg(long)]
    hold: bool,
}

fn main() -> ExitCode {
    if let Some(why) = hindrance() {
        eprintln!("istio: NOT RUN: {why}");
        return ExitCode::SUCCESS;
    }
    net::sweep(false);
    let flags = Flags::parse();
    let (done, over) = tokio::sync::oneshot::channel();
    let work = thread::spawn(move || {
        let result = run(&flags);
        // Nobody listens any more only when the process ends anyway.
        let _ = done.send(());
        result
    });
    match wait(over) {
        Ok(()) => {}
        Err(why) => {
            // The thread is in the middle of something: what it made is found by name.
            net::sweep(true);
            scratch::sweep();
            eprintln!("istio: {why:#}");
            process::exit(1);
        }
    }
    match work.join() {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("istio: {error:#}");
            ExitCode::FAILURE
        }
        Err(_) => {
            net::sweep(true);
            ExitCode::FAILURE
        }
    }
}

/// Until the work is over; an error when the process is to end before.
fn wait(over: tokio::sync::oneshot::Receiver<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ended = async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return future::pending().await;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::select! {
            // A thread that panicked has dropped its end: joining tells.
            _ = over => Ok(()),
            () = ended => bail!("interrupted"),
        }
    })
}

fn run(flags: &Flags) -> Result<ExitCode> {
    let tools = Tools::locate()?;
    let groups = check::load(&flags.checks)?;
    let mut proxies = vec![("envoy".to_owned(), behind_script(locate(&flags.left)?)?)];
    if flags.right != "none" {
        proxies.push(("outrigger".to_owned(), behind_script(locate(&flags.right)?)?));
    }
    let mut rows = Vec::new();
    for (set, sets) in [("seed", &["seed"][..]), ("rich", &["seed", "rich"])] {
        let chosen: Vec<&Group> = groups.iter().filter(|group| group.set == set).collect();
        let wanted = |group: &&Group| {
            group
                .checks
                .iter()
                .any(|c| format!("{} / {}", group.group, c.check).contains(&flags.only))
        };
        let broken = set == "rich" && SCENARIOS.iter().any(|(name, _)| name.contains(&flags.only));
        let skipped = flags.set.as_ref().is_some_and(|only| only != set);
        if skipped || !flags.hold && !broken && !chosen.iter().any(wanted) {
            continue;
        }
        let plan = Plan { proxies: proxies.clone(), sets: sets.to_vec(), ..Plan::default() };
        let mut mesh = Mesh::start(&plan, &tools)?;
        starts(&mesh);
        for group in chosen {
            rows.append(&mut compare::group(&mut mesh, group, &flags.only)?);
        }
        if set == "rich" {
            rows.append(&mut scenarios(&mut mesh, flags)?);
        }
        if flags.hold {
            println!("holding {}", mesh.scratch.path().display());
            thread::park();
        }
    }
    if "rotation".contains(&flags.only) && flags.set.is_none() {
        rows.append(&mut rotation(&proxies, &tools)?);
    }
    let names: Vec<String> = proxies.into_iter().map(|(name, _)| name).collect();
    Ok(summary(&names, &rows, flags.show))
}

/// A scenario by its name, with the flags that say how long it takes.
type Scenario = (&'static str, fn(&mut Mesh, &Flags) -> Result<Vec<Row>>);

const SCENARIOS: [Scenario; 4] = [
    ("control", |mesh, _| scenario::control::run(mesh)),
    ("secrets", |mesh, _| scenario::secrets::run(mesh)),
    ("restart", |mesh, _| scenario::restart::run(mesh)),
    ("churn", |mesh, flags| scenario::churn::run(mesh, flags.seconds, flags.rate)),
];

fn scenarios(mesh: &mut Mesh, flags: &Flags) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, run) in SCENARIOS {
        if name.contains(&flags.only) {
            rows.append(&mut run(mesh, flags)?);
        }
    }
    Ok(rows)
}

/// In a mesh of its own, whose certificates are short-lived.
fn rotation(proxies: &[(String, PathBuf)], tools: &Tools) -> Result<Vec<Row>> {
    let plan = Plan {
        proxies: proxies.to_vec(),
        sets: vec!["seed"],
        pods: &["sleep", "httpbin"],
        environment: vec![(
            "SECRET_TTL".into(),
            format!("{}s", scenario::rotation::LIFE.as_secs()),
        )],
        ..Plan::default()
    };
    let mut mesh = Mesh::start(&plan, tools)?;
    starts(&mesh);
    scenario::rotation::run(&mut mesh)
}

fn starts(mesh: &Mesh) {
    for world in &mesh.worlds {
        for (pod, took) in &world.starts {
            match took {
                Ok(took) => {
                    println!("{} {pod}: ready after {:.2} s", world.name, took.as_secs_f64())
                }
                Err(why) => println!("{} {pod}: {why}", world.name),
            }
        }
    }
}

fn summary(worlds: &[String], rows: &[Row], show: bool) -> ExitCode {
    let mut out = String::new();
    if show {
        for row in rows {
            let page = row.pages.first().map(|page| page.join("\n")).unwrap_or_default();
            out += &format!("{} / {}\n{page}\n\n", row.group, row.check);
        }
    }
    out += &table(worlds, rows);
    let different = rows.iter().filter(|row| row.verdict != Verdict::Equal).count();
    out += &format!("istio: {} checks, {different} different\n", rows.len());
    drop(io::stdout().write_all(out.as_bytes()));
    // A filter that matches nothing must not look like success.
    if different > 0 || rows.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
