//! When a case is over. What is seen after its clients are done (log lines, counters, what upstreams
//! still receive) is polled until both sides agree and nothing more can be expected.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::case::Case;
use super::render;
use super::side::{Observation, Side};
use crate::client::Heard;

/// For what both sides must come to agree on.
const PATIENCE: Duration = Duration::from_secs(2);
/// Four times the interval at which the proxies are told to flush their access logs.
const QUIET: Duration = Duration::from_millis(80);
const POLL: Duration = Duration::from_millis(15);

/// Looks at both sides until they agree and all expected log lines are there.
///
/// # Errors
/// When an admin port does not answer.
pub(super) async fn settle(
    case: &Case,
    counters: &[String],
    (left, heard_left): (&Side, &[Heard]),
    (right, heard_right): (&Side, &[Heard]),
) -> Result<(Observation, Observation)> {
    // What clients heard does not change any more: waiting cannot make it equal.
    let heard_only =
        |heard: &[Heard]| Observation { heard: heard.to_vec(), ..Observation::default() };
    let hopeless = render::render(case, &left.names, &heard_only(heard_left))
        != render::render(case, &right.names, &heard_only(heard_right));
    let patience = if hopeless { QUIET * 3 } else { PATIENCE };
    let began = Instant::now();
    loop {
        let (one, other) =
            tokio::join!(left.observe(heard_left, counters), right.observe(heard_right, counters));
        let (one, other) = (one?, other?);
        let logged = one.log.len() >= log_lines(case, heard_left)
            && other.log.len() >= log_lines(case, heard_right);
        let equal =
            render::render(case, &left.names, &one) == render::render(case, &right.names, &other);
        // A case that differs on purpose never becomes equal.
        let agreed = logged && (equal || case.options.listed.is_some());
        if agreed && began.elapsed() > QUIET || began.elapsed() > patience {
            return Ok((one, other));
        }
        sleep(POLL).await;
    }
}

/// One line per final response that did not come from the admin port.
fn log_lines(case: &Case, heard: &[Heard]) -> usize {
    let logging = case
        .clients
        .iter()
        .zip(heard)
        .filter(|(client, _)| client.to != "ADMIN")
        .map(|(_, heard)| heard);
    let of_one = |heard: &Heard| {
        let streams = heard.frames.iter().filter(|line| line.starts_with("HEADERS")).count();
        heard.responses.iter().filter(|response| response.is_final()).count() + streams
    };
    case.options.logs.unwrap_or_else(|| {
        if case.options.compare.skip.iter().any(|s| s == "log") {
            0
        } else {
            logging.map(of_one).sum()
        }
    })
}
