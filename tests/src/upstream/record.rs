//! What the upstreams of one side saw during one case, and the script that they answer by.
//!
//! The servers write, the runner of cases reads and resets. A request that is still being served when
//! the next case begins keeps a ticket of the old case, so it cannot write into the new one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::script::{Reply, Script};
use crate::wire::Head;

/// One request, or one TCP connection, as an upstream received it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub host: String,
    pub protocol: &'static str,
    /// Counts the connections of a side since its start.
    pub connection: u64,
    pub tls: Option<String>,
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The end of the request was seen.
    pub whole: bool,
    /// The proxy went away before the reply was finished.
    pub abandoned: bool,
}

#[derive(Debug, Default)]
struct Case {
    number: u64,
    script: Script,
    seen: Vec<Seen>,
}

#[derive(Debug)]
pub struct Recorder {
    case: Mutex<Case>,
    count: watch::Sender<usize>,
}

/// The right to add to one record.
#[derive(Clone, Debug)]
pub struct Ticket {
    recorder: Arc<Recorder>,
    case: u64,
    index: usize,
}

impl Recorder {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { case: Mutex::default(), count: watch::Sender::new(0) })
    }

    fn with<T>(&self, action: impl FnOnce(&mut Case) -> T) -> T {
        action(&mut self.case.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a case: forgets what was seen.
    pub fn begin(&self, script: Script) {
        self.with(|case| *case = Case { number: case.number + 1, script, seen: Vec::new() });
        self.count.send_replace(0);
    }

    /// Records a new request; the reply is the script's next one for this host.
    pub fn arrived(self: &Arc<Self>, seen: Seen) -> (Ticket, Reply) {
        let (ticket, reply) = self.with(|case| {
            let reply = case.script.next(&seen.host);
            case.seen.push(seen);
            (
                Ticket {
                    recorder: Arc::clone(self),
                    case: case.number,
                    index: case.seen.len() - 1,
                },
                reply,
            )
        });
        self.count.send_modify(|count| *count += 1);
        (ticket, reply)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.with(|case| case.seen.clone())
    }

    /// Waits until so many requests of the case have arrived.
    pub async fn wait_for(&self, requests: usize) {
        // The sender lives in self, so this cannot fail before it is true.
        drop(self.count.subscribe().wait_for(|count| *count >= requests).await);
    }
}

impl Ticket {
    /// Changes the record, unless its case is over.
    pub fn update(&self, change: impl FnOnce(&mut Seen)) {
        self.recorder.with(|case| {
            if case.number == self.case
                && let Some(seen) = case.seen.get_mut(self.index)
            {
                change(seen);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_of_an_old_case_writes_nothing() {
        let recorder = Recorder::new();
        recorder.begin(Script::default());
        let (ticket, _) = recorder.arrived(Seen::default());
        ticket.update(|seen| seen.whole = true);
        assert!(recorder.seen().first().is_some_and(|seen| seen.whole));

        recorder.begin(Script::default());
        let _ = recorder.arrived(Seen::default());
        ticket.update(|seen| seen.abandoned = true);
        assert_eq!(recorder.seen(), [Seen::default()]);
    }

    #[tokio::test]
    async fn waiting_ends_when_enough_has_arrived() {
        let recorder = Recorder::new();
        recorder.begin(Script::default());
        let waiter = {
            let recorder = Arc::clone(&recorder);
            async move { recorder.wait_for(2).await }
        };
        let writer = async {
            let _ = recorder.arrived(Seen::default());
            tokio::task::yield_now().await;
            let _ = recorder.arrived(Seen::default());
        };
        tokio::join!(waiter, writer);
        assert_eq!(recorder.seen().len(), 2);
    }
}
