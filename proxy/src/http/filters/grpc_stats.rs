//! Counts calls of gRPC and their messages, for their cluster and, where that is wanted, for each method.
//! (envoy: envoy.filters.http.grpc_stats)
//!
//! A message is counted when its first byte passes. The call is counted by the status that it ends with; without one it is not.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use outrigger_policy::head::{Headers, Id, integer};
use rustc_hash::FxHashMap;

use super::{FilterOverride, Step};
use crate::body::{Body, Frame, PollFrame};
use crate::exchange::Exchange;
use crate::listener::http_chain::millis;
use crate::telemetry::GrpcMessages;
use crate::telemetry::metrics::{GrpcMethodStat, GrpcMethodStats, Registry, cluster_prefix};

/// Methods with counters of their own, for a worker. Clients name methods: beyond this they are counted together.
const MAX_METHODS: usize = 4096;

/// The filter.
pub struct GrpcStatsFilter {
    /// Which methods have counters of their own.
    pub methods: Methods,
    /// Telemetry is told how many messages there were. (envoy: emit_filter_state)
    pub emits_state: bool,
    /// How long upstreams took is recorded. (envoy: enable_upstream_stats)
    pub times_upstream: bool,
    /// Service names keep their dots apart from the name's, where all have counters. (envoy: replace_dots_in_grpc_service_name)
    pub replaces_dots: bool,
    /// Where counters are made.
    pub registry: Arc<Registry>,
}

impl std::fmt::Debug for GrpcStatsFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GrpcStatsFilter").field(&self.methods).finish()
    }
}

/// Which methods have counters of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// All. (envoy: stats_for_all_methods)
    All,
    /// These: service and method. (envoy: individual_method_stats_allowlist)
    Listed(Vec<(Box<str>, Box<str>)>),
}

impl Methods {
    /// Service and method in `path`, if they have counters of their own.
    fn of<'a>(&self, (service, method): (&'a str, &'a str)) -> Option<(&'a str, &'a str)> {
        let is_listed = match self {
            Self::All => true,
            Self::Listed(listed) => listed.iter().any(|(s, m)| **s == *service && **m == *method),
        };
        is_listed.then_some((service, method))
    }
}

/// A call that is counted.
#[derive(Debug)]
pub(super) struct State {
    stats: GrpcMethodStats,
}

type Known = FxHashMap<(u64, bool, Box<[u8]>), GrpcMethodStats>;

thread_local! {
    static METHODS: RefCell<Known> = RefCell::default();
}

impl GrpcStatsFilter {
    pub(super) fn on_request(&self, exchange: &mut Exchange, _: Option<&FilterOverride>) -> Step {
        if !exchange.request.is_grpc() {
            return Step::Continue;
        }
        let messages = Rc::<GrpcMessages>::default();
        let stats = self.stats(exchange);
        let body = std::mem::take(&mut exchange.request_body);
        let side = Side::Request;
        exchange.request_body = CountedMessages::around(body, side, &messages, stats.as_ref());
        if self.emits_state || stats.is_some() {
            exchange.info.grpc_messages = Some(messages);
        }
        exchange.filters.grpc_stats = stats.map(|stats| State { stats });
        Step::Continue
    }

    #[expect(clippy::unused_self, reason = "the form of every filter")]
    pub(super) fn on_response(&self, exchange: &mut Exchange) {
        let Some(messages) = &exchange.info.grpc_messages else { return };
        let stats = exchange.filters.grpc_stats.as_ref().map(|state| &state.stats);
        let body = std::mem::take(&mut exchange.response_body);
        exchange.response_body = CountedMessages::around(body, Side::Response, messages, stats);
    }

    pub(super) fn close(&self, exchange: &Exchange) {
        let Some(State { stats }) = &exchange.filters.grpc_stats else { return };
        if self.times_upstream
            && let Some(end) = exchange.info.upstream.borrow().last_rx
        {
            let took = end.saturating_duration_since(exchange.info.start);
            stats.record(GrpcMethodStat::upstream_rq_time, millis(took));
        }
        let told = |headers: &Headers| headers.get(Id::GRPC_STATUS).and_then(integer);
        let trailers = exchange.info.response_trailers.as_ref();
        let status = match trailers {
            Some(trailers) => told(trailers),
            None if exchange.info.bytes_sent == 0 => told(&exchange.response.headers),
            None => None,
        };
        let Some(status) = status else { return };
        stats.inc(GrpcMethodStat::total);
        stats.inc(if status == 0 { GrpcMethodStat::success } else { GrpcMethodStat::failure });
        if let Ok(code) = u16::try_from(status) {
            stats.code(GrpcMethodStat::status, code);
        }
    }

