//! Runs the groups of checks in all worlds at the same time and compares what they showed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::call::Answer;
use super::check::{Check, Group};
use super::log::{Mark, of_check};
use super::mesh::Mesh;
use super::page::{Page, page};
use super::world::World;
use crate::parity::compare::diff;

/// How long a changed configuration may take to show.
const EFFECTIVE: Duration = Duration::from_secs(5);

/// Lines of a difference that are shown.
const DIFFERENCES: usize = 16;

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub group: String,
    pub check: String,
    /// A cell for each world.
    pub cells: Vec<String>,
    pub verdict: Verdict,
    pub pages: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Equal,
    Different(String),
}

/// Runs a group: its configuration, its checks, its configuration taken back.
///
/// # Errors
/// When the configuration cannot be written or a check is wrong; what a proxy does is no error.
pub fn group(mesh: &mut Mesh, group: &Group, only: &str) -> Result<Vec<Row>> {
    let checks: Vec<&Check> = group.wanted(only).collect();
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    if group.istio.is_empty() && group.without.is_empty() {
        return run(mesh, group, &checks);
    }
    let (before, _) = mesh.change(|config| {
        let before = config.remove(&group.without)?;
        Ok(before.and(config.put(&group.istio)?))
    })?;
    let rows = run(mesh, group, &checks);
    mesh.change(|config| config.restore(before))?;
    rows
}

fn run(mesh: &Mesh, group: &Group, checks: &[&Check]) -> Result<Vec<Row>> {
    let marks = mesh.worlds.iter().map(Mark::now).collect::<Result<Vec<_>>>()?;
    let outside = mesh.outside.dir.as_path();
    let answers: Vec<Vec<Vec<Answer>>> = thread::scope(|scope| {
        let all: Vec<_> = mesh
            .worlds
            .iter()
            .map(|world| {
                scope.spawn(move || {
                    // A proxy has acknowledged before all of its workers know.
                    if let Some(first) = checks.first() {
                        await_effect(world, first, outside)?;
                    }
                    let one = |(index, check): (usize, &&Check)| ask(world, check, index, outside);
                    checks.iter().enumerate().map(one).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        all.into_iter()
            .map(|one| one.join().map_err(|_| anyhow!("a world's thread panicked"))?)
            .collect::<Result<_>>()
    })?;
    Mark::settle(&marks, &mesh.worlds);
    let logs: Vec<_> =
        marks.iter().zip(&mesh.worlds).map(|(mark, world)| mark.lines(world)).collect();
    let mut rows = Vec::new();
    for (index, check) in checks.iter().enumerate() {
        let tag = tag(index);
        let mut pages = Vec::new();
        for ((world, answers), log) in mesh.worlds.iter().zip(&answers).zip(&logs) {
            let Some(answers) = answers.get(index) else { continue };
            let ip = &world.pod(&check.from)?.spec.ip;
            let clients: Vec<String> =
                answers.iter().map(|answer| format!("{ip}:{}", answer.port)).collect();
            let lines = of_check(log, &tag, &clients);
            pages.push((page(check, &tag, answers, &lines), answers));
        }
        let verdict = verdict(check, &pages);
        rows.push(Row {
            group: group.group.clone(),
            check: check.check.clone(),
            cells: pages.iter().map(|(page, _)| page.summary.clone()).collect(),
            verdict,
            pages: pages.into_iter().map(|(page, _)| page.lines).collect(),
        });
    }
    Ok(rows)
}

/// Names a check in access logs; of one length, so that sizes are equal.
fn tag(index: usize) -> String {
    format!("check/{index:04}")
}

fn ask(
    world: &World,
    check: &Check,
    index: usize,
    outside: &std::path::Path,
) -> Result<Vec<Answer>> {
    let pod = world.pod(&check.from)?;
    if check.warm_up > 0 {
        let mut call = check.call("warm/0000", outside)?;
        call.times = check.warm_up;
        drop(pod.answers(&call)?);
    }
    pod.answers(&check.call(&tag(index), outside)?)
}

/// Waits until the first check of a changed configuration is answered as it should be, or it never is.
fn await_effect(world: &World, check: &Check, outside: &std::path::Path) -> Result<()> {
    let mut call = check.call("until/000", outside)?;
    call.times = 1;
    call.at_once = 0;
    call.limit_ms = 2_000;
    let end = Instant::now() + EFFECTIVE;
    let pod = world.pod(&check.from)?;
    while Instant::now() < end {
        if guard(check, &pod.answers(&call)?).is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether the answers are what the check says of Envoy.
fn guard(check: &Check, answers: &[Answer]) -> Result<(), String> {
    for answer in answers {
        let by = answer.by().or_else(|| answer.body.split('>').next()).unwrap_or_default();
        let told = || format!("{} {by} {}", answer.status, answer.end);
        if check.status.is_some_and(|status| status != answer.status) {
            return Err(format!("not {:?} but {}", check.status.unwrap_or(0), told()));
        }
        if !check.by.is_empty() && !check.by.iter().any(|pod| pod == by) {
            return Err(format!("not by {:?} but {}", check.by, told()));
        }
        if !answer.end.starts_with(check.end.as_deref().unwrap_or("whole")) {
            return Err(format!("not {} but {}", check.end.as_deref().unwrap_or("whole"), told()));
        }
    }
    if answers.is_empty() { Err("no answer".into()) } else { Ok(()) }
}

fn verdict(check: &Check, pages: &[(Page, &Vec<Answer>)]) -> Verdict {
    let Some((first, answers)) = pages.first() else {
        return Verdict::Different("no world".into());
    };
    if let Err(why) = guard(check, answers) {
        return Verdict::Different(format!(
            "not as the check says: {why}\n{}",
            first.lines.join("\n")
        ));
    }
    let wanted = check.shows.iter().find(|shows| !first.lines.iter().any(|l| l.contains(*shows)));
    if let Some(wanted) = wanted {
        let page = first.lines.join("\n");
        return Verdict::Different(format!("not as the check says: no `{wanted}` in\n{page}"));
    }
    for (other, answers) in pages.iter().skip(1) {
        if let Some(within) = check.within {
            if let Err(why) = guard(check, answers) {
                return Verdict::Different(why);
            }
            if !counts_agree(first, other, within) {
                return Verdict::Different(format!("- {}\n+ {}", first.summary, other.summary));
            }
        } else if first.lines != other.lines {
            return Verdict::Different(shortened(&diff(&first.lines, &other.lines)));
        }
    }
    Verdict::Equal
}

/// The first lines of a difference that differ.
fn shortened(diff: &str) -> String {
    let changed: Vec<&str> = diff.lines().filter(|line| !line.starts_with(' ')).collect();
    let mut out = changed.iter().take(DIFFERENCES).copied().collect::<Vec<_>>().join("\n");
    if changed.len() > DIFFERENCES {
        out += &format!("\n… and {} more", changed.len() - DIFFERENCES);
    }
    out
}

fn counts_agree(left: &Page, right: &Page, within: f64) -> bool {
    let total: usize = left.counts.values().sum();
    let mut words = left.counts.keys().chain(right.counts.keys());
    words.all(|word| {
        let count = |page: &Page| page.counts.get(word).copied().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
        let (difference, total) = (count(left).abs_diff(count(right)) as f64, total as f64);
        difference <= within * total
    })
}
