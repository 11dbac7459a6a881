//! `istio`: the same mesh under the real istiod with Envoy and with Outrigger as the proxy of every pod. `make istio` runs it.
//!
//! It needs root for network namespaces; elsewhere it says so and ends in order. Whatever happens, nothing of it stays on the machine.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::time::Duration;
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
    /// The reference: `envoy` or a path; with `--right none` it is alone.
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
    /// Requests a second, of each version of HTTP, while configuration, control plane and certificates change.
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Outrigger as it is shipped, for what is measured: nothing is without it.
    #[arg(long)]
    shipped: Option<String>,
    /// Prints what every side showed of every check, and when its pods were ready.
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
    let mut proxies = vec![(name(&flags.left), behind_script(locate(&flags.left)?)?)];
    if flags.right != "none" {
        let right = beside(&name(&flags.left), name(&flags.right));
        proxies.push((right, behind_script(locate(&flags.right)?)?));
    }
    let mut seen = Seen::default();
    let done = all(flags, &tools, &groups, &proxies, &mut seen);
    let names: Vec<String> = proxies.into_iter().map(|(name, _)| name).collect();
    // What was seen before something broke is worth reading.
    let code = summary(&names, &seen, flags.show);
    done.map(|()| code)
}

/// What a world is called that has this proxy: `envoy`, or else it is a path to this project's.
fn name(side: &str) -> String {
    if side == "envoy" { side } else { "outrigger" }.to_owned()
}

/// This name, or another one if the reference is called so.
fn beside(reference: &str, name: String) -> String {
    if name == reference { name + "-2" } else { name }
}

/// What a run has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Of all proxies.
    rows: Vec<Row>,
    /// Of Outrigger alone.
    own: Vec<Row>,
}

fn all(
    flags: &Flags,
    tools: &Tools,
    groups: &[Group],
    proxies: &[Proxy],
    Seen { rows, own }: &mut Seen,
) -> Result<()> {
    for (set, sets) in [("seed", &["seed"][..]), ("rich", &["seed", "rich"])] {
        let chosen: Vec<&Group> = groups.iter().filter(|group| group.set == set).collect();
        let wanted = |group: &&Group| group.is_wanted(&flags.only);
        let broken = set == "rich" && SCENARIOS.iter().any(|(name, _)| name.contains(&flags.only));
        let skipped = flags.set.as_ref().is_some_and(|only| only != set);
        if skipped || !flags.hold && !broken && !chosen.iter().any(wanted) {
            continue;
        }
        let plan = Plan { proxies: proxies.to_vec(), sets: sets.to_vec(), ..Plan::default() };
        let mut mesh = started(&plan, tools, flags)?;
        for group in chosen {
            rows.append(&mut compare::group(&mut mesh, group, &flags.only)?);
        }
        if set == "rich" {
            scenarios(&mut mesh, flags, rows)?;
        }
        if flags.hold {
            println!("holding {}", mesh.scratch.path().display());
            loop {
                thread::park();
            }
        }
    }
    let is_wanted = |name: &str| name.contains(&flags.only) && flags.set.is_none();
    if is_wanted("rotation") {
        rows.append(&mut rotation(proxies, tools, flags)?);
    }
    if flags.set.is_none() && proxies.len() > 1 {
        *own = with_filters(proxies, tools, flags, groups)?;
    }
    if let (Some(shipped), [reference, _]) = (&flags.shipped, proxies) {
        let shipped = (beside(&reference.0, name(shipped)), behind_script(locate(shipped)?)?);
        let both = [reference.clone(), shipped];
        if is_wanted("start") {
            rows.append(&mut start(&both, tools, flags)?);
        }
        if is_wanted("cost") {
            rows.append(&mut cost(&both, tools, flags)?);
        }
    }
    Ok(())
}

/// The name of a world, and its proxy.
type Proxy = (String, PathBuf);