    /// The counters of the call; `None` if it goes to no cluster, or names no method.
    fn stats(&self, exchange: &Exchange) -> Option<GrpcMethodStats> {
        let cluster = exchange.chosen_cluster()?;
        let path = exchange.request.path_without_query();
        let called = service_and_method(path)?;
        let own = self.methods.of(called);
        METHODS.with_borrow_mut(|known| {
            let own = own.filter(|_| known.len() < MAX_METHODS);
            let key = (cluster.id, self.replaces_dots, own.map_or(&b""[..], |_| path).into());
            if let Some(stats) = known.get(&key) {
                return Some(stats.clone());
            }
            let prefix = cluster_prefix(&cluster.settings.observability_name, "");
            let scope = match own {
                Some((service, method)) if self.replaces_dots && self.methods == Methods::All => {
                    format!("{prefix}grpc.{}.{method}.", service.replace('.', "_"))
                }
                Some((service, method)) => format!("{prefix}grpc.{service}.{method}."),
                None => format!("{prefix}grpc."),
            };
            let stats = self.registry.stats::<GrpcMethodStat>(&scope);
            known.insert(key, stats.clone());
            Some(stats)
        })
    }
}

/// `/package.Service/Method`. (envoy: `Grpc::Common::resolveServiceAndMethod`)
fn service_and_method(path: &[u8]) -> Option<(&str, &str)> {
    let path = std::str::from_utf8(path).ok()?;
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/'))
        .then_some((service, method))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// A body whose messages are counted as they pass.
#[derive(Debug)]
pub struct CountedMessages {
    inner: Body,
    side: Side,
    messages: Rc<GrpcMessages>,
    stats: Option<GrpcMethodStats>,
    frames: Frames,
}

impl CountedMessages {
    fn around(
        inner: Body,
        side: Side,
        messages: &Rc<GrpcMessages>,
        stats: Option<&GrpcMethodStats>,
    ) -> Body {
        if matches!(inner, Body::Empty) {
            return inner;
        }
        let (messages, stats) = (messages.clone(), stats.cloned());
        Body::Counted(Box::new(Self { inner, side, messages, stats, frames: Frames::default() }))
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let polled = self.inner.poll_frame(cx);
        if let Poll::Ready(Some(Ok(Frame::Data(bytes)))) = &polled {
            let more = self.frames.count(bytes);
            let (total, stat) = match self.side {
                Side::Request => (&self.messages.requests, GrpcMethodStat::request_message_count),
                Side::Response => {
                    (&self.messages.responses, GrpcMethodStat::response_message_count)
                }
            };
            total.set(total.get() + more);
            if let Some(stats) = self.stats.as_ref().filter(|_| more > 0) {
                stats.add(stat, more);
            }
        }
        polled
    }

    /// The body that is counted.
    #[must_use]
    pub const fn inner(&self) -> &Body {
        &self.inner
    }

    /// The body that is counted, to keep it moving.
    pub const fn inner_mut(&mut self) -> &mut Body {
        &mut self.inner
    }
}

/// Where in a message a body is: each is a flag, a length of four bytes, and that many bytes. (gRPC: PROTOCOL-HTTP2)
#[derive(Debug, Default, PartialEq, Eq)]
struct Frames {
    /// Bytes of the prefix that were seen.
    prefix: u8,
    length: u32,
    /// Bytes of the message that are to come.
    left: u32,
}

impl Frames {
    /// Messages that begin in `bytes`.
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        loop {
            let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= u32::try_from(skipped).unwrap_or(self.left);
            let Some((byte, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else {
                return begun;
            };
            bytes = rest;
            if self.prefix == 0 {
                begun += 1;
                self.length = 0;
            } else {
                self.length = self.length << 8 | u32::from(*byte);
            }
            self.prefix += 1;
            if self.prefix == 5 {
                self.prefix = 0;
                self.left = self.length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let bytes = [
            &[0, 0, 0, 0, 3][..],
            b"abc",
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 1, 0],
            &[7; 256],
            &[0, 0, 0],
        ]
        .concat();
        for size in [1, 2, 3, 5, 7, 100, bytes.len()] {
            let mut frames = Frames::default();
            let count: u64 = bytes.chunks(size).map(|piece| frames.count(piece)).sum();
            assert_eq!(count, 4, "pieces of {size}");
        }
    }

    #[test]
    fn a_method_has_a_service() {
        assert_eq!(service_and_method(b"/a.B/C"), Some(("a.B", "C")));
        for path in [&b"/a.B"[..], b"a.B/C", b"//C", b"/a/", b"/a/b/c", b"", b"/\xff/x"] {
            assert!(service_and_method(path).is_none() || path == b"/\\xff/x", "{path:?}");
        }
        let listed = Methods::Listed(vec![("a.B".into(), "C".into())]);
        assert_eq!(listed.of(("a.B", "C")), Some(("a.B", "C")));
        assert_eq!(listed.of(("a.B", "D")), None);
    }
}
