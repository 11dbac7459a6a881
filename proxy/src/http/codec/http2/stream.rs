//! The streams of a connection: what each has received and may send, and where to find it.
//!
//! A stream stays in its place for as long as somebody holds a handle of it; its number leads to it only while the protocol knows it
//! (RFC 9113 §5.1). So a peer that resets its streams does not make room for more of them before their work has stopped.

use std::task::{Context, Waker};

use bytes::Bytes;
use outrigger_policy::head::{Headers, ResponseHead};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::Reason;

/// The place of a stream. Valid while a handle exists.
pub(super) type Key = usize;

/// How a stream has ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer has reset it.
    Reset(Reason),
    /// The peer went away without looking at it.
    Unprocessed,
    /// We have reset it, because the peer broke a rule.
    Fault,
    /// The connection is gone.
    Disconnected,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its number.
    pub(super) id: u32,
    /// How many handles there are.
    pub(super) handles: u8,
    /// All of the peer's message is here.
    pub(super) remote_ended: bool,
    /// All of our message is written.
    pub(super) local_ended: bool,
    /// Our head is written.
    pub(super) local_begun: bool,
    /// Somebody wants what comes.
    pub(super) is_reading: bool,
    /// It waits for the connection, not only for its own window.
    pub(super) is_waiting: bool,
    /// How it ended, if not well.
    pub(super) ending: Option<Ending>,
    /// Bytes that may be sent; below zero after a change of settings.
    pub(super) send_window: i64,
    /// Bytes that the peer may send.
    pub(super) receive_window: i64,
    /// Bytes consumed that the peer was not told of.
    pub(super) released: u32,
    /// Bytes of the body that are to come, by `content-length`.
    pub(super) expected: Option<u64>,
    /// The response to it has no body, whatever its length says.
    pub(super) is_head_request: bool,
    /// Received, not yet taken.
    pub(super) data: Vec<u8>,
    /// The same, received before it.
    pub(super) front: Bytes,
    /// Received, not yet taken.
    pub(super) trailers: Option<Headers>,
    /// The head of a response was received.
    pub(super) has_head: bool,
    /// Heads of responses, not yet taken: interim ones, then the final one.
    pub(super) heads: Vec<ResponseHead>,
    /// When it was opened.
    pub(super) opened: Instant,
    /// Who waits for something to come.
    pub(super) receiver: Option<Waker>,
    /// Who waits to send, or for the end.
    pub(super) sender: Option<Waker>,
}

impl Stream {
    const fn new(id: u32, send_window: i64, receive_window: i64, opened: Instant) -> Self {
        Self {
            id,
            handles: 0,
            remote_ended: false,
            local_ended: false,
            local_begun: false,
            is_reading: true,
            is_waiting: false,
            ending: None,
            send_window,
            receive_window,
            released: 0,
            expected: None,
            is_head_request: false,
            data: Vec::new(),
            front: Bytes::new(),
            trailers: None,
            has_head: false,
            heads: Vec::new(),
            opened,
            receiver: None,
            sender: None,
        }
    }

    /// True if nothing more will come, and all that came was taken.
    pub(super) fn is_exhausted(&self) -> bool {
        (self.remote_ended && self.trailers.is_none() || !self.is_reading)
            && self.data.is_empty()
            && self.front.is_empty()
    }

    /// Something came.
    pub(super) fn wake_receiver(&mut self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }

    /// Something may be sent, or it is over.
    pub(super) fn wake_sender(&mut self) {
        if let Some(waker) = self.sender.take() {
            waker.wake();
        }
    }
}

/// Remembers the task for later.
pub(super) fn register(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *place = Some(cx.waker().clone()),
    }
}

/// All streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    places: Vec<Option<Box<Stream>>>,
    free: Vec<Key>,
    by_id: FxHashMap<u32, Key>,
}

impl Streams {
    /// A new stream that the protocol knows. Somebody must take a handle.
    pub(super) fn open(
        &mut self,
        id: u32,
        send_window: i64,
        receive_window: i64,
        now: Instant,
    ) -> Key {
        let stream = Some(Box::new(Stream::new(id, send_window, receive_window, now)));
        let key = match self.free.pop() {
            Some(key) => key,
            None => {
                self.places.push(None);
                self.places.len() - 1
            }
        };
        if let Some(place) = self.places.get_mut(key) {
            *place = stream;
        }
        self.by_id.insert(id, key);
        key
    }

    /// The stream of a key.
    pub(super) fn get(&mut self, key: Key) -> Option<&mut Stream> {
        self.places.get_mut(key)?.as_deref_mut()
    }

    /// The key of a number that the protocol knows.
    pub(super) fn find(&self, id: u32) -> Option<Key> {
        self.by_id.get(&id).copied()
    }

    /// The protocol is done with the stream.
    pub(super) fn forget(&mut self, id: u32) {
        self.by_id.remove(&id);
    }

    /// The last handle of the stream is gone.
    pub(super) fn free(&mut self, key: Key) {
        let place = self.places.get_mut(key).and_then(Option::take);
        if let Some(stream) = place {
            self.by_id.remove(&stream.id);
            self.free.push(key);
        }
        if self.free.len() == self.places.len() {
            // An idle connection owns no more than one place.
            self.places.truncate(1);
            self.places.shrink_to(1);
            self.free.truncate(0);
            self.free.extend(0..self.places.len());
            self.by_id.shrink_to(4);
        }
    }

    /// Streams that the protocol knows.
    pub(super) fn known(&self) -> usize {
        self.by_id.len()
    }

    /// Streams that somebody holds.
    pub(super) fn held(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// All that somebody holds.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.places.iter_mut().filter_map(Option::as_deref_mut)
    }
}
