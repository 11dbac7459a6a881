//! A subscription to a file: read at once, and again whenever it was replaced or more is needed of it.

use std::cell::RefCell;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Instant;

use outrigger_xds::source::filesystem::{FileError, WatchedFile};
use outrigger_xds::{ResourceType, Subject, Update};
use tokio::sync::Notify;

use super::counters::{Accepted, Outcome};
use super::{Control, Task};
use crate::config::Source;

/// Reads a file for as long as somebody holds this.
pub(super) struct Follower {
    again: Arc<Notify>,
    _task: Task,
}

impl Follower {
    pub(super) fn start(
        control: &Weak<RefCell<Control>>,
        kind: ResourceType,
        file: &WatchedFile,
    ) -> Self {
        let again = Arc::<Notify>::default();
        let task = Task::spawn(follow(control.clone(), kind, file.clone(), again.clone()));
        Self { again, _task: task }
    }

    /// Reads once more.
    pub(super) fn read_again(&self) {
        self.again.notify_one();
    }
}

async fn follow(
    control: Weak<RefCell<Control>>,
    kind: ResourceType,
    file: WatchedFile,
    again: Arc<Notify>,
) {
    let watch = file.watch();
    loop {
        // The subscription is entered by whoever borrows the control now.
        tokio::task::yield_now().await;
        let answer = match &watch {
            Ok(_) => file.read(kind),
            Err(error) => {
                tracing::error!("{error}");
                file.read(kind)
            }
        };
        let Some(control) = control.upgrade() else { return };
        control.borrow_mut().take_file(kind, &Source::File(file.clone()), answer);
        drop(control);
        let moved = async {
            match &watch {
                Ok(watch) => watch.moved().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            moved = moved => if let Err(error) = moved {
                tracing::error!(file = %file.path.display(), %error, "is not watched any more");
                return;
            },
            () = again.notified() => {}
        }
    }
}

impl Control {
    /// Takes in what a file says.
    fn take_file(
        &mut self,
        kind: ResourceType,
        source: &Source,
        answer: Result<Update, FileError>,
    ) {
        let started = Instant::now();
        let outcome = match answer {
            Ok(update) => {
                let version = update.version.clone();
                let rejections = self.store.apply(update);
                if rejections.is_empty() { Ok(version) } else { Err(Outcome::Rejected) }
            }
            Err(error) => {
                tracing::warn!("an update is refused: {error}");
                Err(match error {
                    FileError::Io { .. } => Outcome::Failed,
                    _ => Outcome::Rejected,
                })
            }
        };
        let outcome = match &outcome {
            Ok(version) => {
                let took = started.elapsed();
                let is_news = !self.store.take_taken().is_empty();
                Outcome::Accepted(Accepted { version, took, is_news })
            }
            Err(outcome) => *outcome,
        };
        let Some(subscription) = self.subscriptions.find(kind, source) else { return };
        subscription.has_answered = true;
        for (subject, watch) in &mut subscription.watches {
            watch.counters.count(outcome);
            // A file is all that there is: what it does not hold does not exist.
            if let Subject::Name(name) = subject
                && !self.store.holds(kind, name)
            {
                self.store.give_up(kind, name);
            }
        }
        self.settle();
    }
}
