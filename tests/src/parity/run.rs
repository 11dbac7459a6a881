//! Runs groups of cases on both sides and gathers verdicts.
//!
//! Within a group both sides run each case at the same time and the cases come one after the other.
//! A group that cannot run on one side makes all its cases differ; only wrong data stops a run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::case::{Case, Group};
use super::compare::{self, Verdict};
use super::later;
use super::render;
use super::settle::settle;
use super::side::{Observation, Side};
use crate::certs::Certs;
use crate::proxy::Ended;

/// What all groups share.
#[derive(Clone, Debug)]
pub struct Run {
    pub left: PathBuf,
    pub right: PathBuf,
    pub certs: Arc<Certs>,
}

/// The verdict of one case, and what the left side showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub title: String,
    pub verdict: Verdict,
    pub page: Vec<String>,
}

impl Run {
    /// Whether the same binary runs on both sides, to find cases that do not repeat.
    fn is_self_check(&self) -> bool {
        self.left == self.right
    }

    /// Runs the cases of a group whose title contains `only`.
    ///
    /// # Errors
    /// When the group's data is wrong.
    pub async fn group(&self, group: &Group, only: &str) -> Result<Vec<Outcome>> {
        let mut cases = group.cases()?;
        cases.retain(|case| case.title(group).contains(only));
        if cases.is_empty() && !(group.refused && group.title().contains(only)) {
            return Ok(Vec::new());
        }
        if !later::texts(group).is_empty() && !self.is_self_check() {
            return self.group_with_later(group, cases, only).await;
        }
        self.cases(&later::whole(group), cases, only).await
    }

    /// A group of which parts are refused by Outrigger: that is checked, and cases that do without them run.
    async fn group_with_later(
        &self,
        group: &Group,
        cases: Vec<Case>,
        only: &str,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        let envoy = Side::start(&self.left, &later::whole(group), &self.certs).await;
        for (part, text) in later::texts(group).iter().enumerate() {
            let title = format!("{} / later: {text}", group.title());
            let with_part = later::with_only(group, Some(part));
            let right = Side::start(&self.right, &with_part, &self.certs).await;
            let verdict = match (&envoy, right.err()) {
                (Err(error), _) => Verdict::Different(format!("Envoy does not start: {error:#}\n")),
                (Ok(_), None) => Verdict::Different("is taken now: remove `later`\n".to_owned()),
                (Ok(_), Some(error)) if is_refusal(&error) && says(&error, text) => Verdict::Listed,
                (Ok(_), Some(error)) => {
                    Verdict::Different(format!("refused otherwise: {error:#}\n"))
                }
            };
            outcomes.push(Outcome { title, verdict, page: Vec::new() });
        }
        drop(envoy);
        if group.later.is_none() {
            let cases = cases.into_iter().filter(|case| !case.options.later).collect();
            outcomes.extend(self.cases(&later::with_only(group, None), cases, only).await?);
        }
        Ok(outcomes)
    }

