//! What a peer can make us hold, send and do: windows, streams, floods.

use bytes::Bytes;
use outrigger_policy::head::{Headers, ResponseHead};

use super::super::super::frame::{MAX_PAYLOAD, flag, kind};
use super::super::*;
use super::{Pair, cx, data_of};

#[test]
fn a_block_without_end_is_not_kept() {
    let mut pair = Pair::new(Role::Server);
    pair.say(kind::HEADERS, 0, 1, &[0x82]);
    let mut sent = 0;
    while pair.connection.over().is_none() {
        pair.say(kind::CONTINUATION, 0, 1, &[0; 4_000]);
        sent += 1;
    }
    assert!(sent <= 9, "{sent}");
    assert_eq!(pair.goaway(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn heads_are_limited_in_lines_and_bytes() {
    for line in
        [[0, 1, b'a', 0].repeat(47), [&[0, 1, b'a', 127, 0xc1, 0x3e][..], &[b'v'; 8128]].concat()]
    {
        let mut pair = Pair::new(Role::Server);
        let block = [&[0x82, 0x86, 0x84][..], &line].concat();
        pair.say(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &block);
        assert_eq!(pair.resets(), [(1, Reason::INTERNAL_ERROR)]);
        let refused = pair.connection.next_incoming();
        assert!(matches!(refused, Some(Incoming::Refused(Refusal::TooLarge))), "{refused:?}");
    }
    // The bomb of RFC 7541 §7.3: a byte for each time that a large field is repeated.
    let mut pair = Pair::new(Role::Server);
    let mut block = vec![0x82, 0x86, 0x84, 0x40, 1, b'a', 127, 0xa1, 0x1e];
    block.extend([b'v'; 4_000]);
    block.extend([0xbe; 8_000]);
    pair.say(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &block);
    assert_eq!(pair.resets(), [(1, Reason::INTERNAL_ERROR)]);
}

#[test]
fn data_is_accepted_within_windows_and_windows_follow_reading() {
    let mut pair = Pair::new(Role::Server);
    pair.ask(1, 0);
    let (_, handle) = pair.accept();
    for _ in 0..6 {
        pair.say(kind::DATA, 0, 1, &[1; MAX_PAYLOAD]);
    }
    assert!(pair.listen().is_empty(), "nothing was read, so no window opens");
    for _ in 0..3 {
        assert_eq!(data_of(&handle).unwrap().len(), 2 * MAX_PAYLOAD);
    }
    let updates: Vec<_> = pair.listen().iter().map(|(head, _)| (head.kind, head.stream)).collect();
    assert_eq!(updates, [(kind::WINDOW_UPDATE, 1)]);
    // Two of the three: half a window has to be read before it is given back.
    for _ in 0..4 {
        pair.say(kind::DATA, 0, 1, &[1; MAX_PAYLOAD]);
    }
    assert_eq!(pair.resets(), []);
    pair.say(kind::DATA, 0, 1, &[1; 2_000]);
    assert_eq!(pair.resets(), [(1, Reason::FLOW_CONTROL_ERROR)]);
}

#[test]
fn the_window_of_a_connection_ends_it() {
    let mut pair = Pair::new(Role::Server);
    let mut handles = Vec::new();
    for stream in [1, 3, 5] {
        pair.ask(stream, 0);
        handles.push(pair.accept().1);
        for _ in 0..5 {
            pair.say(kind::DATA, 0, stream, &[1; MAX_PAYLOAD]);
        }
    }
    assert_eq!(pair.goaway(), Some(Reason::FLOW_CONTROL_ERROR));
}

#[test]
fn bodies_that_nobody_reads_cost_no_window_of_the_connection() {
    let mut pair = Pair::new(Role::Server);
    for stream in (1..60).step_by(2) {
        pair.ask(stream, 0);
        let (_, handle) = pair.accept();
        drop(handle);
        pair.say(kind::DATA, flag::END_STREAM, stream, &[1; MAX_PAYLOAD]);
    }
    assert_eq!(pair.connection.over(), None);
    let updates = pair.listen().iter().filter(|(head, _)| head.kind == kind::WINDOW_UPDATE);
    assert!(updates.count() >= 4);
}

#[test]
fn no_more_is_sent_than_the_windows_allow() {
    let mut pair = Pair::new(Role::Server);
    // A window of ten bytes, for streams to come and then for one that lives.
    pair.say(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10]);
    pair.ask(1, flag::END_STREAM);
    let (_, handle) = pair.accept();
    handle.send_response(&ResponseHead::new(200), false).unwrap();
    let mut body = Bytes::from(vec![b'x'; 100]);
    assert!(handle.poll_send(&cx(), &mut body, true).is_pending());
    assert_eq!(body.len(), 90);
    pair.say(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 5]);
    assert!(handle.poll_send(&cx(), &mut body, true).is_pending());
    assert_eq!(body.len(), 85);
    // RFC 9113 §6.9.2: the window may become negative.
    pair.say(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    pair.say(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 10]);
    assert!(handle.poll_send(&cx(), &mut body, true).is_pending());
    assert_eq!(body.len(), 85);
    pair.say(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 85]);
    assert!(handle.poll_send(&cx(), &mut body, true).is_ready() || body.is_empty());
    let data = pair.listen().iter().filter(|(head, _)| head.kind == kind::DATA);
    assert_eq!(data.map(|(head, _)| head.length).sum::<usize>(), 100);
}

