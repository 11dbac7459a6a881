//! The cases of RFC 9113: what ends a connection, what ends a stream, what a message may say.

use outrigger_policy::head::{Id, RequestHead, ResponseHead};

use super::super::super::frame::{MAX_PAYLOAD, flag, kind};
use super::super::*;
use super::{Pair, cx, data_of};
use crate::body::Frame;

/// Frames that end the connection: `(kind, flags, stream, payload)` and the code of GOAWAY.
type Violation<'a> = (u8, u8, u32, &'a [u8], Reason);

#[test]
fn frames_that_end_a_connection() {
    let long = vec![0; MAX_PAYLOAD + 1];
    let cases: &[Violation<'_>] = &[
        // §4.2
        (kind::DATA, 0, 1, &long, Reason::FRAME_SIZE_ERROR),
        // §5.1, §5.1.1: streams that are idle, even or the connection.
        (kind::DATA, 0, 3, b"x", Reason::PROTOCOL_ERROR),
        (kind::DATA, 0, 0, b"x", Reason::PROTOCOL_ERROR),
        (kind::RST_STREAM, 0, 3, &[0; 4], Reason::PROTOCOL_ERROR),
        (kind::RST_STREAM, 0, 0, &[0; 4], Reason::PROTOCOL_ERROR),
        (kind::RST_STREAM, 0, 2, &[0; 4], Reason::PROTOCOL_ERROR),
        (kind::WINDOW_UPDATE, 0, 3, &[0, 0, 0, 1], Reason::PROTOCOL_ERROR),
        (kind::HEADERS, flag::END_HEADERS, 2, &[0x82], Reason::PROTOCOL_ERROR),
        (kind::HEADERS, flag::END_HEADERS, 0, &[0x82], Reason::PROTOCOL_ERROR),
        (kind::PRIORITY, 0, 0, &[0; 5], Reason::PROTOCOL_ERROR),
        // §6.1, §6.2: padding
        (kind::DATA, flag::PADDED, 1, &[2, 0], Reason::PROTOCOL_ERROR),
        (kind::DATA, flag::PADDED, 1, &[], Reason::PROTOCOL_ERROR),
        (kind::HEADERS, flag::PADDED | flag::END_HEADERS, 3, &[9, 0x82], Reason::PROTOCOL_ERROR),
        (kind::HEADERS, flag::PRIORITY | flag::END_HEADERS, 3, &[0; 4], Reason::PROTOCOL_ERROR),
        // §6.3 to §6.9: lengths and values
        (kind::PRIORITY, 0, 1, &[0; 4], Reason::FRAME_SIZE_ERROR),
        (kind::RST_STREAM, 0, 1, &[0; 3], Reason::FRAME_SIZE_ERROR),
        (kind::SETTINGS, 0, 0, &[0; 5], Reason::FRAME_SIZE_ERROR),
        (kind::SETTINGS, flag::ACK, 0, &[0; 6], Reason::FRAME_SIZE_ERROR),
        (kind::SETTINGS, 0, 1, &[], Reason::PROTOCOL_ERROR),
        (kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2], Reason::PROTOCOL_ERROR),
        (kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0], Reason::FLOW_CONTROL_ERROR),
        (kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff], Reason::PROTOCOL_ERROR),
        (kind::SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0], Reason::PROTOCOL_ERROR),
        (kind::PUSH_PROMISE, 0, 1, &[0, 0, 0, 2], Reason::PROTOCOL_ERROR),
        (kind::PING, 0, 0, &[0; 7], Reason::FRAME_SIZE_ERROR),
        (kind::PING, 0, 1, &[0; 8], Reason::PROTOCOL_ERROR),
        (kind::GOAWAY, 0, 0, &[0; 7], Reason::FRAME_SIZE_ERROR),
        (kind::GOAWAY, 0, 1, &[0; 8], Reason::PROTOCOL_ERROR),
        (kind::WINDOW_UPDATE, 0, 0, &[0; 4], Reason::PROTOCOL_ERROR),
        (kind::WINDOW_UPDATE, 0, 1, &[0x80, 0, 0, 0], Reason::PROTOCOL_ERROR),
        (kind::WINDOW_UPDATE, 0, 0, &[0; 3], Reason::FRAME_SIZE_ERROR),
        (kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff], Reason::FLOW_CONTROL_ERROR),
        // §6.10
        (kind::CONTINUATION, flag::END_HEADERS, 1, &[0x82], Reason::PROTOCOL_ERROR),
        // §4.3, RFC 7541
        (kind::HEADERS, flag::END_HEADERS, 1, &[0xff, 0xff], Reason::COMPRESSION_ERROR),
        (kind::HEADERS, flag::END_HEADERS, 1, &[0, 1, b'A', 0], Reason::PROTOCOL_ERROR),
        // §5.3: a stream that depends on itself
        (
            kind::HEADERS,
            flag::PRIORITY | flag::END_HEADERS,
            3,
            &[0, 0, 0, 3, 0, 0x82],
            Reason::PROTOCOL_ERROR,
        ),
    ];
    for (frame, flags, stream, payload, reason) in cases {
        for role in [Role::Server, Role::Client] {
            let mut pair = Pair::new(role);
            let handle = match role {
                Role::Server => {
                    pair.ask(1, 0);
                    pair.accept().1
                }
                Role::Client => pair.open(false),
            };
            pair.say(*frame, *flags, *stream, payload);
            let shown = format!("{role:?} {frame} {flags:x} {stream} {:?}", payload.get(..8));
            assert_eq!(pair.connection.over(), Some(Over::Error(*reason)), "{shown}");
            assert_eq!(pair.goaway(), Some(*reason), "{shown}");
            assert_eq!(handle.poll_ending(&cx()), Poll::Ready(Ending::Disconnected), "{shown}");
        }
    }
}