    async fn cases(&self, group: &Group, cases: Vec<Case>, only: &str) -> Result<Vec<Outcome>> {
        if cases.is_empty() && !group.refused {
            return Ok(Vec::new());
        }
        let (left, right) = tokio::join!(
            Side::start(&self.left, group, &self.certs),
            Side::start(&self.right, group, &self.certs)
        );
        if group.refused {
            let page = left.as_ref().err().map(|error| format!("{error:#}"));
            let verdict = self.refusal(group, refused(&left), refused(&right));
            let page = page.into_iter().collect();
            return Ok(vec![Outcome { title: group.title(), verdict, page }]);
        }
        let (mut left, mut right) = match (left, right) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) => {
                return Ok(all(group, &cases, &format!("Envoy does not start: {error:#}")));
            }
            (_, Err(error)) => {
                return Ok(all(group, &cases, &format!("does not start: {error:#}")));
            }
        };
        let mut outcomes: Vec<Outcome> = Vec::new();
        for case in &cases {
            let (outcome, stray) = self.case(group, case, &mut left, &mut right).await;
            blame_last(&mut outcomes, stray);
            outcomes.push(outcome);
        }
        blame_last(&mut outcomes, stray(&left.stray(), &right.stray()));
        if only.is_empty() {
            outcomes.extend(unknown_counters(group, &cases, &left).await);
        }
        let mut verdicts = outcomes.iter_mut().map(|outcome| &mut outcome.verdict);
        if let Some(Verdict::Different(how)) = verdicts.find(|v| matches!(v, Verdict::Different(_)))
        {
            *how += &format!("files: {} {}\n", left.keep_files(), right.keep_files());
        }
        Ok(outcomes)
    }

    fn refusal(&self, group: &Group, left: bool, right: bool) -> Verdict {
        let listed = group.listed.is_some();
        match (left, right) {
            (true, true) => Verdict::Equal,
            (true, false) => {
                Verdict::Different("Envoy refuses this bootstrap, we take it or crash\n".to_owned())
            }
            (false, true) if listed && !self.is_self_check() => Verdict::Listed,
            (false, _) if listed && self.is_self_check() => Verdict::Equal,
            (false, _) => Verdict::Different("Envoy takes this bootstrap\n".to_owned()),
        }
    }

    /// The outcome, and log lines that still came from the case before.
    async fn case(
        &self,
        group: &Group,
        case: &Case,
        left: &mut Side,
        right: &mut Side,
    ) -> (Outcome, Option<String>) {
        let counters = group.counters_of(case);
        let begun = tokio::join!(left.begin(case, &counters), right.begin(case, &counters));
        let late = match &begun {
            (Ok(left), Ok(right)) => stray(left, right),
            _ => None,
        };
        let seen = async {
            let _ = (begun.0?, begun.1?);
            let (heard_left, heard_right) = tokio::join!(left.run(case), right.run(case));
            settle(case, &counters, (left, &heard_left?), (right, &heard_right?)).await
        };
        let seen = seen.await;
        let mut outcome =
            Outcome { title: case.title(group), verdict: Verdict::Equal, page: Vec::new() };
        match (left.death().or_else(|| right.death()), seen) {
            (Some(death), _) => outcome.verdict = Verdict::Different(death),
            (None, Err(error)) => outcome.verdict = Verdict::Different(format!("{error:#}\n")),
            (None, Ok((one, other))) => {
                left.end(&one);
                right.end(&other);
                outcome.page = render::render(case, &left.names, &one);
                let page = render::render(case, &right.names, &other);
                outcome.verdict = self.verdict(case, (&one, &outcome.page), (&other, &page));
            }
        }
        (outcome, late)
    }

    fn verdict(
        &self,
        case: &Case,
        (left, left_page): (&Observation, &[String]),
        (right, right_page): (&Observation, &[String]),
    ) -> Verdict {
        if let Err(wrong) = compare::guard(case, left) {
            return Verdict::Different(format!("{wrong}\n{}\n", left_page.join("\n")));
        }
        let counts = compare::counts_agree(case, left, right);
        let equal = left_page == right_page && counts.is_ok();
        let difference = || {
            format!("{}{}", counts.err().unwrap_or_default(), compare::diff(left_page, right_page))
        };
        match &case.options.listed {
            Some(_) if !self.is_self_check() => match compare::ours(&case.options.ours, right) {
                Ok(()) if equal => {
                    Verdict::Different("listed, yet equal: take it off the list\n".to_owned())
                }
                Ok(()) => Verdict::Listed,
                Err(wrong) => Verdict::Different(format!("{wrong}\n{}", difference())),
            },
            _ if equal => Verdict::Equal,
            _ => Verdict::Different(difference()),
        }
    }
}

/// Log lines that came when their case was over, if any did.
fn stray(left: &[String], right: &[String]) -> Option<String> {
    (left.len() + right.len() > 0).then(|| compare::diff(left, right))
}

/// Late log lines are a mistake of the last case: it did not wait for them.
fn blame_last(outcomes: &mut [Outcome], stray: Option<String>) {
    if let (Some(stray), Some(last)) = (stray, outcomes.last_mut()) {
        last.verdict = Verdict::Different(format!("late log lines, set `logs`:\n{stray}"));
    }
}

/// Whether a proxy ended because it did not want the bootstrap.
fn refused(side: &Result<Side>) -> bool {
    side.as_ref().err().is_some_and(is_refusal)
}

fn is_refusal(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Ended>().is_some_and(Ended::in_order)
}

/// Whether what a proxy said at its end contains a text.
fn says(error: &anyhow::Error, text: &str) -> bool {
    error.downcast_ref::<Ended>().is_some_and(|ended| ended.to_string().contains(text))
}

/// A failure when case files name counters that Envoy does not have: they would compare nothing.
async fn unknown_counters(group: &Group, cases: &[Case], left: &Side) -> Option<Outcome> {
    let named: BTreeSet<_> = cases.iter().flat_map(|case| group.counters_of(case)).collect();
    let unknown = match left.unknown(&Vec::from_iter(named)).await {
        Ok(unknown) if unknown.is_empty() => return None,
        Ok(unknown) => format!("Envoy has no counter {}\n", unknown.join(", ")),
        Err(error) => format!("{error:#}\n"),
    };
    Some(Outcome { title: group.title(), verdict: Verdict::Different(unknown), page: Vec::new() })
}

/// The same verdict for every case of a group that cannot run; only the first tells why.
fn all(group: &Group, cases: &[Case], why: &str) -> Vec<Outcome> {
    let mut titles: Vec<_> = cases.iter().map(|case| case.title(group)).collect();
    titles.sort();
    let mut why = format!("{why}\n");
    let mut outcome = |title| {
        let verdict = Verdict::Different(std::mem::take(&mut why));
        Outcome { title, verdict, page: Vec::new() }
    };
    titles.into_iter().map(&mut outcome).collect()
}
