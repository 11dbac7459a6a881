//! Whether two sides agree on a case, and a readable account of where they do not.

use std::collections::BTreeSet;

use super::case::{Case, Ours};
use super::render;
use super::side::Observation;

/// The outcome of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Equal,
    /// Differs on purpose, and our side does what the case says it must.
    Listed,
    Different(String),
}

/// Counts of `repeat` agree when each differs by at most the case's part of the total. They are taken
/// out of the lines that are compared.
pub fn counts_agree(case: &Case, left: &Observation, right: &Observation) -> Result<(), String> {
    for (left, right) in left.heard.iter().zip(&right.heard) {
        let total: usize = left.counts.values().sum();
        let answers: BTreeSet<_> = left.counts.keys().chain(right.counts.keys()).collect();
        for answer in answers {
            let count = |side: &crate::client::Heard| side.counts.get(answer).copied().unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
            let (difference, total) = (count(left).abs_diff(count(right)) as f64, total as f64);
            if difference > case.options.compare.within * total {
                return Err(format!("counts\n- {:?}\n+ {:?}", left.counts, right.counts));
            }
        }
    }
    Ok(())
}

/// Whether Envoy answered as the case's name promises.
pub fn guard(case: &Case, left: &Observation) -> Result<(), String> {
    let answered = statuses(left);
    match &case.options.status {
        Some(expected) if *expected != answered => Err(format!(
            "the case is wrong: expected {expected:?} from Envoy, which answered {answered:?}"
        )),
        _ => Ok(()),
    }
}

/// Whether our side does what a listed case demands of it.
pub fn ours(expected: &Ours, right: &Observation) -> Result<(), String> {
    let answered = statuses(right);
    if let Some(status) = expected.status.as_ref().filter(|status| **status != answered) {
        return Err(format!("must answer {status:?}, answered {answered:?}"));
    }
    if expected.status.is_some() && right.heard.iter().any(|heard| !heard.bytes.is_empty()) {
        return Err("bytes came that belong to no response".to_owned());
    }
    let fate = right.heard.last().map_or("left", |heard| render::fate_word(heard.fate));
    if let Some(wanted) = &expected.fate
        && wanted != fate
        && !(wanted == "closed" && fate == "reset")
    {
        return Err(format!("the connection must be {wanted}, was {fate}"));
    }
    let trailers = right.seen.iter().flat_map(|seen| &seen.trailers);
    let trailers: Vec<_> =
        trailers.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    if let Some(names) = expected.trailers.as_ref().filter(|names| **names != trailers) {
        return Err(format!("trailers must be {names:?}, were {trailers:?}"));
    }
    match expected.upstream {
        Some(count) if count != right.seen.len() => {
            Err(format!("{count} requests must reach an upstream, {} did", right.seen.len()))
        }
        _ => Ok(()),
    }
}

/// The final statuses of all clients, 0 for a stream that was reset before its head.
fn statuses(side: &Observation) -> Vec<u16> {
    let responses = side.heard.iter().flat_map(|heard| &heard.responses);
    responses
        .filter(|response| response.is_final())
        .map(|response| response.head.status())
        .collect()
}

/// Both texts in one: common lines indented, `-` what only the left has, `+` what only the right has.
pub fn diff(left: &[String], right: &[String]) -> String {
    // The table of the longest common subsequence; pages of a case have some dozens of lines.
    let width = right.len() + 1;
    let mut table = vec![0_usize; (left.len() + 1) * width];
    let at = |table: &[usize], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in left.iter().enumerate().rev() {
        for (j, other) in right.iter().enumerate().rev() {
            let longest = if one == other {
                at(&table, i + 1, j + 1) + 1
            } else {
                at(&table, i + 1, j).max(at(&table, i, j + 1))
            };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut out = String::new();
    loop {
        let line = match (left.get(i), right.get(j)) {
            (None, None) => return out,
            (Some(one), Some(other)) if one == other => {
                (i, j) = (i + 1, j + 1);
                format!("  {one}\n")
            }
            (Some(one), other)
                if other.is_none() || at(&table, i + 1, j) >= at(&table, i, j + 1) =>
            {
                i += 1;
                format!("- {one}\n")
            }
            (_, Some(other)) => {
                j += 1;
                format!("+ {other}\n")
            }
            (Some(_), None) => return out,
        };
        out += &line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Heard, Response};
    use crate::wire::Head;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn answered(start: &str) -> Observation {
        let head = Head { start: start.into(), ..Head::default() };
        let response = Response { head, ..Response::default() };
        Observation {
            heard: vec![Heard { responses: vec![response], ..Heard::default() }],
            ..Observation::default()
        }
    }

    #[test]
    fn a_difference_shows_both_sides_and_what_is_common() {
        assert_eq!(diff(&lines("a b c"), &lines("a x c d")), "  a\n- b\n+ x\n  c\n+ d\n");
        assert_eq!(diff(&lines("a"), &[]), "- a\n");
    }

    #[test]
    fn a_listed_case_still_demands_an_answer() {
        let strict = Ours { status: Some(vec![400]), upstream: Some(0), ..Ours::default() };
        assert!(ours(&strict, &answered("HTTP/1.1 400 Bad Request")).is_ok());
        assert!(ours(&strict, &answered("HTTP/1.1 200 OK")).is_err());
    }
}
