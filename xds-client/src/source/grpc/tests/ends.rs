//! How streams end, and that another one follows.

use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[test]
fn every_end_has_a_status_and_is_followed_by_a_new_stream() {
    type End = fn(&mut Session);
    let ends: [(&str, End, &str); 10] = [
        ("trailers", |s| s.end("14", "going%20away"), "14, going away"),
        ("rule 57: a graceful end", |s| s.end("0", ""), "0, "),
        (
            "a head that is all",
            |s| {
                let headers = [
                    ("content-type", "application/grpc"),
                    ("grpc-status", "7"),
                    ("grpc-message", "no"),
                ];
                s.end_at_once(StatusCode::OK, &headers);
            },
            "7, no",
        ),
        ("no gRPC", |s| s.end_at_once(StatusCode::SERVICE_UNAVAILABLE, &[]), "14, HTTP status 503"),
        (
            "no gRPC either",
            |s| s.end_at_once(StatusCode::OK, &[("content-type", "text/html")]),
            "2, HTTP status 200",
        ),
        (
            "no trailers",
            |s| s.stream().send_data(Bytes::new(), true).unwrap(),
            "2, the stream ends without a status",
        ),
        (
            "half a message",
            |s| {
                s.say_bytes(vec![0, 0, 0, 0, 9, 1]);
                s.end("0", "");
            },
            "13, the stream ends within a message",
        ),
        (
            "a reset before the head",
            |s| s.response.send_reset(Reason::REFUSED_STREAM),
            "14, upstream connect error or disconnect/reset before headers. reset reason: ",
        ),
        ("no response", |s| s.say_bytes(frame(&[0xff; 9])), "13, not a discovery response: "),
        ("a compressed message", |s| s.say_bytes(vec![1, 0, 0, 0, 0]), "13, a compressed message"),
    ];
    run(async move {
        let mut both = start(config(DELTA));
        for (what, end, expected) in ends {
            let mut session = both.opened().await;
            session.hear::<api::DeltaDiscoveryRequest>().await;
            end(&mut session);
            let (_, text) = both.closed().await;
            let prefix = "DeltaAggregatedResources gRPC config stream to xds-grpc closed: ";
            assert!(text.starts_with(&format!("{prefix}{expected}")), "{what}: {text}");
        }
        both.opened().await;
    });
}

#[test]
fn a_reset_after_the_head_is_the_server_s_fault() {
    run(async {
        let mut both = start(config(SOTW));
        let mut session = both.opened().await;
        session.push("1", &["a"]);
        let delivery = both.delivered().await;
        both.client.applied(delivery.receipt, &[]);
        session.stream().send_reset(Reason::INTERNAL_ERROR);
        let (status, _) = both.closed().await;
        assert_eq!(status.code, 13, "{status}");
        both.opened().await;
    });
}

