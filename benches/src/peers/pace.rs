//! The open loop: requests are due at fixed times, whatever became of those before them.
//!
//! [`Desk::run`] hands out a ticket at each due time; lanes, one for each connection or stream, take tickets in turn. With all lanes busy, tickets wait,
//! and the latency of a request counts from when it was due: a proxy that stalls is charged for everything that it held up, not for one request
//! (no coordinated omission). Between due times the pacer gives way to the other tasks and looks again: timers of 1 ms would send in bursts.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// How long answers are waited for after the last request was due.
const GRACE: Duration = Duration::from_secs(3);

/// When the request `index` is due, counted from the first one: computed anew for each, so that no error adds up.
#[must_use]
pub const fn due_after(index: u64, rate: u32) -> Duration {
    let (second, rest) = (index / rate as u64, index % rate as u64);
    Duration::from_nanos(second * 1_000_000_000 + rest * 1_000_000_000 / rate as u64)
}

/// What became of the requests of one run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From when a request was due to the end of its answer, in nanoseconds, sorted.
    pub latencies_ns: Vec<u64>,
    /// From when the first request was due to the last answer.
    pub took: Duration,
    /// Why the first of those that failed did.
    pub failure: Option<String>,
}

impl Tally {
    /// Answers per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.latencies_ns.len() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Where lanes get their tickets and bring their answers.
#[derive(Debug)]
pub struct Desk {
    tickets: Semaphore,
    slate: Mutex<Slate>,
}

#[derive(Debug, Default)]
struct Slate {
    due: VecDeque<Instant>,
    latencies_ns: Vec<u64>,
    last_answer: Option<Instant>,
    failure: Option<String>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { tickets: Semaphore::new(0), slate: Mutex::default() }
    }
}

impl Desk {
    /// The next ticket: when the request was due. None once the desk is closed.
    pub async fn take(&self) -> Option<Instant> {
        loop {
            self.tickets.acquire().await.ok()?.forget();
            // A run that ended before its time has taken back what it handed out.
            if let Some(due) = self.slate().due.pop_front() {
                return Some(due);
            }
        }
    }

    /// The request of this ticket has its whole answer.
    pub fn answered(&self, due: Instant) {
        let now = Instant::now();
        let mut slate = self.slate();
        slate.latencies_ns.push(u64::try_from((now - due).as_nanos()).unwrap_or(u64::MAX));
        slate.last_answer = Some(now);
    }

