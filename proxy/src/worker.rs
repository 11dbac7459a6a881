//! A worker: one thread, one runtime, its own connections and pools.
//!
//! What a worker needs of its surroundings lies in thread-locals, set once by [`run`]: its index, the snapshot, a random number
//! generator, spare memory. Nothing of it is shared but the snapshot and the mailboxes.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::{ArcSwap, Cache};
use outrigger_policy::head::Headers;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::clock::InOneMoment;
use crate::config::Snapshot;
use crate::control;
use crate::listener::{Accepted, ListenTask};
use crate::telemetry::{access_log, metrics};
use crate::upstream::{Cluster, pool};

/// Messages that may wait for a worker.
pub const MAILBOX: usize = 4096;
/// Headers whose memory is kept for the next message, and the most bytes of one.
const SPARE_HEADERS: usize = 64;
const SPARE_BYTES: usize = 16 * 1024;

/// What other threads tell a worker.
#[derive(Debug)]
pub enum Mail {
    /// Accept on this socket.
    Listen(ListenTask),
    /// Serve this connection, which another worker has accepted.
    Serve(Accepted),
    /// Another worker needs a connection of this cluster: close an idle one.
    ShedIdle(Arc<Cluster>),
    /// A connection of this cluster was closed: requests that wait may connect.
    TryConnect(Arc<Cluster>),
    /// The state of draining has changed: connections look at it.
    DrainChanged,
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    workers: OnceLock<Box<[Handle]>>,
    control: mpsc::Sender<control::Message>,
}

/// A worker as others see it.
#[derive(Debug)]
pub struct Handle {
    mailbox: mpsc::Sender<Mail>,
    connections: Arc<Connections>,
}

/// Connections of one worker.
#[derive(Debug, Default)]
struct Connections {
    active: AtomicUsize,
    total: AtomicUsize,
}

impl Shared {
    /// No workers yet.
    #[must_use]
    pub const fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        control: mpsc::Sender<control::Message>,
    ) -> Self {
        Self { snapshot, workers: OnceLock::new(), control }
    }

    /// The mailboxes, once.
    pub fn set_workers(&self, mailboxes: Vec<mpsc::Sender<Mail>>) {
        let handle = |mailbox| Handle { mailbox, connections: Arc::default() };
        let _ = self.workers.set(mailboxes.into_iter().map(handle).collect());
    }

    /// All workers, by index.
    #[must_use]
    pub fn workers(&self) -> &[Handle] {
        self.workers.get().map(|workers| &**workers).unwrap_or_default()
    }

    /// Connections that all workers serve.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.workers().iter().map(|worker| worker.connections.active.load(Ordering::Relaxed)).sum()
    }

    /// Connections that all workers have ever served; may wrap.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        let total = |worker: &Handle| worker.connections.total.load(Ordering::Relaxed);
        self.workers().iter().map(total).fold(0, usize::wrapping_add)
    }

    /// The worker with the fewest connections, if it has clearly fewer than `own` has.
    fn less_loaded_than(&self, own: usize) -> Option<usize> {
        let load = |handle: &Handle| handle.connections.active.load(Ordering::Relaxed);
        let workers = self.workers();
        let mine = workers.get(own).map(load)?;
        let (index, least) = workers.iter().map(load).enumerate().min_by_key(|(_, load)| *load)?;
        (least + 1 < mine).then_some(index)
    }
}

impl Handle {
    /// Puts a message into the mailbox; if there is no room, as soon as there is. For the control runtime. A worker that has ended takes no part
    /// any more.
    pub fn post(&self, mail: Mail) {
        if let Err(TrySendError::Full(mail)) = self.mailbox.try_send(mail) {
            let mailbox = self.mailbox.clone();
            tokio::task::spawn_local(async move {
                let _ = mailbox.send(mail).await;
            });
        }
    }
}

struct Context {
    index: usize,
    shared: Arc<Shared>,
    snapshot: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
    static INDEX: Cell<usize> = const { Cell::new(0) };
    static RNG: RefCell<SmallRng> = RefCell::new(SmallRng::from_rng(&mut rand::rng()));
    static SPARE: RefCell<Vec<Headers>> = const { RefCell::new(Vec::new()) };
}

/// Makes this thread worker `index`. [`run`] does; tests may.
pub fn enter(index: usize, shared: Arc<Shared>) {
    metrics::enter_worker(index);
    INDEX.set(index);
    let snapshot = RefCell::new(Cache::new(shared.snapshot.clone()));
    CONTEXT.set(Some(Context { index, shared, snapshot }));
}

