//! An HTTP/2 connection without its socket: bytes in, bytes out (RFC 9113).
//!
//! A connection has one driver, which moves bytes (`drive`), and handles of its streams, which tasks hold (`server`, `client`). Both call into
//! one object; the driver is woken when there is something to write. What waits to be written is bounded: heads and answers to control
//! frames by [`FloodGuard`], bodies by [`OUTPUT_HIGH_WATER`], because whoever sends a body keeps what does not fit.

mod receive;
mod send;

pub use send::Gone;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use outrigger_policy::head::{Headers, RequestHead};
use tokio::time::Instant;

use super::Reason;
use super::fields::{BlockLimits, Refusal};
use super::flood::{Flood, FloodGuard};
use super::frame::{self, MAX_31, PREFACE, setting};
use super::hpack;
use super::stream::{Ending, Key, Stream, Streams};
use crate::telemetry::metrics::{Http2Stat, Http2Stats};

/// Bytes that wait for the socket before bodies are asked to wait.
const OUTPUT_HIGH_WATER: usize = 64 * 1024;
/// Bytes that wait for the socket before a server reads no further requests.
const OUTPUT_LIMIT: usize = 256 * 1024;
/// Window of a connection, and of streams before SETTINGS (RFC 9113 §6.9.2).
const DEFAULT_WINDOW: i64 = 65_535;
/// Streams that a client opens before it knows the server's limit.
const STREAMS_BEFORE_SETTINGS: u32 = 100;
/// Streams beyond the limit whose work may still go on after their reset.
const STREAMS_ENDING: usize = 128;
/// The PING between the two GOAWAYs of an orderly end.
const DRAIN_PING: [u8; 8] = *b"outrider";

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We answer.
    Server,
    /// We ask.
    Client,
}

/// What is set of a connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// Streams at once that the peer may open.
    pub concurrent_streams: u32,
    /// Receive window of a stream, in bytes.
    pub stream_window: u32,
    /// Receive window of the connection, in bytes.
    pub connection_window: u32,
    /// Limits of the peer's heads and trailers.
    pub block: BlockLimits,
    /// What an unknown `:scheme` means.
    pub is_tls: bool,
    /// Where is counted; absent in tests.
    pub stats: Option<Http2Stats>,
}

/// A request that has come.
#[derive(Debug)]
pub enum Incoming {
    /// To be served.
    Request(Box<RequestHead>, Handle),
    /// Was reset already.
    Refused(Refusal),
}

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct Connection {
    inner: RefCell<Inner>,
}

/// Somebody's hold on a stream. When the last one goes, what is open of the stream is reset.
#[derive(Debug)]
pub struct Handle {
    /// The connection.
    pub(super) connection: Rc<Connection>,
    /// The stream.
    pub(super) key: Key,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The peer has closed it, or it broke.
    Closed,
    /// The peer broke the protocol, or flooded us; it was told by GOAWAY.
    Error(Reason),
    /// The peer has reset too many of its requests at once. (CVE-2023-44487)
    PrematureResets,
    /// Both are done.
    Done,
}

#[derive(Debug)]
struct Inner {
    role: Role,
    config: Config,
    over: Option<Over>,
    flood: FloodGuard,
    streams: Streams,
    decoder: hpack::Decoder,

    /// What is still to come of the client's preface.
    preface: &'static [u8],
    has_settings: bool,
    /// The beginning of a frame whose end has not come.
    input: Vec<u8>,
    /// A header block whose end has not come.
    block: Option<Block>,
    incoming: VecDeque<(Key, Result<Box<RequestHead>, Refusal>)>,
    /// The highest number that the peer has used.
    last_peer: u32,
    receive_window: i64,
    released: u32,

    output: Vec<u8>,
    written: usize,
    /// The driver knows that it has to write.
    is_roused: bool,
    driver: Option<Waker>,
    has_sent_block: bool,
    next_id: u32,
    send_window: i64,
    peer_window: i64,
    peer_streams: u32,
    /// Streams that wait for the connection's window or for room in the output.
    waiting: VecDeque<Key>,
    /// The time of the last read.
    now: Instant,

    drain: Drain,
    /// The peer takes no stream above this any more.
    peer_last: Option<u32>,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    is_end: bool,
    bytes: Vec<u8>,
    frames: usize,
}

/// How far an orderly end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    No,
    /// The peer was told; streams that it has opened meanwhile are on their way.
    Announced,
    /// No stream above this is served.
    Final(u32),
}

