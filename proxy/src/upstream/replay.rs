//! A request's body that can be sent again. (envoy: `Router::Filter`'s buffering for retries)
//!
//! What an attempt reads from the client is kept until it is known that no other attempt will be made, or until it is more than the
//! limit: then the body streams on and the request is not tried again.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use outrigger_policy::head::Headers;

use crate::body::{Body, Frame, PollFrame};

/// The body, shared by all attempts of a request.
#[derive(Clone, Debug)]
pub struct ReplayBuffer {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Debug)]
struct Shared {
    source: Body,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    trailers: Option<Headers>,
    limit: usize,
    /// Nothing is kept any more.
    is_over: bool,
    is_ended: bool,
    /// Readers besides the attempts: copies, which want the whole body.
    keepers: usize,
    waiting: Vec<Waker>,
}

/// One attempt's reading of the body.
#[derive(Debug)]
pub struct Replay {
    shared: Rc<RefCell<Shared>>,
    next: usize,
    has_trailers: bool,
}

impl ReplayBuffer {
    /// Keeps at most `limit` bytes of `source`.
    #[must_use]
    pub fn new(source: Body, limit: usize) -> Self {
        Self {
            shared: Rc::new(RefCell::new(Shared {
                source,
                kept: Vec::new(),
                kept_bytes: 0,
                trailers: None,
                limit,
                is_over: false,
                is_ended: false,
                keepers: 0,
                waiting: Vec::new(),
            })),
        }
    }

    /// The body from its start. Only the newest reader may be polled.
    #[must_use]
    pub fn read(&self) -> Replay {
        Replay { shared: self.shared.clone(), next: 0, has_trailers: false }
    }

    /// True if the body can be sent again from its start.
    #[must_use]
    pub fn can_replay(&self) -> bool {
        !self.shared.borrow().is_over
    }

    /// No other attempt will be made: keeps nothing from now on, unless a copy wants it.
    pub fn commit(&self) {
        let shared = &mut *self.shared.borrow_mut();
        shared.is_over |= shared.keepers == 0;
    }

    /// The same buffer for a copy of the request: its body stays until the copy was sent.
    #[must_use]
    pub fn keep(&self) -> Self {
        self.shared.borrow_mut().keepers += 1;
        self.clone()
    }

    /// Ready when the body has ended: true if all of it was kept.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "the form of a poll")]
    pub fn poll_complete(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let shared = &mut *self.shared.borrow_mut();
        if shared.is_over || shared.is_ended {
            return Poll::Ready(!shared.is_over);
        }
        shared.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

impl Replay {
    /// The next piece, kept or fresh.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let shared = &mut *self.shared.borrow_mut();
        if let Some(bytes) = shared.kept.get(self.next) {
            let bytes = bytes.clone();
            self.next += 1;
            if shared.is_over && self.next == shared.kept.len() {
                shared.kept = Vec::new();
                self.next = 0;
            }
            return Poll::Ready(Some(Ok(Frame::Data(bytes))));
        }
        if shared.is_ended {
            let trailers = shared.trailers.as_ref().filter(|_| !self.has_trailers).cloned();
            self.has_trailers = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))));
        }
        let polled = shared.source.poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(Frame::Data(bytes)))) if !shared.is_over => {
                shared.kept_bytes += bytes.len();
                if shared.kept_bytes > shared.limit {
                    shared.is_over = true;
                    shared.kept = Vec::new();
                    self.next = 0;
                } else {
                    shared.kept.push(bytes.clone());
                    self.next += 1;
                }
            }
            Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                shared.trailers = Some(trailers.clone());
                shared.is_ended = true;
                self.has_trailers = true;
            }
            Poll::Ready(None) => shared.is_ended = true,
            // A client that failed once fails every attempt.
            Poll::Ready(Some(Err(_))) => shared.is_over = true,
            _ => {}
        }
        shared.is_ended |= shared.source.is_end() && !shared.is_over;
        if shared.is_ended || shared.is_over {
            shared.waiting.drain(..).for_each(Waker::wake);
        }
        polled
    }

    /// True if no piece will come.
    #[must_use]
    pub fn is_end(&self) -> bool {
        let shared = self.shared.borrow();
        self.next >= shared.kept.len()
            && (shared.is_ended || shared.source.is_end())
            && (self.has_trailers || shared.trailers.is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn read_all(replay: &mut Replay) -> Vec<u8> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut out = Vec::new();
        while let Poll::Ready(Some(Ok(Frame::Data(bytes)))) = replay.poll_frame(&mut cx) {
            out.extend_from_slice(&bytes);
        }
        out
    }

    #[test]
    fn every_attempt_reads_the_whole_body() {
        let buffer = ReplayBuffer::new(Body::Full(Bytes::from_static(b"hello")), 5);
        for _ in 0..3 {
            let mut replay = buffer.read();
            assert!(!replay.is_end());
            assert_eq!(read_all(&mut replay), b"hello");
            assert!(replay.is_end() && buffer.can_replay());
        }
    }

    #[test]
    fn a_body_over_the_limit_streams_on_and_is_not_sent_again() {
        let buffer = ReplayBuffer::new(Body::Full(Bytes::from_static(b"hello")), 4);
        assert_eq!(read_all(&mut buffer.read()), b"hello");
        assert!(!buffer.can_replay());
    }
}
