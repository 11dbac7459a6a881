//! What a worker has resolved: handles by what labels follow from.
//!
//! Bounded, since clients choose some of it: when full, all is forgotten and resolved anew as it comes.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use hashbrown::{Equivalent, HashMap};
use outrigger_policy::verdict::Flags;
use rustc_hash::FxBuildHasher;

use super::IstioStats;
use super::facts::{Key, Sight};
use super::label::{CODE, FLAGS, GRPC_STATUS, Label, PEERS, PROTOCOL, SECURITY, Source};
use super::metrics::Handles;
use crate::exchange::Exchange;
use crate::telemetry::metrics::{IstioGrpcStat, IstioHttpStat, IstioTcpStat};

/// Pairs of peers that a worker remembers, and outcomes of each.
const MAX_PEERS: usize = 2048;
const MAX_OUTCOMES: usize = 256;

/// What is spoken. (label `request_protocol`)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    /// HTTP that is not gRPC.
    Http,
    /// gRPC.
    Grpc,
    /// Bytes.
    Tcp,
}

/// How a stream ended, as far as its labels say.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// What was spoken.
    pub(super) protocol: Protocol,
    /// Status; 0 if there was none.
    pub(super) code: u16,
    /// Of gRPC only.
    pub(super) grpc_status: Option<i64>,
    /// Response flags.
    pub(super) flags: Flags,
    /// Values of the expressions.
    pub(super) computed: Box<[Box<str>]>,
}

impl std::hash::Hash for Outcome {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.protocol, self.code, self.grpc_status, &self.computed).hash(state);
        self.flags.iter().for_each(|flag| state.write_u8(flag as u8));
    }
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.code == other.code
            && self.grpc_status == other.grpc_status
            && self.flags == other.flags
            && self.computed == other.computed
    }
}

impl Eq for Outcome {}

/// Who talks to whom, and what was counted of it before.
pub(super) struct Peers {
    values: [Box<str>; PEERS],
    is_mutual_tls: Option<bool>,
    http: RefCell<HashMap<Outcome, Rc<Handles<IstioHttpStat>>, FxBuildHasher>>,
    grpc: OnceCell<Rc<Handles<IstioGrpcStat>>>,
}

type All = HashMap<Key, Rc<Peers>, FxBuildHasher>;

thread_local! {
    static RESOLVED: RefCell<All> = RefCell::default();
}

/// Calls `count` with what is resolved for a stream.
pub(super) fn with<R>(sight: &Sight<'_>, count: impl FnOnce(&Peers) -> R) -> R {
    let facts = sight.facts();
    let peers = RESOLVED.with_borrow_mut(|all| match found(all, &facts) {
        Some(peers) => peers,
        None => {
            if all.len() >= MAX_PEERS {
                all.clear();
            }
            let peers = Rc::new(Peers::new(sight));
            all.insert(sight.key(), peers.clone());
            peers
        }
    });
    count(&peers)
}

fn found(all: &All, facts: &(impl Equivalent<Key> + std::hash::Hash)) -> Option<Rc<Peers>> {
    all.get(facts).cloned()
}

impl Peers {
    fn new(sight: &Sight<'_>) -> Self {
        Self {
            values: sight.values(),
            is_mutual_tls: sight.is_mutual_tls(),
            http: RefCell::default(),
            grpc: OnceCell::new(),
        }
    }

    /// Where a request with this outcome is counted.
    pub(super) fn http(&self, stats: &IstioStats, outcome: Outcome) -> Rc<Handles<IstioHttpStat>> {
        let mut http = self.http.borrow_mut();
        if let Some(handles) = http.get(&outcome) {
            return handles.clone();
        }
        if http.len() >= MAX_OUTCOMES {
            http.clear();
        }
        let handles = Rc::new(stats.http.resolve(|label| self.value(label, &outcome)));
        http.insert(outcome, handles.clone());
        handles
    }

    /// Where messages are counted. Values that are computed are those of the first stream only where they do not change.
    pub(super) fn grpc(
        &self,
        stats: &IstioStats,
        exchange: &Exchange,
    ) -> Rc<Handles<IstioGrpcStat>> {
        let resolve = || {
            let outcome = Outcome {
                protocol: Protocol::Grpc,
                code: 0,
                grpc_status: None,
                flags: Flags::default(),
                computed: stats.computed(exchange),
            };
            Rc::new(stats.grpc.resolve(|label| self.value(label, &outcome)))
        };
        if stats.expressions.is_empty() {
            self.grpc.get_or_init(resolve).clone()
        } else {
            resolve()
        }
    }

    /// Where a connection with this outcome is counted; once for each connection.
    pub(super) fn tcp(&self, stats: &IstioStats, outcome: &Outcome) -> Handles<IstioTcpStat> {
        stats.tcp.resolve(|label| self.value(label, outcome))
    }

    fn value<'a>(&'a self, label: &Label, outcome: &'a Outcome) -> Cow<'a, str> {
        let place = match label.value {
            Source::Computed(place) => {
                return outcome.computed.get(place).map_or(Cow::Borrowed(""), |v| (&**v).into());
            }
            Source::Standard(place) => place,
        };
        match place {
            PROTOCOL => match outcome.protocol {
                Protocol::Http => "http".into(),
                Protocol::Grpc => "grpc".into(),
                Protocol::Tcp => "tcp".into(),
            },
            CODE => outcome.code.to_string().into(),
            GRPC_STATUS => outcome.grpc_status.map(|s| s.to_string()).unwrap_or_default().into(),
            FLAGS => outcome.flags.to_string().into(),
            SECURITY => match self.is_mutual_tls {
                Some(true) => "mutual_tls".into(),
                Some(false) => "none".into(),
                None => "unknown".into(),
            },
            place => self.values.get(place).map_or(Cow::Borrowed(""), |v| (&**v).into()),
        }
    }
}