#[test]
fn a_connection_begins_with_preface_and_settings() {
    let mut pair = Pair::silent(Role::Server);
    for byte in PREFACE {
        pair.connection.receive(&[*byte]);
        assert_eq!(pair.connection.over(), None);
    }
    pair.say(kind::PING, 0, 0, &[0; 8]);
    assert_eq!(pair.goaway(), Some(Reason::PROTOCOL_ERROR));

    let mut pair = Pair::silent(Role::Server);
    pair.connection.receive(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(pair.goaway(), Some(Reason::PROTOCOL_ERROR));

    let mut pair = Pair::silent(Role::Client);
    assert_eq!(pair.listen()[0].0.kind, kind::SETTINGS);
    pair.say(kind::SETTINGS, flag::ACK, 0, &[]);
    assert_eq!(pair.goaway(), Some(Reason::PROTOCOL_ERROR));
}

#[test]
fn frames_are_found_however_they_are_cut() {
    let mut bytes = PREFACE.to_vec();
    frame::write(&mut bytes, kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 1, 0]);
    frame::write(
        &mut bytes,
        kind::HEADERS,
        flag::END_HEADERS,
        1,
        &[0x83, 0x86, 0x84, 0x41, 1, b'a'],
    );
    frame::write(&mut bytes, kind::DATA, flag::PADDED, 1, &[2, b'x', b'y', 0, 0]);
    frame::write(&mut bytes, 99, 0xff, 77, b"unknown");
    frame::write(&mut bytes, kind::DATA, flag::END_STREAM, 1, b"z");
    for size in 1..bytes.len() {
        let pair = Pair::silent(Role::Server);
        bytes.chunks(size).for_each(|part| pair.connection.receive(part));
        let (head, handle) = pair.accept();
        assert_eq!((head.method(), head.path()), (b"POST".as_slice(), b"/".as_slice()));
        assert_eq!(data_of(&handle).unwrap(), b"xyz");
        assert!(handle.is_exhausted() && matches!(handle.poll_frame(&cx()), Poll::Ready(None)));
        assert_eq!(pair.connection.inner.borrow().input.capacity(), 0);
    }
}

#[test]
fn blocks_in_pieces_are_one_and_nothing_comes_between() {
    let pair = Pair::new(Role::Server);
    pair.say(kind::HEADERS, flag::END_STREAM, 1, &[0x82, 0x86]);
    pair.say(kind::CONTINUATION, 0, 1, &[0x84, 0x41]);
    pair.say(kind::CONTINUATION, flag::END_HEADERS, 1, &[1, b'a']);
    assert_eq!(pair.accept().0.authority(), Some(b"a".as_slice()));
    for (frame, stream) in [(kind::PING, 0), (kind::CONTINUATION, 5), (99, 3), (kind::HEADERS, 3)] {
        let mut pair = Pair::new(Role::Server);
        pair.say(kind::HEADERS, 0, 3, &[0x82]);
        pair.say(frame, 0, stream, &[0; 8]);
        assert_eq!(pair.goaway(), Some(Reason::PROTOCOL_ERROR), "{frame}");
    }
}