#[test]
fn a_peer_that_does_not_read_fills_no_memory() {
    let mut pair = Pair::new(Role::Server);
    pair.say(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    pair.say(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]);
    pair.ask(1, flag::END_STREAM);
    let (_, handle) = pair.accept();
    handle.send_response(&ResponseHead::new(200), false).unwrap();
    let mut body = Bytes::from(vec![b'x'; 10 << 20]);
    for _ in 0..1000 {
        assert!(handle.poll_send(&cx(), &mut body, true).is_pending());
    }
    let waiting = pair.connection.inner.borrow().output.len();
    assert!(waiting <= OUTPUT_HIGH_WATER + 2 * MAX_PAYLOAD, "{waiting}");
    let mut turns = 0;
    while handle.poll_send(&cx(), &mut body, true).is_pending() {
        pair.listen();
        turns += 1;
    }
    assert!((100..200).contains(&turns), "{turns}");
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let mut pair = Pair::new(Role::Server);
    let mut handles = Vec::new();
    for number in 0..10 {
        pair.ask(2 * number + 1, flag::END_STREAM);
    }
    while let Some(Incoming::Request(_, handle)) = pair.connection.next_incoming() {
        handles.push(handle);
    }
    assert_eq!(handles.len(), 4);
    assert_eq!(pair.resets().len(), 6);
    assert!(pair.resets().iter().all(|(_, reason)| *reason == Reason::REFUSED_STREAM));
    handles.clear();
    pair.ask(99, flag::END_STREAM);
    pair.accept();
}

#[test]
fn streams_whose_work_goes_on_are_bounded_too() {
    // The peer resets, but what was started has not noticed.
    let mut pair = Pair::new(Role::Server);
    let mut handles = Vec::new();
    for number in 0..10_000 {
        let stream = 2 * number + 1;
        pair.ask(stream, flag::END_STREAM);
        if let Some(Incoming::Request(_, handle)) = pair.connection.next_incoming() {
            handles.push(handle);
        }
        pair.say(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }
    assert_eq!(handles.len(), 4 + STREAMS_ENDING);
    assert_eq!(pair.connection.over(), Some(Over::PrematureResets));
    assert_eq!(pair.goaway(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn resets_at_once_have_an_end() {
    let mut pair = Pair::new(Role::Server);
    let mut streams = 0;
    while pair.connection.over().is_none() {
        pair.ask(2 * streams + 1, flag::END_STREAM);
        let (_, _handle) = pair.accept();
        pair.say(kind::RST_STREAM, 0, 2 * streams + 1, &8_u32.to_be_bytes());
        streams += 1;
    }
    assert_eq!(streams, 250);
    assert_eq!(pair.connection.over(), Some(Over::PrematureResets));
    assert_eq!(pair.goaway(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn resets_that_the_peer_provokes_have_an_end() {
    let mut pair = Pair::new(Role::Server);
    let mut streams = 0;
    while pair.connection.over().is_none() {
        let stream = 2 * streams + 1;
        pair.ask(stream, 0);
        let (_, _handle) = pair.accept();
        pair.say(kind::WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
        streams += 1;
        pair.listen();
    }
    assert!((1_000..1_100).contains(&streams), "{streams}");
    assert_eq!(pair.goaway(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn floods_end_a_connection() {
    type Flood = fn(&Pair, u32);
    let floods: [(&str, usize, Flood); 6] = [
        ("ping", 1_001, |pair, _| pair.say(kind::PING, 0, 0, &[0; 8])),
        ("settings", 1_001, |pair, _| pair.say(kind::SETTINGS, 0, 0, &[])),
        ("empty data", 2, |pair, _| pair.say(kind::DATA, 0, 1, &[])),
        ("padding", 2, |pair, _| pair.say(kind::DATA, flag::PADDED, 1, &[3, 0, 0, 0])),
        ("priority", 201, |pair, n| pair.say(kind::PRIORITY, 0, 2 * n + 3, &[0; 5])),
        ("window", 8, |pair, _| pair.say(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
    ];
    for (name, limit, flood) in floods {
        let mut pair = Pair::new(Role::Server);
        pair.ask(1, 0);
        let (_, _handle) = pair.accept();
        let mut sent = 0;
        while pair.connection.over().is_none() {
            assert!(sent < limit, "{name}");
            flood(&pair, sent as u32);
            sent += 1;
        }
        assert_eq!(sent, limit, "{name}");
        assert_eq!(pair.goaway(), Some(Reason::ENHANCE_YOUR_CALM), "{name}");
    }
}

#[test]
fn a_connection_at_rest_owns_no_buffer() {
    let mut pair = Pair::new(Role::Server);
    for number in 0..3 {
        pair.ask(2 * number + 1, flag::END_STREAM);
        let (_, handle) = pair.accept();
        handle.send_response(&ResponseHead::new(200), true).unwrap();
        handle.send_trailers(&Headers::new()).unwrap();
        drop(handle);
        pair.listen();
    }
    let inner = pair.connection.inner.borrow();
    assert_eq!((inner.input.capacity(), inner.output.capacity()), (0, 0));
    assert_eq!(inner.streams.held(), 0);
}