/// Runs a worker on this thread until its mailbox closes.
pub async fn run(index: usize, shared: Arc<Shared>, mut mailbox: mpsc::Receiver<Mail>) {
    enter(index, shared);
    spawn("sweep", pool::sweep());
    spawn("log flush", access_log::flush_at_intervals());
    while let Some(mail) = mailbox.recv().await {
        match mail {
            Mail::Listen(task) => spawn("accept", task.run()),
            Mail::Serve(accepted) => crate::listener::serve(accepted),
            Mail::ShedIdle(cluster) => pool::shed_idle(&cluster),
            Mail::TryConnect(cluster) => pool::try_connect(&cluster),
            Mail::DrainChanged => crate::listener::wake_connections(),
        }
    }
}

/// This worker's index.
#[must_use]
pub fn index() -> usize {
    INDEX.get()
}

/// Starts a task on this worker. A panic ends the task, and with it the connection or stream, and nothing else.
pub fn spawn(kind: &'static str, task: impl Future<Output = ()> + 'static) {
    let _ = kind;
    tokio::task::spawn_local(InOneMoment::new(task));
}

/// Lends the snapshot in force: a few instructions, no reference count.
pub fn snapshot<R: Default>(f: impl FnOnce(&Snapshot) -> R) -> R {
    CONTEXT.with_borrow(|context| match context {
        Some(context) => f(context.snapshot.borrow_mut().load()),
        None => R::default(),
    })
}

/// Lends the worker's random number generator: fast, seeded by the system, for choices that need not be secret.
pub fn with_rng<R>(f: impl FnOnce(&mut SmallRng) -> R) -> R {
    RNG.with_borrow_mut(f)
}

/// Memory of an earlier message.
#[must_use]
pub fn spare_headers() -> Headers {
    SPARE.with_borrow_mut(|spare| spare.pop().unwrap_or_default())
}

/// Keeps the memory of a message that is over.
pub fn keep_headers(headers: Headers) {
    if headers.capacity() == 0 || headers.capacity() > SPARE_BYTES {
        return;
    }
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_HEADERS {
            spare.push(headers);
        }
    });
}

/// The worker that should take a connection instead of this one, if another has clearly less to do.
#[must_use]
pub fn better_worker() -> Option<usize> {
    CONTEXT.with_borrow(|context| {
        let context = context.as_ref()?;
        context.shared.less_loaded_than(context.index)
    })
}

/// Hands a connection to another worker, or gives it back if that one is too busy.
///
/// # Errors
/// With the connection, if the mailbox is full.
pub fn hand_over(to: usize, accepted: Accepted) -> Result<(), Accepted> {
    CONTEXT.with_borrow(|context| {
        let handle = context.as_ref().and_then(|context| context.shared.workers().get(to));
        let Some(handle) = handle else { return Err(accepted) };
        match handle.mailbox.try_reserve() {
            Ok(place) => {
                place.send(Mail::Serve(accepted));
                Ok(())
            }
            Err(_) => Err(accepted),
        }
    })
}

/// Counts a connection of this worker until the guard is dropped.
#[must_use]
pub fn count_connection() -> ConnectionCount {
    CONTEXT.with_borrow(|context| {
        let handle = context.as_ref().and_then(|c| c.shared.workers().get(c.index));
        ConnectionCount::new(handle.map(|handle| handle.connections.clone()))
    })
}

/// A connection that counts for the load of its worker.
#[derive(Debug)]
pub struct ConnectionCount(Option<Arc<Connections>>);

impl ConnectionCount {
    fn new(counter: Option<Arc<Connections>>) -> Self {
        if let Some(counter) = &counter {
            counter.active.fetch_add(1, Ordering::Relaxed);
            counter.total.fetch_add(1, Ordering::Relaxed);
        }
        Self(counter)
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        if let Some(counter) = &self.0 {
            counter.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Tells the workers whose bits are set. What does not fit into a mailbox is dropped: it would be told again.
pub fn tell(workers: u64, about: &impl Fn() -> Mail) {
    CONTEXT.with_borrow(|context| {
        let Some(context) = context else { return };
        for (index, handle) in context.shared.workers().iter().enumerate() {
            if workers & (1 << (index % 64)) != 0 {
                let _ = handle.mailbox.try_send(about());
            }
        }
    });
}

/// Tells all workers but this one.
pub fn tell_others(about: &impl Fn() -> Mail) {
    tell(!(1 << (index() % 64)), about);
}

/// Tells the control runtime. What does not fit into its mailbox is dropped: it would be found again.
pub fn tell_control(message: control::Message) {
    CONTEXT.with_borrow(|context| {
        if let Some(context) = context {
            let _ = context.shared.control.try_send(message);
        }
    });
}