/// Heads of requests that end their stream alone.
#[test]
fn malformed_requests_are_reset() {
    let good = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    let without = |name: &str| good.iter().filter(|(n, _)| *n != name).copied().collect::<Vec<_>>();
    let with = |line: (&'static str, &'static str)| [&good[..], &[line]].concat();
    let changed = |name: &str, value: &'static str| {
        good.iter().map(|(n, v)| (*n, if *n == name { value } else { *v })).collect::<Vec<_>>()
    };
    let cases = [
        without(":method"),
        without(":scheme"),
        without(":path"),
        with((":path", "/b")),
        with((":status", "200")),
        with((":protocol", "websocket")),
        with(("connection", "close")),
        with(("keep-alive", "1")),
        with(("proxy-connection", "1")),
        with(("transfer-encoding", "chunked")),
        with(("upgrade", "h2c")),
        with(("te", "gzip")),
        with(("content-length", "1")),
        with(("content-length", "+0")),
        with(("content-length", "")),
        [&good[..], &[("content-length", "0"), ("content-length", "0")]].concat(),
        changed(":path", ""),
        changed(":path", "a"),
        changed(":path", "*"),
        changed(":path", "/a b"),
        changed(":path", "/\r\n"),
        changed(":path", "/\u{7f}"),
        changed(":scheme", "ht tp"),
        changed(":authority", "u@a"),
        changed(":authority", "a/b"),
        changed(":method", "get"),
        with(("host", "b")),
        [&[("x-a", "1")], &good[..]].concat(),
        vec![(":method", "CONNECT"), (":authority", "a"), (":path", "/")],
    ];
    for lines in cases {
        let mut pair = Pair::new(Role::Server);
        let mut block = Vec::new();
        for (name, value) in &lines {
            block.extend([0, name.len() as u8]);
            block.extend_from_slice(name.as_bytes());
            block.push(value.len() as u8);
            block.extend_from_slice(value.as_bytes());
        }
        pair.say(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &block);
        assert_eq!(pair.resets(), [(1, Reason::PROTOCOL_ERROR)], "{lines:?}");
        assert!(!matches!(pair.connection.next_incoming(), Some(Incoming::Request(..))));
        // The connection lives.
        pair.ask(3, flag::END_STREAM);
        pair.accept();
        assert_eq!(pair.connection.over(), None);
    }
}

#[test]
fn cookies_are_joined_and_hosts_are_authorities() {
    let pair = Pair::new(Role::Server);
    let mut block = vec![0x82, 0x86, 0x84];
    for (name, value) in [("cookie", "a=1"), ("host", "b.test"), ("x-a", " 1\t"), ("cookie", "b=2")]
    {
        block.extend([0, name.len() as u8]);
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    pair.say(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &block);
    let (head, _handle) = pair.accept();
    assert_eq!(head.authority(), Some(b"b.test".as_slice()));
    assert_eq!(head.headers.get(Id::COOKIE), Some(b"a=1; b=2".as_slice()));
    let lines: Vec<_> = head.headers.iter().collect();
    assert_eq!(lines[0], (b"x-a".as_slice(), b"1".as_slice()));
    assert_eq!(lines.len(), 2);
}

#[test]
fn bodies_have_the_length_that_was_said() {
    for (parts, fits) in
        [(&["abc"][..], true), (&["ab", "c"], true), (&["ab"], false), (&["abcd"], false)]
    {
        let mut pair = Pair::new(Role::Server);
        let block = [0x83, 0x86, 0x84, 0x41, 1, b'a', 0x0f, 13, 1, b'3'];
        pair.say(kind::HEADERS, flag::END_HEADERS, 1, &block);
        let (_, handle) = pair.accept();
        for (at, part) in parts.iter().enumerate() {
            let is_last = at + 1 == parts.len();
            pair.say(kind::DATA, u8::from(is_last), 1, part.as_bytes());
        }
        let resets = pair.resets();
        assert_eq!(resets.is_empty(), fits, "{parts:?}");
        assert_eq!(handle.poll_ending(&cx()).is_ready(), !fits);
    }
}

#[test]
fn trailers_end_a_message() {
    let pair = Pair::new(Role::Server);
    pair.ask(1, 0);
    let (_, handle) = pair.accept();
    pair.say(kind::DATA, 0, 1, b"body");
    pair.say(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &[0, 1, b't', 1, b'1']);
    assert!(!handle.is_exhausted());
    assert_eq!(data_of(&handle).unwrap(), b"body");
    let Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) = handle.poll_frame(&cx()) else {
        panic!("no trailers");
    };
    assert_eq!(trailers.iter().next(), Some((b"t".as_slice(), b"1".as_slice())));
    assert!(matches!(handle.poll_frame(&cx()), Poll::Ready(None)));
    // Without an end, with a pseudo-header, and behind the end (RFC 9113 §8.1, §5.1).
    for (flags, block, first) in [
        (0, &[0, 1, b't', 1, b'1'][..], 0),
        (flag::END_STREAM, &[0x82], 0),
        (flag::END_STREAM, &[0, 1, b't', 0], flag::END_STREAM),
    ] {
        let mut pair = Pair::new(Role::Server);
        pair.ask(1, first);
        let (_, _handle) = pair.accept();
        pair.say(kind::HEADERS, flags | flag::END_HEADERS, 1, block);
        assert_eq!(pair.resets().len(), 1);
        assert_eq!(pair.connection.over(), None);
    }
}

