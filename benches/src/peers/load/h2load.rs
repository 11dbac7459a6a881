//! HTTP/2 by h2load, the generator that the field uses: each of its clients sends every 10 ms what became due, over as many streams at once.
//!
//! Its log has a line for each answer: when the request was sent, in microseconds since 1970; the status; how many microseconds the answer took.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use outrigger_tests::child::Process;
use tokio::time::sleep;

use super::PORT;
use crate::peers::pace::Tally;
use crate::peers::peer::on_path;
use crate::peers::row::{CONNECTIONS_2, Row, STREAMS_2};

/// Longer than any measurement: it is ended by dropping it.
const LASTS: Duration = Duration::from_secs(600);

/// One that is running.
#[derive(Debug)]
pub(super) struct H2load {
    _process: Process,
    log: PathBuf,
}

/// What is in the log of a time.
#[derive(Debug)]
pub struct Logged {
    log: PathBuf,
    start: SystemTime,
    end: SystemTime,
}

impl H2load {
    /// Starts it on this thread's core; its log is in `folder`.
    pub(super) fn start(row: &Row, folder: &Path) -> Result<Self> {
        let log = folder.join("h2load.log");
        // It goes on with a log that is there.
        drop(fs::remove_file(&log));
        let per_client = row.rate as usize / CONNECTIONS_2;
        let program = on_path("h2load").context("no h2load: apt install nghttp2-client")?;
        let arguments = [
            format!("-c{CONNECTIONS_2}"),
            format!("-m{STREAMS_2}"),
            format!("--rps={per_client}"),
            format!("-D{}", LASTS.as_secs()),
            format!("--log-file={}", log.display()),
            format!("http://127.0.0.1:{PORT}{}", row.path),
        ]
        .map(PathBuf::from);
        let process = Process::start(&program, &arguments, folder.join("h2load.out"))?;
        Ok(Self { _process: process, log })
    }

    /// Lets it work for `length`.
    pub(super) async fn run(&self, length: Duration) -> Logged {
        let start = SystemTime::now();
        sleep(length).await;
        Logged { log: self.log.clone(), start, end: SystemTime::now() }
    }
}

impl Logged {
    /// The answers of that time; a latency counts from when its request was sent.
    ///
    /// # Errors
    /// When there is no log.
    pub fn tally(&self) -> Result<Tally> {
        let text = fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())?;
        let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH);
        let [start, end] = [since_epoch(self.start)?, since_epoch(self.end)?].map(micros);
        Ok(Tally { took: Duration::from_micros(end - start), ..tally(&text, start, end) })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Of the lines whose answers came between these times. What follows the last line end is still being written.
fn tally(log: &str, start: u64, end: u64) -> Tally {
    let mut tally = Tally::default();
    for line in log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let mut fields = line.split('\t').map(str::parse::<i64>);
        let (Some(Ok(sent)), Some(Ok(status)), Some(Ok(took))) =
            (fields.next(), fields.next(), fields.next())
        else {
            tally.failure = Some(format!("a line of h2load's log: {line:?}"));
            continue;
        };
        let answered = (sent + took).cast_unsigned();
        if !(start..end).contains(&answered) {
            continue;
        }
        if status != 200 {
            tally.failure.get_or_insert_with(|| format!("status {status}"));
        }
        tally.latencies_ns.push(took.cast_unsigned() * 1000);
    }
    tally.latencies_ns.sort_unstable();
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_time_count_whenever_they_were_asked_for() {
        let log = "90\t200\t5\n90\t200\t10\n120\t200\t7\n199\t200\t1\n130\t200\t2";
        let found = tally(log, 100, 200);
        assert_eq!(found.latencies_ns, [7_000, 10_000]);
        assert_eq!(found.failure, None);
    }

    #[test]
    fn another_status_and_a_strange_line_are_failures() {
        assert_eq!(tally("120\t503\t7\n", 100, 200).failure.unwrap(), "status 503");
        assert_eq!(tally("120\t-1\t7\n", 100, 200).failure.unwrap(), "status -1");
        assert!(tally("connection refused\n", 100, 200).failure.unwrap().contains("refused"));
        assert_eq!(tally("120\t503\t7\n", 200, 300).failure, None);
    }
}
