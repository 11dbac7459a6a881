//! What we say: heads, bodies, trailers, resets, and how much of it the peer lets us (RFC 9113 §5.2, §6.9).

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use outrigger_policy::head::{Headers, RequestHead, ResponseHead};

use super::super::Reason;
use super::super::frame::{self, Head, MAX_PAYLOAD, flag, kind};
use super::super::hpack;
use super::super::stream::{Ending, Key, register};
use super::{Connection, Error, Handle, Inner, OUTPUT_HIGH_WATER, Role};
use crate::body::Frame;
use crate::telemetry::metrics::Http2Stat;

/// Frames of one body before other streams have their turn.
const TURN: usize = 4 * MAX_PAYLOAD;

/// Bytes of a body that are given out at once: what is given out is taken from no window any more.
const PIECE: usize = 2 * MAX_PAYLOAD;

/// The stream has ended, one way or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone(pub Ending);

impl Inner {
    fn send_block(
        &mut self,
        key: Key,
        is_end: bool,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Gone> {
        let Some(stream) = self.streams.get(key) else { return Err(Gone(Ending::Disconnected)) };
        if let Some(ending) = stream.ending {
            return Err(Gone(ending));
        }
        if stream.local_ended {
            return Ok(());
        }
        stream.local_begun = true;
        stream.local_ended = is_end;
        let is_first = !std::mem::replace(&mut self.has_sent_block, true);
        frame::write_block(&mut self.output, stream.id, is_end, |out| {
            if is_first {
                out.push(hpack::NO_TABLE);
            }
            encode(out);
        });
        self.queued(false);
        self.settle(key);
        Ok(())
    }

    /// Counts a frame that was put into the output.
    fn queued(&mut self, is_control: bool) {
        if let Err(flood) = self.flood.queued(is_control) {
            self.fail(flood.into());
        }
        self.rouse();
    }

    pub(super) fn write_reset(&mut self, id: u32, reason: Reason) -> Result<(), Error> {
        self.count(Http2Stat::tx_reset);
        frame::write(&mut self.output, kind::RST_STREAM, 0, id, &reason.0.to_be_bytes());
        self.flood.queued(true)?;
        self.rouse();
        Ok(())
    }

    fn reset(&mut self, key: Key, reason: Reason) {
        let Some(stream) = self.streams.get(key) else { return };
        let (id, is_known) = (stream.id, stream.ending.is_none());
        stream.local_ended = true;
        stream.ending.get_or_insert(Ending::Fault);
        if is_known && self.streams.find(id).is_some() {
            self.close(id);
            // Resets of ours are no answers to frames of the peer, but wait in the same place.
            if let Err(error) = self.write_reset(id, reason) {
                self.fail(error);
            }
        }
    }

    /// Sends as much of `data` as may be sent now; ready once all of it is.
    fn poll_data(
        &mut self,
        key: Key,
        cx: &Context<'_>,
        data: &mut Bytes,
        is_end: bool,
    ) -> Poll<Result<(), Gone>> {
        let mut turn = TURN;
        loop {
            let Some(stream) = self.streams.get(key) else {
                return Poll::Ready(Err(Gone(Ending::Disconnected)));
            };
            if let Some(ending) = stream.ending {
                return Poll::Ready(Err(Gone(ending)));
            }
            if stream.local_ended || (data.is_empty() && !is_end) {
                return Poll::Ready(Ok(()));
            }
            let room = OUTPUT_HIGH_WATER.saturating_sub(self.output.len() - self.written);
            let window = stream.send_window.min(self.send_window);
            let window = usize::try_from(window).unwrap_or(0).min(MAX_PAYLOAD);
            let length = data.len().min(window);
            if (length == 0 && !data.is_empty()) || room == 0 || turn == 0 {
                register(&mut stream.sender, cx);
                // When the output is out, and when the window opens, those who wait are woken.
                let waits = self.send_window <= 0 || room == 0 || turn == 0;
                if waits && !std::mem::replace(&mut stream.is_waiting, true) {
                    self.waiting.push_back(key);
                }
                return Poll::Pending;
            }
            let is_last = is_end && length == data.len();
            let flags = if is_last { flag::END_STREAM } else { 0 };
            let head = Head { length, kind: kind::DATA, flags, stream: stream.id };
            self.output.reserve(frame::HEAD + length);
            self.output.extend_from_slice(&head.bytes());
            self.output.extend_from_slice(data.get(..length).unwrap_or_default());
            data.advance(length);
            stream.send_window -= length as i64;
            self.send_window -= length as i64;
            turn = turn.saturating_sub(length);
            stream.local_ended = is_last;
            self.flood.data_queued();
            self.rouse();
            if is_last {
                self.settle(key);
            }
        }
    }

    // === Windows ===

    pub(super) fn window_update(&mut self, id: u32, more: u32) {
        frame::write(&mut self.output, kind::WINDOW_UPDATE, 0, id, &more.to_be_bytes());
        self.queued(false);
    }

    /// Bytes were consumed, or thrown away: the connection's window opens again, in large steps.
    pub(super) fn release_connection(&mut self, bytes: u32) {
        self.released += bytes;
        if self.released > 0 && self.released >= self.config.connection_window / 2 {
            let more = std::mem::take(&mut self.released);
            self.receive_window += i64::from(more);
            self.window_update(0, more);
        }
    }

    /// The same for a stream that has more to come.
    pub(super) fn release_stream(&mut self, key: Key, bytes: u32) {
        let half = self.config.stream_window / 2;
        let Some(stream) = self.streams.get(key) else { return };
        stream.released += bytes;
        if stream.released > 0 && stream.released >= half && !stream.remote_ended {
            let (id, more) = (stream.id, std::mem::take(&mut stream.released));
            stream.receive_window += i64::from(more);
            self.window_update(id, more);
        }
    }

    /// What has come and nobody will read.
    fn stop_reading(&mut self, key: Key) {
        let Some(stream) = self.streams.get(key) else { return };
        stream.is_reading = false;
        stream.trailers = None;
        stream.receiver = None;
        let front = std::mem::take(&mut stream.front).len();
        let unread = (front + std::mem::take(&mut stream.data).len()) as u32;
        if unread > 0 {
            self.release_connection(unread);
        }
    }

    /// The last handle of a stream goes: what is open of it is reset. A request that is no longer needed because it was answered is no error
    /// (RFC 9113 §8.1).
    fn drop_stream(&mut self, key: Key) {
        self.stop_reading(key);
        let Some(stream) = self.streams.get(key) else { return };
        let is_open = !(stream.remote_ended && stream.local_ended);
        let is_answered = self.role == Role::Server && stream.local_ended;
        if is_open {
            self.reset(key, if is_answered { Reason::NO_ERROR } else { Reason::CANCEL });
        }
        if let Some(stream) = self.streams.get(key) {
            let id = stream.id;
            self.close(id);
        }
        self.streams.free(key);
        self.end_if_done();
    }
}

impl Connection {
    /// Opens a stream with a request. `None` if the connection takes no stream any more.
    pub fn open(self: &Rc<Self>, head: &RequestHead, is_end: bool) -> Option<Handle> {
        let inner = &mut *self.inner.borrow_mut();
        if !inner.may_open() {
            return None;
        }
        let id = inner.next_id;
        inner.next_id += 2;
        inner.flood.opened();
        let window = i64::from(inner.config.stream_window);
        let key = inner.streams.open(id, inner.peer_window, window, inner.now);
        if let Some(stream) = inner.streams.get(key) {
            stream.handles = 1;
            stream.is_head_request = head.is_head();
        }
        if let Some(stats) = &inner.config.stats {
            stats.up(Http2Stat::streams_active);
        }
        let _ = inner.send_block(key, is_end, |out| hpack::request(out, head));
        Some(Handle { connection: self.clone(), key })
    }
}

impl Handle {
    /// Writes the head of a response.
    ///
    /// # Errors
    /// If the stream is over.
    pub fn send_response(&self, head: &ResponseHead, is_end: bool) -> Result<(), Gone> {
        let inner = &mut *self.connection.inner.borrow_mut();
        inner.send_block(self.key, is_end, |out| hpack::response(out, head))
    }