    /// A request has no answer, or a wrong one. That ends the run: a proxy that answers errors is not fast.
    pub fn failed(&self, error: &dyn fmt::Display) {
        self.slate().failure.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Lanes end.
    pub fn close(&self) {
        self.tickets.close();
    }

    /// Hands out tickets for `length` at `rate` per second, and waits until all are answered or one failed. One that has no answer [`GRACE`] after the last was
    /// due has failed.
    pub async fn run(&self, rate: u32, length: Duration) -> Tally {
        let count = u64::from(rate) * length.as_millis() as u64 / 1000;
        self.slate().latencies_ns.reserve(count as usize);
        let start = Instant::now();
        let mut issued = 0;
        while issued < count && !self.has_failed() {
            let due = start + due_after(issued, rate);
            if Instant::now() < due {
                yield_now().await;
                continue;
            }
            self.slate().due.push_back(due);
            self.tickets.add_permits(1);
            issued += 1;
        }
        let limit = Instant::now() + GRACE;
        while !self.has_failed() && self.answers() < count {
            if Instant::now() > limit {
                let missing = count - self.answers();
                self.failed(&format_args!("{missing} of {count} without an answer"));
            }
            yield_now().await;
        }
        self.collect(start)
    }

    /// The results since the last call; what was not begun is forgotten.
    fn collect(&self, start: Instant) -> Tally {
        let mut slate = self.slate();
        self.tickets.forget_permits(usize::MAX);
        let slate = std::mem::take(&mut *slate);
        let mut latencies_ns = slate.latencies_ns;
        latencies_ns.sort_unstable();
        let took = slate.last_answer.map_or(Duration::ZERO, |last| last - start);
        Tally { latencies_ns, took, failure: slate.failure }
    }

    fn answers(&self) -> u64 {
        self.slate().latencies_ns.len() as u64
    }

    fn has_failed(&self) -> bool {
        self.slate().failure.is_some()
    }

    fn slate(&self) -> MutexGuard<'_, Slate> {
        self.slate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;

    #[test]
    fn due_times_do_not_drift() {
        assert_eq!(due_after(0, 6000), Duration::ZERO);
        assert_eq!(due_after(1, 6000), Duration::from_nanos(166_666));
        assert_eq!(due_after(6000, 6000), Duration::from_secs(1));
        assert_eq!(due_after(6_000 * 86_400 * 365, 6000), Duration::from_secs(86_400 * 365));
        assert_eq!(due_after(7, 3), Duration::from_nanos(2_333_333_333));
    }

    fn lane(desk: &Arc<Desk>, work: Duration, stall: Duration) -> tokio::task::JoinHandle<()> {
        let desk = desk.clone();
        tokio::spawn(async move {
            let mut pause = stall;
            while let Some(due) = desk.take().await {
                sleep(pause).await;
                pause = work;
                desk.answered(due);
            }
        })
    }

    #[tokio::test]
    async fn a_stall_is_charged_to_every_request_that_was_due_meanwhile() {
        let desk = Arc::new(Desk::default());
        let lane = lane(&desk, Duration::ZERO, Duration::from_millis(200));
        let tally = desk.run(100, Duration::from_millis(400)).await;
        assert_eq!(tally.latencies_ns.len(), 40);
        // The first 20 were due while the only lane stood still. A closed loop would have one slow request.
        let late = tally.latencies_ns.iter().filter(|ns| **ns > 50_000_000).count();
        assert!(late >= 14, "{late} of {:?}", tally.latencies_ns);
        assert!(tally.latencies_ns.is_sorted());
        desk.close();
        lane.await.unwrap();
    }

    #[tokio::test]
    async fn lanes_that_cannot_keep_up_show_in_the_rate() {
        let desk = Arc::new(Desk::default());
        let lane = lane(&desk, Duration::from_millis(20), Duration::from_millis(20));
        let tally = desk.run(100, Duration::from_millis(500)).await;
        assert!(tally.rate() < 60.0, "{}", tally.rate());
        desk.close();
        lane.await.unwrap();
    }

    #[tokio::test]
    async fn a_failure_ends_a_run_at_once_and_is_told_once() {
        let desk = Arc::new(Desk::default());
        let other = desk.clone();
        tokio::spawn(async move {
            other.take().await;
            other.failed(&"status 503");
            other.failed(&"status 500");
        });
        let start = Instant::now();
        let tally = desk.run(10, Duration::from_secs(60)).await;
        assert_eq!(tally.failure.as_deref(), Some("status 503"));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_a_failure_not_a_request_less() {
        let desk = Arc::new(Desk::default());
        let other = desk.clone();
        tokio::spawn(async move { other.take().await });
        let tally = desk.run(10, Duration::from_millis(200)).await;
        assert_eq!(tally.failure.as_deref(), Some("2 of 2 without an answer"));
    }

    #[tokio::test]
    async fn a_run_begins_without_what_the_last_one_left() {
        let desk = Arc::new(Desk::default());
        desk.failed(&"gone");
        assert!(desk.run(1000, Duration::from_millis(10)).await.failure.is_some());
        let lane = lane(&desk, Duration::ZERO, Duration::ZERO);
        let tally = desk.run(100, Duration::from_millis(50)).await;
        assert_eq!((tally.latencies_ns.len(), tally.failure), (5, None));
        desk.close();
        lane.await.unwrap();
    }
}