impl Connection {
    /// A connection at its beginning; what it says first waits to be written.
    #[must_use]
    pub fn new(role: Role, config: Config) -> Rc<Self> {
        let mut inner = Inner {
            role,
            over: None,
            flood: FloodGuard::default(),
            streams: Streams::default(),
            decoder: hpack::Decoder::default(),
            preface: if role == Role::Server { PREFACE } else { &[] },
            has_settings: false,
            input: Vec::new(),
            block: None,
            incoming: VecDeque::new(),
            last_peer: 0,
            receive_window: DEFAULT_WINDOW,
            released: 0,
            output: Vec::new(),
            written: 0,
            is_roused: true,
            driver: None,
            has_sent_block: false,
            next_id: 1,
            send_window: DEFAULT_WINDOW,
            peer_window: DEFAULT_WINDOW,
            peer_streams: STREAMS_BEFORE_SETTINGS,
            waiting: VecDeque::new(),
            now: Instant::now(),
            drain: Drain::No,
            peer_last: None,
            config,
        };
        inner.begin();
        Rc::new(Self { inner: RefCell::new(inner) })
    }

    /// Takes what was read from the peer. An error shows in [`Connection::over`].
    pub fn receive(&self, bytes: &[u8]) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.over.is_none()
            && let Err(error) = inner.take(bytes)
        {
            inner.fail(error);
        }
    }

    /// The peer has closed, or the socket failed.
    pub fn disconnected(&self) {
        self.inner.borrow_mut().end(Over::Closed);
    }

    /// The next request.
    pub fn next_incoming(self: &Rc<Self>) -> Option<Incoming> {
        let (key, request) = self.inner.borrow_mut().incoming.pop_front()?;
        Some(match request {
            Ok(head) => Incoming::Request(head, Handle { connection: self.clone(), key }),
            Err(refusal) => Incoming::Refused(refusal),
        })
    }

    /// Why the connection is over, once it is. What waits to be written still is to be.
    #[must_use]
    pub fn over(&self) -> Option<Over> {
        self.inner.borrow().over
    }

    /// True once the peer has said that it speaks HTTP/2.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.inner.borrow().has_settings
    }

    /// True while a stream is served or asked.
    #[must_use]
    pub fn has_streams(&self) -> bool {
        self.inner.borrow().streams.held() > 0
    }

    /// True if the peer does not read what it is answered: its requests can wait.
    #[must_use]
    pub fn is_clogged(&self) -> bool {
        let inner = self.inner.borrow();
        inner.role == Role::Server && inner.output.len() - inner.written > OUTPUT_LIMIT
    }

    /// Streams that the peer lets us have at once; 0 once no stream may be opened any more.
    #[must_use]
    pub fn peer_streams(&self) -> u32 {
        let inner = self.inner.borrow();
        if inner.may_open() { inner.peer_streams } else { 0 }
    }

    /// Lets the peer know that we leave: GOAWAY with the last possible stream, a PING, and, when that has come back, GOAWAY with the real one.
    /// No request is lost between.
    pub fn leave(&self) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.drain == Drain::No && inner.over.is_none() {
            inner.drain = Drain::Announced;
            inner.count(Http2Stat::goaway_sent);
            frame::write_goaway(&mut inner.output, MAX_31, Reason::NO_ERROR);
            frame::write(&mut inner.output, frame::kind::PING, 0, 0, &DRAIN_PING);
            inner.rouse();
        }
    }

    /// Streams that have not come by now are not served.
    pub fn leave_now(&self) {
        self.inner.borrow_mut().leave_now();
    }

    /// Ends the connection, and tells the peer why.
    pub fn abort(&self, reason: Reason) {
        self.inner.borrow_mut().fail(Error::Connection(reason));
    }

    /// The driver is at work until [`Connection::rest`]: it needs not be woken.
    pub fn drive(&self, cx: &Context<'_>) {
        let inner = &mut *self.inner.borrow_mut();
        inner.is_roused = true;
        super::stream::register(&mut inner.driver, cx);
    }

    /// The driver has written everything.
    pub fn rest(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.is_roused = inner.output.len() > inner.written;
    }

    /// Lends what waits to be written; what was written is taken off. The first error, and a peer that takes nothing, end it.
    pub fn poll_write<E>(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<(), E>> {
        let inner = &mut *self.inner.borrow_mut();
        while let Some(rest) = inner.output.get(inner.written..).filter(|rest| !rest.is_empty()) {
            let length = std::task::ready!(write(rest))?;
            inner.written += length;
            inner.flood.sent(length, inner.written == inner.output.len());
        }
        if !inner.output.is_empty() {
            inner.output_is_out();
        }
        Poll::Ready(Ok(()))
    }
}