#[test]
fn a_server_that_is_not_there_is_asked_again() {
    run(async {
        let mut both = start(config(SOTW));
        both.is_down.set(true);
        for _ in 0..3 {
            let (status, text) = both.closed().await;
            assert_eq!(status.code, 14);
            assert!(text.starts_with(
                "StreamAggregatedResources gRPC config stream to xds-grpc closed: 14, upstream connect error or \
                 disconnect/reset before headers. reset reason: remote connection failure"
            ), "{text}");
        }
        both.is_down.set(false);
        let mut session = loop {
            match both.event().await {
                Event::Opened => break both.server.accept().await,
                Event::Closed { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        session.hear::<api::DiscoveryRequest>().await;
    });
}

#[test]
fn a_connection_that_is_never_made_is_given_up() {
    run(async {
        let mut config = config(SOTW);
        config.connect_timeout = Duration::from_millis(20);
        let connect = async || std::future::pending::<io::Result<DuplexStream>>().await;
        let (_client, mut events, work) = open(config, connect);
        tokio::task::spawn_local(work);
        for _ in 0..2 {
            let Some(Event::Closed { text, .. }) = events.recv().await else { panic!() };
            assert!(text.ends_with("reset reason: connection timeout"), "{text}");
        }
    });
}

#[test]
fn a_message_above_the_limit_is_not_read() {
    run(async {
        let mut config = config(SOTW);
        config.message_bytes_max = 1000;
        let mut both = start(config);
        let mut session = both.opened().await;
        session.push("1", &["x".repeat(2000).as_str()]);
        let (status, _) = both.closed().await;
        assert_eq!(status.code, 8);
        let mut session = both.opened().await;
        session.push("1", &["x"]);
        both.delivered().await;
    });
}

#[test]
fn a_delivery_outlives_its_stream() {
    run(async {
        let mut both = start(config(SOTW));
        let mut session = both.opened().await;
        session.push("1", &["a"]);
        let delivery = both.delivered().await;
        // The end is not read before the delivery is judged, but a connection that is gone is noticed.
        session.orders.send(Reason::NO_ERROR).await.unwrap();
        drop(session);
        both.closed().await;
        let mut session = both.opened().await;
        both.client.applied(delivery.receipt, &[]);
        let request: api::DiscoveryRequest = session.hear().await;
        assert_eq!((&*request.version_info, &*request.response_nonce), ("1", ""));
    });
}

#[test]
fn a_server_that_is_silent_for_ever_is_found_to_be_gone() {
    run(async {
        let mut config = config(SOTW);
        let (interval, timeout) = (Duration::from_millis(60), Duration::from_millis(40));
        config.keepalive = Some(Keepalive { interval, timeout });
        let mut both = start(config);
        let begin = Instant::now();
        // It takes everything and says nothing.
        let mut silent = both.server.pipes.recv().await.unwrap();
        tokio::task::spawn_local(async move {
            let mut taken = vec![0; 4096];
            while silent.read(&mut taken).await.is_ok_and(|read| read > 0) {}
        });
        assert!(matches!(both.event().await, Event::Opened));
        let (status, _) = both.closed().await;
        assert_eq!((status.code, &*status.message), (14, "keepalive failed: no answer in time"));
        assert!(begin.elapsed() >= interval + timeout);

        // One that answers is not.
        let mut session = both.opened().await;
        tokio::time::sleep(4 * (interval + timeout)).await;
        session.push("1", &["a"]);
        both.delivered().await;
    });
}

#[test]
fn a_server_that_is_asked_too_often_is_asked_half_as_often() {
    /// Until the first PING (RFC 9113 §6.7) after the preface.
    async fn until_ping(pipe: &mut DuplexStream) -> Duration {
        let begin = Instant::now();
        pipe.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let mut preface = [0; 24];
        pipe.read_exact(&mut preface).await.unwrap();
        loop {
            let mut head = [0; 9];
            pipe.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            pipe.read_exact(&mut vec![0; length]).await.unwrap();
            if head[3] == 6 {
                return begin.elapsed();
            }
        }
    }
    run(async {
        let mut config = config(SOTW);
        let interval = Duration::from_millis(100);
        config.keepalive = Some(Keepalive { interval, timeout: PATIENCE });
        let mut both = start(config);
        let mut pipe = both.server.pipes.recv().await.unwrap();
        let first = until_ping(&mut pipe).await;
        assert!(first < 2 * interval, "{first:?}");
        // GOAWAY: nothing was processed, ENHANCE_YOUR_CALM.
        pipe.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb]).await.unwrap();
        drop(pipe);
        let second = until_ping(&mut both.server.pipes.recv().await.unwrap()).await;
        assert!(second >= 2 * interval - Duration::from_millis(10), "{second:?}");
    });
}

#[test]
fn the_task_ends_when_nobody_listens() {
    run(async {
        let (_client, events, work) =
            open(config(SOTW), async || std::future::pending::<io::Result<DuplexStream>>().await);
        let task = tokio::task::spawn_local(work);
        drop(events);
        task.await.unwrap();
    });
}