    /// Writes trailers, which end our message.
    ///
    /// # Errors
    /// If the stream is over.
    pub fn send_trailers(&self, trailers: &Headers) -> Result<(), Gone> {
        let inner = &mut *self.connection.inner.borrow_mut();
        inner.send_block(self.key, true, |out| hpack::trailers(out, trailers))
    }

    /// Sends as much of `data` as may be sent now; ready once all of it is, and with `is_end` the end of our message too.
    pub fn poll_send(
        &self,
        cx: &Context<'_>,
        data: &mut Bytes,
        is_end: bool,
    ) -> Poll<Result<(), Gone>> {
        self.connection.inner.borrow_mut().poll_data(self.key, cx, data, is_end)
    }

    /// Resets the stream, behind everything that was written of it.
    pub fn reset(&self, reason: Reason) {
        self.connection.inner.borrow_mut().reset(self.key, reason);
    }

    /// Ready when the stream has ended before its time.
    pub fn poll_ending(&self, cx: &Context<'_>) -> Poll<Ending> {
        let inner = &mut *self.connection.inner.borrow_mut();
        let Some(stream) = inner.streams.get(self.key) else {
            return Poll::Ready(Ending::Disconnected);
        };
        match stream.ending {
            Some(ending) => Poll::Ready(ending),
            None => {
                register(&mut stream.sender, cx);
                Poll::Pending
            }
        }
    }