/// Ends a stream or the connection.
#[derive(Clone, Copy)]
enum Error {
    Connection(Reason),
    Flood(Flood),
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self::Connection(reason)
    }
}

impl From<Flood> for Error {
    fn from(flood: Flood) -> Self {
        Self::Flood(flood)
    }
}

impl Inner {
    fn begin(&mut self) {
        let config = &self.config;
        let list = (setting::MAX_HEADER_LIST_SIZE, config.block.list_size());
        let window = (setting::INITIAL_WINDOW_SIZE, config.stream_window);
        match self.role {
            Role::Server => {
                let streams = (setting::MAX_CONCURRENT_STREAMS, config.concurrent_streams);
                frame::write_settings(&mut self.output, &[streams, window, list]);
            }
            Role::Client => {
                self.output.extend_from_slice(PREFACE);
                let no_push = (setting::ENABLE_PUSH, 0);
                frame::write_settings(&mut self.output, &[no_push, window, list]);
            }
        }
        let more = i64::from(self.config.connection_window) - DEFAULT_WINDOW;
        if more > 0 {
            self.window_update(0, more as u32);
            self.receive_window += more;
        }
    }

    fn count(&self, stat: crate::telemetry::metrics::Counter<Http2Stat>) {
        if let Some(stats) = &self.config.stats {
            stats.inc(stat);
        }
    }

    /// The driver has to write, or to look.
    fn rouse(&mut self) {
        if !std::mem::replace(&mut self.is_roused, true)
            && let Some(driver) = &self.driver
        {
            driver.wake_by_ref();
        }
    }

    fn fail(&mut self, error: Error) {
        if self.over.is_some() {
            return;
        }
        let (reason, over) = match error {
            Error::Connection(reason) => (reason, Over::Error(reason)),
            Error::Flood(flood) => {
                let reason = Reason::ENHANCE_YOUR_CALM;
                let over = match flood {
                    Flood::PrematureResets => Over::PrematureResets,
                    Flood::Counted(stat) => {
                        self.count(stat);
                        Over::Error(reason)
                    }
                    Flood::Other => Over::Error(reason),
                };
                (reason, over)
            }
        };
        self.count(Http2Stat::goaway_sent);
        frame::write_goaway(&mut self.output, self.last_peer, reason);
        self.end(over);
    }

    /// Nothing is received any more; every stream that is not complete has failed.
    fn end(&mut self, over: Over) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(over);
        self.input = Vec::new();
        self.block = None;
        for stream in self.streams.all() {
            end_stream(stream, Ending::Disconnected);
        }
        self.rouse();
    }

    fn leave_now(&mut self) {
        if matches!(self.drain, Drain::Final(_)) || self.over.is_some() {
            return;
        }
        self.drain = Drain::Final(self.last_peer);
        self.count(Http2Stat::goaway_sent);
        frame::write_goaway(&mut self.output, self.last_peer, Reason::NO_ERROR);
        self.rouse();
        self.end_if_done();
    }

    /// An orderly end has come to its end.
    fn end_if_done(&mut self) {
        let is_leaving = matches!(self.drain, Drain::Final(_))
            || (self.role == Role::Client && self.peer_last.is_some());
        if self.streams.held() == 0 && self.incoming.is_empty() {
            if is_leaving {
                self.end(Over::Done);
            }
            self.rouse();
        }
    }

    /// True if another stream may be opened.
    fn may_open(&self) -> bool {
        self.over.is_none()
            && self.peer_last.is_none()
            && self.drain == Drain::No
            && self.next_id <= MAX_31
    }

    /// Everything is written: whoever waited for room may go on, and the memory goes back.
    fn output_is_out(&mut self) {
        self.written = 0;
        self.output.clear();
        if self.streams.held() == 0 || self.output.capacity() > 2 * OUTPUT_HIGH_WATER {
            self.output = Vec::new();
        }
        self.wake_waiting();
    }

    fn wake_waiting(&mut self) {
        while let Some(key) = self.waiting.pop_front() {
            if let Some(stream) = self.streams.get(key) {
                stream.is_waiting = false;
                stream.wake_sender();
            }
        }
    }
}

/// The stream is over; what has come of it can still be taken.
fn end_stream(stream: &mut Stream, ending: Ending) {
    if !(stream.remote_ended && stream.local_ended) {
        stream.ending.get_or_insert(ending);
    }
    stream.local_ended = true;
    stream.wake_receiver();
    stream.wake_sender();
}

impl Config {
    /// Memory for a head.
    fn spare() -> Headers {
        crate::worker::spare_headers()
    }
}

#[cfg(test)]
mod tests;