#[test]
fn an_orderly_end_loses_no_request() {
    let mut pair = Pair::new(Role::Server);
    pair.ask(1, flag::END_STREAM);
    let (_, handle) = pair.accept();
    pair.connection.leave();
    let said = pair.listen().to_vec();
    assert_eq!(said[0].0.kind, kind::GOAWAY);
    assert_eq!(said[0].1[..4], MAX_31.to_be_bytes());
    // Sent before the client knew.
    pair.ask(3, flag::END_STREAM);
    let (_, other) = pair.accept();
    pair.say(kind::PING, flag::ACK, 0, &said[1].1);
    let said = pair.listen().to_vec();
    assert_eq!((said[0].0.kind, &said[0].1[..4]), (kind::GOAWAY, &3_u32.to_be_bytes()[..]));
    pair.ask(5, flag::END_STREAM);
    assert!(pair.connection.next_incoming().is_none());
    for handle in [handle, other] {
        assert_eq!(pair.connection.over(), None);
        handle.send_response(&ResponseHead::new(204), true).unwrap();
        drop(handle);
    }
    assert_eq!(pair.connection.over(), Some(Over::Done));
    assert_eq!(pair.listen().len(), 2);
}

#[test]
fn a_response_before_the_end_of_its_request_stops_it_without_an_error() {
    let mut pair = Pair::new(Role::Server);
    pair.ask(1, 0);
    let (_, handle) = pair.accept();
    handle.send_response(&ResponseHead::new(403), true).unwrap();
    drop(handle);
    assert_eq!(pair.resets(), [(1, Reason::NO_ERROR)]);
    pair.say(kind::DATA, flag::END_STREAM, 1, b"late");
    assert_eq!(pair.connection.over(), None);
}

#[test]
fn responses_come_with_their_interim_ones() {
    let mut pair = Pair::new(Role::Client);
    let handle = pair.open(true);
    assert_eq!(pair.listen()[0].0.kind, kind::HEADERS);
    pair.say(kind::HEADERS, flag::END_HEADERS, 1, &[8, 3, b'1', b'0', b'3']);
    pair.say(kind::HEADERS, flag::END_HEADERS, 1, &[0x88]);
    pair.say(kind::DATA, flag::END_STREAM, 1, b"ok");
    // RFC 9113 §8.1: no error, the request is just no longer needed.
    pair.say(kind::RST_STREAM, 0, 1, &[0; 4]);
    for status in [103, 200] {
        assert!(matches!(handle.poll_head(&cx()), Poll::Ready(Ok(head)) if head.status == status));
    }
    assert_eq!(data_of(&handle).unwrap(), b"ok");
    assert!(matches!(handle.poll_frame(&cx()), Poll::Ready(None)));
}