/// A scenario by its name, with the flags that say how long it takes.
type Scenario = (&'static str, fn(&mut Mesh, &Flags) -> Result<Vec<Row>>);

const SCENARIOS: [Scenario; 5] = [
    ("plaintext", |mesh, _| scenario::plaintext::run(mesh)),
    ("control", |mesh, flags| scenario::control::run(mesh, flags.rate)),
    ("secrets", |mesh, _| scenario::secrets::run(mesh)),
    ("restart", |mesh, _| scenario::restart::run(mesh)),
    ("churn", |mesh, flags| {
        scenario::churn::run(mesh, Duration::from_secs(flags.seconds), flags.rate)
    }),
];

fn scenarios(mesh: &mut Mesh, flags: &Flags, rows: &mut Vec<Row>) -> Result<()> {
    for (name, run) in SCENARIOS {
        if name.contains(&flags.only) {
            rows.append(&mut run(mesh, flags)?);
        }
    }
    Ok(())
}

/// In a mesh of its own, whose certificates are short-lived.
fn rotation(proxies: &[Proxy], tools: &Tools, flags: &Flags) -> Result<Vec<Row>> {
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
    let mut mesh = started(&plan, tools, flags)?;
    scenario::rotation::run(&mut mesh, flags.rate)
}

/// In a mesh of its own, with Istio's own filters, which Envoy from the registry has not: the checks of set rich as they are known of Envoy, and
/// the dashboards.
fn with_filters(
    proxies: &[Proxy],
    tools: &Tools,
    flags: &Flags,
    groups: &[Group],
) -> Result<Vec<Row>> {
    let named =
        |group: &Group| Group { group: format!("{FILTERED}{}", group.group), ..group.clone() };
    let groups: Vec<Group> = groups.iter().filter(|group| group.set == "rich").map(named).collect();
    let has_checks = groups.iter().any(|group| group.is_wanted(&flags.only));
    let has_dashboards = "dashboards".contains(&flags.only);
    if !has_checks && !has_dashboards {
        return Ok(Vec::new());
    }
    let plan = Plan {
        proxies: proxies.iter().skip(1).cloned().collect(),
        sets: vec!["seed", "rich"],
        with_filters: true,
        pods: if has_checks { &[] } else { &scenario::dashboards::PODS },
        ..Plan::default()
    };
    let mut mesh = started(&plan, tools, flags)?;
    let mut rows = Vec::new();
    for group in &groups {
        rows.append(&mut compare::group(&mut mesh, group, &flags.only)?);
    }
    if has_dashboards {
        rows.append(&mut scenario::dashboards::run(&mut mesh)?);
    }
    Ok(rows)
}

/// Before the names of groups that run with Istio's own filters.
const FILTERED: &str = "with filters: ";

/// With sidecars and gateways that have nothing to do.
fn start(proxies: &[Proxy], tools: &Tools, flags: &Flags) -> Result<Vec<Row>> {
    let plan = Plan {
        proxies: proxies.to_vec(),
        sets: vec!["seed", "rich"],
        pods: &scenario::start::PODS,
        ..Plan::default()
    };
    scenario::start::run(&mut started(&plan, tools, flags)?)
}

/// In a mesh as Envoy from the registry can be, and in another one with Istio's own filters, which it has not.
fn cost(proxies: &[Proxy], tools: &Tools, flags: &Flags) -> Result<Vec<Row>> {
    let plan = Plan {
        proxies: proxies.to_vec(),
        sets: vec!["seed"],
        pods: &scenario::cost::PODS,
        ..Plan::default()
    };
    let without = started(&plan, tools, flags)?;
    let plan =
        Plan { proxies: proxies.iter().skip(1).cloned().collect(), with_filters: true, ..plan };
    let with = started(&plan, tools, flags)?;
    let worlds: Vec<_> = without.worlds.iter().chain(&with.worlds).collect();
    let figures = scenario::cost::measure(&worlds)?;
    let [envoy, plain, filtered] = figures.as_slice() else { bail!("{} figures", figures.len()) };
    Ok(vec![
        scenario::cost::row("a request", [*envoy, *plain], COST),
        scenario::cost::row("with Istio's own filters", [*envoy, *filtered], COST_FILTERED),
    ])
}

/// Parts of Envoy's CPU time. On a quiet machine it is 0.38, and 0.43 with the filters; on one that does other things it comes out by a tenth
/// higher or lower.
const COST: f64 = 0.45;
const COST_FILTERED: f64 = 0.50;

/// A mesh whose pods are all ready.
fn started(plan: &Plan, tools: &Tools, flags: &Flags) -> Result<Mesh> {
    let mesh = Mesh::start(plan, tools)?;
    for world in &mesh.worlds {
        for (pod, took) in &world.starts {
            match took {
                Ok(took) if flags.show => {
                    println!("{} {pod}: ready after {:.2} s", world.name, took.as_secs_f64());
                }
                Ok(_) => {}
                Err(why) => bail!("{} {pod}: {why}", world.name),
            }
        }
    }
    Ok(mesh)
}

fn summary(worlds: &[String], Seen { rows, own }: &Seen, show: bool) -> ExitCode {
    let mut out = String::new();
    if show {
        for row in rows {
            for (world, page) in worlds.iter().zip(&row.pages) {
                let page = page.join("\n");
                out += &format!("{} / {} / {world}\n{page}\n\n", row.group, row.check);
            }
        }
    }
    if !rows.is_empty() {
        out += &table(worlds, rows);
    }
    if !own.is_empty() {
        out += &table(worlds.get(1..).unwrap_or_default(), own);
    }
    let all = || rows.iter().chain(own);
    let different = all().filter(|row| row.verdict != Verdict::Equal).count();
    out += &format!("istio: {} checks, {different} different\n", all().count());
    drop(io::stdout().write_all(out.as_bytes()));
    // A filter that matches nothing must not look like success.
    if different > 0 || all().count() == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
