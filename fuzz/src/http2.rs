//! HTTP/2 from a peer, whose bytes nobody has to trust: as a client and as a server.
//!
//! The first byte says which end the peer is; the rest is what it sends behind its preface. What is checked: the split into reads changes nothing; what
//! we answer is frames; every message that comes out holds only what HTTP/2 may say; and what we write of a request is read as itself.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use outrigger::body::Frame;
use outrigger::http::codec::http1::is_host;
use outrigger::http::codec::http2::{
    BlockLimits, Config, Connection, Handle, Incoming, Over, Role,
};
use outrigger_policy::head::{Headers, RequestHead, ResponseHead, is_token_byte, is_value_byte};

use crate::split::splits;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `data` is a choice and what a peer sends.
pub fn http2(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let role = if choice % 2 == 0 { Role::Server } else { Role::Client };
    let [whole, others @ ..] = splits(data).map(|pieces| Heard::of(role, &pieces));
    for other in others {
        assert_eq!(whole, other, "the split decides");
    }
}

/// What came out of a connection.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    messages: Vec<Message>,
    over: Option<Over>,
}

#[derive(Debug, PartialEq)]
struct Message {
    method: Vec<u8>,
    authority: Option<Vec<u8>>,
    path: Vec<u8>,
    status: u16,
    lines: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    is_whole: bool,
}

fn config() -> Config {
    Config {
        concurrent_streams: 8,
        stream_window: 65_535,
        connection_window: 65_535,
        block: BlockLimits { bytes: 2_048, lines: 16 },
        is_tls: false,
        stats: None,
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Heard {
    fn of(role: Role, pieces: &[&[u8]]) -> Self {
        let connection = Connection::new(role, config());
        let mut heard = Self::default();
        let mut open: Vec<(usize, Handle)> = Vec::new();
        if role == Role::Client {
            for _ in 0..3 {
                let head = RequestHead::new(b"GET", b"a.test", b"/");
                open.extend(connection.open(&head, true).map(|handle| (heard.begin(None), handle)));
            }
        } else {
            connection.receive(PREFACE);
        }
        for piece in pieces {
            connection.receive(piece);
            while let Some(incoming) = connection.next_incoming() {
                if let Incoming::Request(head, handle) = incoming {
                    check_request(&head);
                    open.push((heard.begin(Some(&head)), handle));
                }
            }
        }
        written(&connection, role);
        for (at, handle) in &open {
            heard.read(*at, handle);
            if role == Role::Server {
                // An answer of each kind, as far as the peer lets it through.
                let mut body = Bytes::from_static(b"answer");
                let _ = handle.send_response(&ResponseHead::new(200), false);
                let _ = handle.poll_send(&cx(), &mut body, true);
            }
        }
        drop(open);
        heard.over = connection.over();
        written(&connection, role);
        assert!(!connection.has_streams());
        heard
    }

    fn begin(&mut self, head: Option<&RequestHead>) -> usize {
        self.messages.push(Message {
            method: head.map_or_else(Vec::new, |head| head.method().to_vec()),
            authority: head.and_then(|head| head.authority().map(<[u8]>::to_vec)),
            path: head.map_or_else(Vec::new, |head| head.path().to_vec()),
            status: 0,
            lines: head.map_or_else(Vec::new, |head| lines(&head.headers)),
            body: Vec::new(),
            trailers: None,
            is_whole: false,
        });
        self.messages.len() - 1
    }

    fn read(&mut self, at: usize, handle: &Handle) {
        let Some(message) = self.messages.get_mut(at) else { return };
        while let Poll::Ready(Ok(head)) = handle.poll_head(&cx()) {
            assert!((100..1000).contains(&head.status) && head.status != 101);
            message.status = head.status;
            message.lines = lines(&head.headers);
        }
        while let Poll::Ready(Some(Ok(frame))) = handle.poll_frame(&cx()) {
            assert!(message.trailers.is_none(), "nothing comes behind trailers");
            match frame {
                Frame::Data(bytes) => message.body.extend_from_slice(&bytes),
                Frame::Trailers(trailers) => message.trailers = Some(lines(&trailers)),
            }
        }
        message.is_whole = matches!(handle.poll_frame(&cx()), Poll::Ready(None));
        check_lines(&message.lines);
        check_lines(message.trailers.as_deref().unwrap_or_default());
    }
}

/// Takes what waits to be written, which is whole frames of a size that the peer has to take.
fn written(connection: &Rc<Connection>, role: Role) {
    let mut bytes = Vec::new();
    let _ = connection.poll_write(|part| {
        bytes.extend_from_slice(part);
        Poll::Ready(Ok::<_, ()>(part.len()))
    });
    let mut rest = match role {
        Role::Client => bytes.strip_prefix(PREFACE).unwrap_or(&bytes),
        Role::Server => &bytes,
    };
    while let Some(([l0, l1, l2, ..], payload)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        assert!(length <= 16_384 && length <= payload.len());
        rest = payload.get(length..).unwrap_or_default();
    }
    assert!(rest.is_empty());
}

/// What holds of every request that is accepted, and of what an upstream reads of it.
fn check_request(head: &RequestHead) {
    assert!(head.method().iter().all(|byte| is_token_byte(*byte) && !byte.is_ascii_lowercase()));
    assert!(head.authority().is_none_or(is_host));
    assert!(!head.path().iter().any(|byte| matches!(byte, 0..=0x20 | 0x7f | b'#')));
    if head.path().is_empty() {
        assert_eq!(head.method(), b"CONNECT");
    }
    assert!(head.headers.byte_size() <= 2_048 + 2 * 16 && head.headers.len() <= 16);

    let upstream = Connection::new(Role::Client, config());
    let handle = upstream.open(head, true);
    assert!(handle.is_some());
    let server = Connection::new(Role::Server, config());
    let _ = upstream.poll_write(|part| {
        server.receive(part);
        Poll::Ready(Ok::<_, ()>(part.len()))
    });
    let Some(Incoming::Request(again, _handle)) = server.next_incoming() else {
        // A length that was said is not ours to change, and the request here has no body.
        assert!(head.headers.get(outrigger_policy::head::Id::CONTENT_LENGTH).is_some(), "{head:?}");
        return;
    };
    assert_eq!(
        (again.method(), again.authority(), again.path(), again.scheme),
        (head.method(), head.authority(), head.path(), head.scheme)
    );
    let (mut before, mut after) = (lines(&head.headers), lines(&again.headers));
    before.retain(|(name, _)| name != b"http2-settings");
    before.sort();
    after.sort();
    assert_eq!(before, after);
}

fn check_lines(lines: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in lines {
        assert!(!name.is_empty() && name.iter().all(|byte| is_token_byte(*byte)));
        assert!(!name.iter().any(u8::is_ascii_uppercase));
        assert!(value.iter().all(|byte| is_value_byte(*byte)), "{}", value.escape_ascii());
        assert_eq!(value.trim_ascii(), value, "a value has no white space around it");
    }
}

fn lines(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