#[test]
fn a_status_without_a_body_has_none() {
    // 204, 304, 304 with a length
    for block in [&[0x89][..], &[0x8b], &[0x8b, 0x0f, 13, 1, b'3']] {
        let mut pair = Pair::new(Role::Client);
        let handle = pair.open(true);
        pair.say(kind::HEADERS, flag::END_HEADERS, 1, block);
        assert!(matches!(handle.poll_head(&cx()), Poll::Ready(Ok(_))), "{block:?}");
        assert!(pair.resets().is_empty(), "{block:?}");
        pair.say(kind::DATA, 0, 1, b"abc");
        assert_eq!(pair.resets(), [(1, Reason::PROTOCOL_ERROR)], "{block:?}");
    }
    // A length of nothing is no length.
    let pair = Pair::new(Role::Client);
    let handle = pair.open(true);
    let flags = flag::END_HEADERS | flag::END_STREAM;
    pair.say(kind::HEADERS, flags, 1, &[0x89, 0x0f, 13, 1, b'0']);
    assert!(matches!(handle.poll_head(&cx()), Poll::Ready(Ok(head)) if head.headers.is_empty()));
}

#[test]
fn responses_that_are_none_are_reset() {
    let cases: [(&[u8], u8); 8] = [
        // A length of a status that has no body: 204, 103.
        (&[0x89, 0x0f, 13, 1, b'3'], flag::END_STREAM),
        (&[8, 3, b'1', b'0', b'3', 0x0f, 13, 1, b'3'], 0),
        (&[0, 1, b'a', 0], 0),
        (&[8, 3, b'0', b'9', b'9'], 0),
        (&[8, 2, b'2', b'0'], 0),
        (&[8, 3, b'1', b'0', b'1'], 0),
        (&[8, 3, b'1', b'0', b'3'], flag::END_STREAM),
        (&[0x88, 0x88], 0),
    ];
    for (block, flags) in cases {
        let mut pair = Pair::new(Role::Client);
        let handle = pair.open(true);
        pair.say(kind::HEADERS, flags | flag::END_HEADERS, 1, block);
        assert_eq!(pair.resets(), [(1, Reason::PROTOCOL_ERROR)], "{block:?}");
        assert!(matches!(handle.poll_head(&cx()), Poll::Ready(Err(Gone(Ending::Fault)))));
    }
    // A body before its head.
    let mut pair = Pair::new(Role::Client);
    let _handle = pair.open(true);
    pair.say(kind::DATA, 0, 1, b"x");
    assert_eq!(pair.resets(), [(1, Reason::PROTOCOL_ERROR)]);
}

#[test]
fn an_upstream_that_leaves_gives_back_what_it_has_not_seen() {
    let pair = Pair::new(Role::Client);
    let (first, second) = (pair.open(true), pair.open(true));
    pair.say(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(first.poll_ending(&cx()), Poll::Pending);
    assert_eq!(second.poll_ending(&cx()), Poll::Ready(Ending::Unprocessed));
    assert_eq!(pair.connection.peer_streams(), 0);
    assert!(pair.connection.open(&RequestHead::new(b"GET", b"a", b"/"), true).is_none());
    pair.say(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &[0x88]);
    assert!(first.poll_head(&cx()).is_ready());
    drop((first, second));
    assert_eq!(pair.connection.over(), Some(Over::Done));
}

#[test]
fn answers_to_requests_that_we_gave_up_are_let_pass() {
    let mut pair = Pair::new(Role::Client);
    let handle = pair.open(true);
    drop(handle);
    assert_eq!(pair.resets(), [(1, Reason::CANCEL)]);
    pair.say(kind::HEADERS, flag::END_HEADERS, 1, &[0x88]);
    pair.say(kind::DATA, 0, 1, b"late");
    pair.say(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &[0, 1, b't', 0]);
    pair.say(kind::RST_STREAM, 0, 1, &[0; 4]);
    assert_eq!(pair.connection.over(), None);
    // A stream of which nobody has heard is another matter.
    pair.say(kind::HEADERS, flag::END_HEADERS, 3, &[0x88]);
    assert_eq!(pair.goaway(), Some(Reason::PROTOCOL_ERROR));
}

#[test]
fn settings_of_the_peer_hold_for_streams() {
    let pair = Pair::silent(Role::Client);
    assert_eq!(pair.connection.peer_streams(), STREAMS_BEFORE_SETTINGS);
    pair.say(kind::SETTINGS, 0, 0, &[]);
    assert_eq!(pair.connection.peer_streams(), u32::MAX);
    pair.say(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 7]);
    assert_eq!(pair.connection.peer_streams(), 7);
}
