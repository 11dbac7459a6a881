//! What a connection makes of a peer's frames, byte by byte, in both roles.

mod limits;
mod rules;

use std::task::Waker;

use outrigger_policy::head::RequestHead;

use super::super::frame::{Head, flag, kind};
use super::*;
use crate::body::Frame;

fn config() -> Config {
    Config {
        concurrent_streams: 4,
        stream_window: 100_000,
        connection_window: 200_000,
        block: BlockLimits { bytes: 8_000, lines: 50 },
        is_tls: false,
        stats: None,
    }
}

/// A connection, and the peer that it talks to.
struct Pair {
    connection: Rc<Connection>,
    said: Vec<(Head, Vec<u8>)>,
}

impl Pair {
    fn silent(role: Role) -> Self {
        Self { connection: Connection::new(role, config()), said: Vec::new() }
    }

    /// Both have said their settings.
    fn new(role: Role) -> Self {
        let mut pair = Self::silent(role);
        if role == Role::Server {
            pair.connection.receive(PREFACE);
        }
        pair.say(kind::SETTINGS, 0, 0, &[]);
        pair.say(kind::SETTINGS, flag::ACK, 0, &[]);
        pair.listen();
        pair.said.clear();
        pair
    }

    fn say(&self, frame: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, frame, flags, stream, payload);
        self.connection.receive(&bytes);
    }

    fn ask(&self, stream: u32, flags: u8) {
        let head = RequestHead::new(b"GET", b"a.test", b"/");
        let mut block = Vec::new();
        hpack::request(&mut block, &head);
        self.say(kind::HEADERS, flags | flag::END_HEADERS, stream, &block);
    }

    /// What it has said since.
    fn listen(&mut self) -> &[(Head, Vec<u8>)] {
        let mut bytes = Vec::new();
        let _ = self.connection.poll_write(|part| {
            bytes.extend_from_slice(part);
            Poll::Ready(Ok::<_, ()>(part.len()))
        });
        let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(&bytes);
        let start = self.said.len();
        while let Some(head) = Head::read(rest) {
            let (payload, behind) = rest[frame::HEAD..].split_at(head.length);
            self.said.push((head, payload.to_vec()));
            rest = behind;
        }
        assert!(rest.is_empty());
        &self.said[start..]
    }

    fn goaway(&mut self) -> Option<Reason> {
        self.listen();
        let (_, payload) = self.said.iter().find(|(head, _)| head.kind == kind::GOAWAY)?;
        Some(Reason(frame::number(&payload[4..8]).unwrap()))
    }

    /// The resets that it has said: stream and code.
    fn resets(&mut self) -> Vec<(u32, Reason)> {
        self.listen();
        let resets = self.said.iter().filter(|(head, _)| head.kind == kind::RST_STREAM);
        resets.map(|(head, code)| (head.stream, Reason(frame::number(code).unwrap()))).collect()
    }

    fn accept(&self) -> (RequestHead, Handle) {
        match self.connection.next_incoming() {
            Some(Incoming::Request(head, handle)) => (*head, handle),
            other => panic!("{other:?}"),
        }
    }

    fn open(&self, is_end: bool) -> Handle {
        let head = RequestHead::new(b"GET", b"a.test", b"/");
        self.connection.open(&head, is_end).unwrap()
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn data_of(handle: &Handle) -> Option<Vec<u8>> {
    match handle.poll_frame(&cx()) {
        Poll::Ready(Some(Ok(Frame::Data(bytes)))) => Some(bytes.to_vec()),
        _ => None,
    }
}
