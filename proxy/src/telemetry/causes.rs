//! Why requests and connections failed: counted by code, and remembered by the name that each was about.
//!
//! Access logs say it of each request, if their format asks; Istio's does not. Here the admin server's `/causes` finds it whatever is logged. Called once by whatever
//! has failed and never by what has not; how many names are remembered is bounded, since a client may have made them up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use outrigger_policy::verdict::Cause;

use super::metrics::Own;

/// Names that are remembered. What was not seen for the longest time makes room.
const NAMES_MAX: usize = 256;

/// Bytes of a name that are kept.
const NAME_MAX: usize = 256;

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

#[derive(Default)]
struct Seen {
    by_name: HashMap<(&'static str, Box<str>), Times>,
    /// Grows with everything that is seen.
    clock: u64,
}

struct Times {
    count: u64,
    last: SystemTime,
    clock: u64,
}

/// What was seen of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its code: `cluster_not_found`.
    pub code: &'static str,
    /// What it was about, or nothing: `outbound|9080|v3|reviews.default.svc.cluster.local`.
    pub subject: Box<str>,
    /// How often since it is remembered.
    pub count: u64,
    /// When it was seen last.
    pub last: SystemTime,
}

/// Counts a failure.
pub fn note(cause: &Cause) {
    if let Some(own) = Own::installed() {
        own.cause(cause.code);
    }
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.get_or_insert_default().note(cause);
}

/// What is remembered, the most frequent first.
#[must_use]
pub fn remembered() -> Vec<Remembered> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = seen.as_ref().map(Seen::all).unwrap_or_default();
    drop(seen);
    all.sort_by(|a, b| {
        b.count.cmp(&a.count).then_with(|| (a.code, &a.subject).cmp(&(b.code, &b.subject)))
    });
    all
}

impl Seen {
    fn note(&mut self, cause: &Cause) {
        self.clock += 1;
        let (clock, last) = (self.clock, SystemTime::now());
        let subject = &cause.subject;
        let subject = subject.get(..subject.floor_char_boundary(NAME_MAX)).unwrap_or_default();
        let key = (cause.code.as_str(), subject.into());
        if let Some(times) = self.by_name.get_mut(&key) {
            *times = Times { count: times.count + 1, last, clock };
            return;
        }
        if self.by_name.len() == NAMES_MAX {
            let oldest = self.by_name.iter().min_by_key(|(_, times)| times.clock);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.by_name.remove(&key);
            }
        }
        self.by_name.insert(key, Times { count: 1, last, clock });
    }

    fn all(&self) -> Vec<Remembered> {
        let entry = |((code, subject), times): (&(&'static str, Box<str>), &Times)| Remembered {
            code,
            subject: subject.clone(),
            count: times.count,
            last: times.last,
        };
        self.by_name.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use outrigger_policy::verdict::CauseCode;

    use super::*;

    #[test]
    fn names_are_counted_and_the_oldest_makes_room() {
        let mut seen = Seen::default();
        let about = |name: &str| Cause::about(CauseCode::ClusterNotFound, name);
        seen.note(&about("first"));
        seen.note(&about("kept"));
        for index in 0..10 * NAMES_MAX {
            seen.note(&about(&format!("made up {index}")));
            seen.note(&about("kept"));
        }
        let all = seen.all();
        assert_eq!(all.len(), NAMES_MAX);
        let of = |name: &str| all.iter().find(|entry| &*entry.subject == name);
        assert_eq!(of("kept").map(|entry| entry.count), Some(10 * NAMES_MAX as u64 + 1));
        assert_eq!(of("first"), None);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let mut seen = Seen::default();
        seen.note(&Cause::about(CauseCode::Denied, &"ä".repeat(NAME_MAX)));
        seen.note(&Cause::about(CauseCode::Denied, &format!("x{}", "ä".repeat(NAME_MAX))));
        let mut sizes: Vec<_> = seen.all().iter().map(|entry| entry.subject.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [NAME_MAX - 1, NAME_MAX]);
    }
}
