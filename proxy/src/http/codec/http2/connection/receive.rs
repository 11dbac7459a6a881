//! What the peer says: frames out of bytes, and what each does to the connection (RFC 9113 §5, §6).
//!
//! Frames are parsed where they were read; only a frame that is not whole yet is copied. An `Err` ends the connection; what concerns one stream only
//! resets that stream. Where the RFC leaves a choice about frames of streams that are closed, they are let pass, as nghttp2 does.

use std::time::Duration;

use super::super::Reason;
use super::super::fields::{Discard, Refusal, RequestFields, ResponseFields, TrailerFields};
use super::super::frame::{self, HEAD, Head, MAX_31, MAX_PAYLOAD, flag, kind, setting};
use super::super::hpack::{BlockError, Sink};
use super::super::stream::{Ending, Key};
use super::STREAMS_ENDING;
use super::{Block, Config, DRAIN_PING, Drain, Error, Inner, Role, end_stream};
use crate::clock;
use crate::telemetry::metrics::Http2Stat;

/// CONTINUATION frames of a block at least. (nghttp2: NGHTTP2_DEFAULT_MAX_CONTINUATIONS)
const CONTINUATIONS: usize = 8;
/// Interim responses that may wait.
const INTERIM: usize = 16;

impl Inner {
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.now = clock::now();
        if !self.preface.is_empty() {
            let length = self.preface.len().min(bytes.len());
            let (part, rest) = bytes.split_at_checked(length).unwrap_or_default();
            self.preface = self.preface.strip_prefix(part).ok_or(Reason::PROTOCOL_ERROR)?;
            bytes = rest;
        }
        while !bytes.is_empty() {
            if self.input.is_empty() {
                let Some(head) = self.head_of(bytes)? else { break };
                let Some(payload) = bytes.get(HEAD..HEAD + head.length) else { break };
                self.frame(head, payload)?;
                bytes = bytes.get(HEAD + head.length..).unwrap_or_default();
                continue;
            }
            // The rest of a frame that has begun, and not a byte more.
            let mut input = std::mem::take(&mut self.input);
            let wanted = match self.head_of(&input)? {
                None => HEAD,
                Some(head) => HEAD + head.length,
            };
            let length = wanted.saturating_sub(input.len()).min(bytes.len());
            let (part, rest) = bytes.split_at_checked(length).unwrap_or_default();
            input.extend_from_slice(part);
            bytes = rest;
            match self.head_of(&input)? {
                Some(head) if input.len() == HEAD + head.length => {
                    self.frame(head, input.get(HEAD..).unwrap_or_default())?;
                }
                _ => self.input = input,
            }
        }
        self.input.extend_from_slice(bytes);
        Ok(())
    }

    fn head_of(&self, bytes: &[u8]) -> Result<Option<Head>, Error> {
        let head = Head::read(bytes);
        match head {
            Some(head) if head.length > MAX_PAYLOAD => Err(Reason::FRAME_SIZE_ERROR.into()),
            _ => Ok(head),
        }
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Error> {
        let is_block_open = self.block.is_some();
        if is_block_open != (head.kind == kind::CONTINUATION)
            || (!self.has_settings && (head.kind != kind::SETTINGS || head.has(flag::ACK)))
        {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        match head.kind {
            kind::DATA => self.data(head, payload),
            kind::HEADERS => self.headers(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            _ => {
                self.flood.received(head.kind, false)?;
                self.control(head, payload)
            }
        }
    }

    fn control(&mut self, head: Head, payload: &[u8]) -> Result<(), Error> {
        let is_of_stream = matches!(head.kind, kind::PRIORITY | kind::RST_STREAM);
        let is_of_connection = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        if (is_of_stream && head.stream == 0) || (is_of_connection && head.stream != 0) {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        match head.kind {
            kind::PRIORITY if payload.len() != 5 => Err(Reason::FRAME_SIZE_ERROR.into()),
            kind::RST_STREAM => self.reset_by_peer(head.stream, payload),
            kind::SETTINGS => self.settings(head, payload),
            kind::PUSH_PROMISE => Err(Reason::PROTOCOL_ERROR.into()),
            kind::PING => {
                let opaque = <[u8; 8]>::try_from(payload).map_err(|_| Reason::FRAME_SIZE_ERROR)?;
                if !head.has(flag::ACK) {
                    frame::write(&mut self.output, kind::PING, flag::ACK, 0, &opaque);
                    self.flood.queued(true)?;
                    self.rouse();
                } else if opaque == DRAIN_PING && self.drain == Drain::Announced {
                    self.leave_now();
                }
                Ok(())
            }
            kind::GOAWAY => self.goaway(payload),
            kind::WINDOW_UPDATE => self.window_updated(head.stream, payload),
            // RFC 9113 §5.5: unknown frames are ignored.
            _ => Ok(()),
        }
    }

    /// True for a stream that was never opened.
    fn is_idle(&self, id: u32) -> bool {
        let is_ours = id % 2 == 1 && self.role == Role::Client;
        let is_peers = id % 2 == 1 && self.role == Role::Server;
        !((is_ours && id < self.next_id) || (is_peers && id <= self.last_peer))
    }

    // === DATA ===

    fn data(&mut self, head: Head, payload: &[u8]) -> Result<(), Error> {
        let data = frame::without_padding(head, payload).ok_or(Reason::PROTOCOL_ERROR)?;
        let is_end = head.has(flag::END_STREAM);
        self.flood.received(kind::DATA, data.is_empty() && !is_end)?;
        if head.stream == 0 || self.is_idle(head.stream) {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        self.receive_window -= head.length as i64;
        if self.receive_window < 0 {
            return Err(Reason::FLOW_CONTROL_ERROR.into());
        }
        let Some(key) = self.streams.find(head.stream) else {
            self.release_connection(head.length as u32);
            return Ok(());
        };
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        stream.receive_window -= head.length as i64;
        let fault = if stream.remote_ended {
            Some(Reason::STREAM_CLOSED)
        } else if stream.receive_window < 0 {
            Some(Reason::FLOW_CONTROL_ERROR)
        } else if self.role == Role::Client && !stream.has_head {
            Some(Reason::PROTOCOL_ERROR)
        } else if let Some(expected) = stream.expected {
            match expected.checked_sub(data.len() as u64) {
                Some(rest) if rest == 0 || !is_end => {
                    stream.expected = Some(rest);
                    None
                }
                _ => Some(Reason::PROTOCOL_ERROR),
            }
        } else {
            None
        };
        if let Some(reason) = fault {
            self.release_connection(head.length as u32);
            return self.fault(key, reason);
        }
        let mut unread = head.length - data.len();
        if stream.is_reading {
            if stream.data.is_empty() {
                stream.data.reserve_exact(data.len());
            }
            stream.data.extend_from_slice(data);
        } else {
            unread = head.length;
        }
        stream.remote_ended = is_end;
        stream.wake_receiver();
        self.release_connection(unread as u32);
        if !is_end {
            self.release_stream(key, (head.length - data.len()) as u32);
        }
        self.settle(key);
        Ok(())
    }

    // === HEADERS ===

    fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Error> {
        let mut block = frame::without_padding(head, payload).ok_or(Reason::PROTOCOL_ERROR)?;
        let mut is_own_parent = false;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(Reason::PROTOCOL_ERROR)?;
            let parent = priority.first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
            is_own_parent = parent & MAX_31 == head.stream;
            block = rest;
        }
        let is_end = head.has(flag::END_STREAM);
        self.flood.received(kind::HEADERS, block.is_empty() && !is_end)?;
        if head.stream.is_multiple_of(2) || is_own_parent {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, is_end, block);
        }
        self.block = Some(Block { stream: head.stream, is_end, bytes: block.to_vec(), frames: 0 });
        Ok(())
    }

    fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Error> {
        self.flood.received(kind::CONTINUATION, payload.is_empty())?;
        let Some(mut block) = self.block.take() else { return Err(Reason::PROTOCOL_ERROR.into()) };
        if block.stream != head.stream {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        let list = self.config.block.list_size() as usize;
        block.frames += 1;
        block.bytes.extend_from_slice(payload);
        let is_long = block.bytes.len() > list.saturating_mul(2);
        if is_long || block.frames > CONTINUATIONS.max(list / MAX_PAYLOAD * 2) {
            self.count(Http2Stat::header_overflow);
            return Err(Reason::ENHANCE_YOUR_CALM.into());
        }
        if head.has(flag::END_HEADERS) {
            return self.block(block.stream, block.is_end, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    fn decode(&mut self, block: &[u8], sink: &mut impl Sink) -> Result<(), Error> {
        self.decoder.decode(block, sink).map_err(|error| {
            if error == BlockError::Field {
                self.count(Http2Stat::rx_messaging_error);
                return Reason::PROTOCOL_ERROR.into();
            }
            Reason::COMPRESSION_ERROR.into()
        })
    }

    fn block(&mut self, id: u32, is_end: bool, block: &[u8]) -> Result<(), Error> {
        if let Some(key) = self.streams.find(id) {
            let begins = self.role == Role::Client
                && self.streams.get(key).is_some_and(|stream| !stream.has_head);
            if begins {
                return self.response(key, is_end, block);
            }
            return self.trailers(key, is_end, block);
        }
        if self.role == Role::Server && id > self.last_peer {
            return self.request(id, is_end, block);
        }
        if self.is_idle(id) {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        self.count(Http2Stat::headers_cb_no_stream);
        self.decode(block, &mut Discard)
    }

    fn request(&mut self, id: u32, is_end: bool, block: &[u8]) -> Result<(), Error> {
        self.last_peer = id;
        if matches!(self.drain, Drain::Final(_)) {
            return self.decode(block, &mut Discard);
        }
        self.flood.opened();
        let limit = self.config.concurrent_streams as usize;
        let is_crowded = self.streams.held() >= limit + STREAMS_ENDING;
        if self.streams.known() >= limit || is_crowded {
            self.decode(block, &mut Discard)?;
            self.count(Http2Stat::stream_refused_errors);
            self.write_reset(id, Reason::REFUSED_STREAM)?;
            // So many can only be ending because the peer has reset them, or made us do it.
            let bounded = if is_crowded {
                self.flood.reset_by_peer(true, Duration::ZERO)
            } else {
                self.flood.fault()
            };
            return Ok(bounded?);
        }
        let mut fields = RequestFields::new(Config::spare(), self.config.block);
        self.decode(block, &mut fields)?;
        let finished = fields.finish(self.config.is_tls).and_then(|(head, length)| {
            let is_wrong = is_end && length.is_some_and(|length| length > 0);
            if is_wrong { Err(Refusal::Malformed) } else { Ok((head, length)) }
        });
        let (head, length) = match finished {
            Ok(finished) => finished,
            Err(refusal) => {
                let reason = match refusal {
                    Refusal::TooLarge => {
                        self.count(Http2Stat::header_overflow);
                        Reason::INTERNAL_ERROR
                    }
                    Refusal::Malformed | Refusal::Unfit => {
                        self.count(Http2Stat::rx_messaging_error);
                        Reason::PROTOCOL_ERROR
                    }
                };
                if refusal != Refusal::Malformed {
                    self.incoming.push_back((0, Err(refusal)));
                }
                self.write_reset(id, reason)?;
                return Ok(self.flood.fault()?);
            }
        };
        let key = {
            let window = i64::from(self.config.stream_window);
            self.streams.open(id, self.peer_window, window, self.now)
        };
        if let Some(stream) = self.streams.get(key) {
            // The handles of its two directions, of which one will be asked for.
            stream.handles = 1;
            stream.remote_ended = is_end;
            stream.expected = length;
        }
        if let Some(stats) = &self.config.stats {
            stats.up(Http2Stat::streams_active);
        }
        self.incoming.push_back((key, Ok(Box::new(head))));
        Ok(())
    }

    fn response(&mut self, key: Key, is_end: bool, block: &[u8]) -> Result<(), Error> {
        let mut fields = ResponseFields::new(Config::spare(), self.config.block);
        self.decode(block, &mut fields)?;
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        let is_interim = |status| (100..200).contains(&status);
        match fields.finish() {
            Ok((head, _)) if is_interim(head.status) => {
                if is_end || stream.heads.len() >= INTERIM {
                    return self.malformed(key);
                }
                stream.heads.push(head);
            }
            Ok((head, length)) => {
                let has_body = !stream.is_head_request && head.may_have_body();
                let expected = if has_body { length } else { Some(0) };
                if is_end && expected.is_some_and(|length| length > 0) {
                    return self.malformed(key);
                }
                stream.expected = expected;
                stream.has_head = true;
                stream.remote_ended = is_end;
                stream.heads.push(head);
            }
            Err(refusal) => {
                if refusal == Refusal::TooLarge {
                    self.count(Http2Stat::header_overflow);
                }
                return self.malformed(key);
            }
        }
        stream.wake_receiver();
        self.settle(key);
        Ok(())
    }

    fn trailers(&mut self, key: Key, is_end: bool, block: &[u8]) -> Result<(), Error> {
        let mut fields = TrailerFields::new(self.config.block);
        self.decode(block, &mut fields)?;
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        if stream.remote_ended {
            return self.fault(key, Reason::STREAM_CLOSED);
        }
        let trailers = match fields.finish() {
            Ok(trailers) if is_end && stream.expected.is_none_or(|rest| rest == 0) => trailers,
            _ => return self.malformed(key),
        };
        stream.remote_ended = true;
        if stream.is_reading && !trailers.is_empty() {
            stream.trailers = Some(trailers);
        }
        stream.wake_receiver();
        self.count(Http2Stat::trailers);
        self.settle(key);
        Ok(())
    }

    fn malformed(&mut self, key: Key) -> Result<(), Error> {
        self.count(Http2Stat::rx_messaging_error);
        self.fault(key, Reason::PROTOCOL_ERROR)
    }

    /// Resets a stream for what the peer did.
    fn fault(&mut self, key: Key, reason: Reason) -> Result<(), Error> {
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        let id = stream.id;
        end_stream(stream, Ending::Fault);
        self.close(id);
        self.write_reset(id, reason)?;
        Ok(self.flood.fault()?)
    }

    // === Frames about a stream or the connection ===

    fn reset_by_peer(&mut self, id: u32, payload: &[u8]) -> Result<(), Error> {
        let code = frame::number(payload).ok_or(Reason::FRAME_SIZE_ERROR)?;
        if self.is_idle(id) {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        self.count(Http2Stat::rx_reset);
        if let Some(key) = self.streams.find(id)
            && let Some(stream) = self.streams.get(key)
        {
            let is_early = self.role == Role::Server && !stream.local_begun;
            let age = self.now.duration_since(stream.opened);
            end_stream(stream, Ending::Reset(Reason(code)));
            self.close(id);
            self.flood.reset_by_peer(is_early, age)?;
        }
        Ok(())
    }

    fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Error> {
        if head.has(flag::ACK) {
            let is_empty = payload.is_empty();
            return if is_empty { Ok(()) } else { Err(Reason::FRAME_SIZE_ERROR.into()) };
        }
        let (settings, []) = payload.as_chunks::<6>() else {
            return Err(Reason::FRAME_SIZE_ERROR.into());
        };
        let mut window = self.peer_window;
        if !self.has_settings {
            // RFC 9113 §6.5.2: without a word there is no limit.
            self.peer_streams = u32::MAX;
        }
        for &[n0, n1, v0, v1, v2, v3] in settings {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([n0, n1]) {
                setting::ENABLE_PUSH if value > 1 || (value == 1 && self.role == Role::Client) => {
                    return Err(Reason::PROTOCOL_ERROR.into());
                }
                setting::MAX_CONCURRENT_STREAMS => self.peer_streams = value,
                setting::INITIAL_WINDOW_SIZE if value > MAX_31 => {
                    return Err(Reason::FLOW_CONTROL_ERROR.into());
                }
                setting::INITIAL_WINDOW_SIZE => window = i64::from(value),
                // We never send larger frames than the least that is allowed.
                setting::MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                    return Err(Reason::PROTOCOL_ERROR.into());
                }
                _ => {}
            }
        }
        self.has_settings = true;
        let change = window - self.peer_window;
        if change != 0 {
            self.peer_window = window;
            for stream in self.streams.all() {
                stream.send_window += change;
                if stream.send_window > i64::from(MAX_31) {
                    return Err(Reason::FLOW_CONTROL_ERROR.into());
                }
                stream.wake_sender();
            }
        }
        frame::write(&mut self.output, kind::SETTINGS, flag::ACK, 0, &[]);
        self.flood.queued(true)?;
        self.rouse();
        Ok(())
    }

    fn goaway(&mut self, payload: &[u8]) -> Result<(), Error> {
        let last = payload.first_chunk().ok_or(Reason::FRAME_SIZE_ERROR)?;
        if payload.len() < 8 {
            return Err(Reason::FRAME_SIZE_ERROR.into());
        }
        let last = u32::from_be_bytes(*last) & MAX_31;
        if self.role == Role::Client {
            // RFC 9113 §6.8: the number never rises.
            let last = self.peer_last.map_or(last, |before| before.min(last));
            self.peer_last = Some(last);
            let mut refused = Vec::new();
            for stream in self.streams.all().filter(|stream| stream.id > last) {
                end_stream(stream, Ending::Unprocessed);
                refused.push(stream.id);
            }
            for id in refused {
                self.close(id);
            }
            self.end_if_done();
        }
        Ok(())
    }

    fn window_updated(&mut self, id: u32, payload: &[u8]) -> Result<(), Error> {
        let more = i64::from(frame::number(payload).ok_or(Reason::FRAME_SIZE_ERROR)? & MAX_31);
        if more == 0 || (id != 0 && self.is_idle(id)) {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        if id == 0 {
            self.send_window += more;
            if self.send_window > i64::from(MAX_31) {
                return Err(Reason::FLOW_CONTROL_ERROR.into());
            }
            self.wake_waiting();
        } else if let Some(key) = self.streams.find(id)
            && let Some(stream) = self.streams.get(key)
        {
            stream.send_window += more;
            if stream.send_window > i64::from(MAX_31) {
                return self.fault(key, Reason::FLOW_CONTROL_ERROR);
            }
            stream.wake_sender();
        }
        Ok(())
    }

    /// Forgets a stream whose two directions have ended well.
    pub(super) fn settle(&mut self, key: Key) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.remote_ended && stream.local_ended && stream.ending.is_none() {
            let id = stream.id;
            if self.streams.find(id).is_some() {
                self.flood.closed_well();
                self.close(id);
            }
        }
    }

    /// The protocol is done with a stream.
    pub(super) fn close(&mut self, id: u32) {
        if self.streams.find(id).is_some() {
            self.streams.forget(id);
            if let Some(stats) = &self.config.stats {
                stats.down(Http2Stat::streams_active);
            }
        }
    }
}