    /// The next head of the response.
    pub fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<ResponseHead, Gone>> {
        let inner = &mut *self.connection.inner.borrow_mut();
        let Some(stream) = inner.streams.get(self.key) else {
            return Poll::Ready(Err(Gone(Ending::Disconnected)));
        };
        if !stream.heads.is_empty() {
            return Poll::Ready(Ok(stream.heads.remove(0)));
        }
        if let Some(ending) = stream.ending {
            return Poll::Ready(Err(Gone(ending)));
        }
        register(&mut stream.receiver, cx);
        Poll::Pending
    }

    /// The next piece of the peer's message, given back to its window; `None` at its end.
    pub fn poll_frame(&self, cx: &Context<'_>) -> Poll<Option<Result<Frame, Gone>>> {
        let inner = &mut *self.connection.inner.borrow_mut();
        let Some(stream) = inner.streams.get(self.key) else {
            return Poll::Ready(Some(Err(Gone(Ending::Disconnected))));
        };
        if stream.front.is_empty() {
            stream.front = Bytes::from(std::mem::take(&mut stream.data));
        }
        if !stream.front.is_empty() {
            let length = stream.front.len().min(PIECE);
            let data = stream.front.split_to(length);
            inner.release_connection(length as u32);
            inner.release_stream(self.key, length as u32);
            return Poll::Ready(Some(Ok(Frame::Data(data))));
        }
        if let Some(trailers) = stream.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::Trailers(trailers))));
        }
        if stream.remote_ended || !stream.is_reading {
            return Poll::Ready(None);
        }
        if let Some(ending) = stream.ending {
            return Poll::Ready(Some(Err(Gone(ending))));
        }
        register(&mut stream.receiver, cx);
        Poll::Pending
    }

    /// True if no piece will come.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        let inner = &mut *self.connection.inner.borrow_mut();
        inner.streams.get(self.key).is_none_or(|stream| stream.is_exhausted())
    }

    /// Nobody reads the peer's message any more.
    pub fn stop_reading(&self) {
        self.connection.inner.borrow_mut().stop_reading(self.key);
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        if let Some(stream) = self.connection.inner.borrow_mut().streams.get(self.key) {
            stream.handles += 1;
        }
        Self { connection: self.connection.clone(), key: self.key }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let inner = &mut *self.connection.inner.borrow_mut();
        let Some(stream) = inner.streams.get(self.key) else { return };
        stream.handles = stream.handles.saturating_sub(1);
        if stream.handles == 0 {
            inner.drop_stream(self.key);
        }
    }
}
