//! Our codec against crate `h2` as its peer, over a socket, with random messages: what one says is what the other hears.
//!
//! Each round is made from its number, so that a failure can be had again. Heads, bodies and trailers of random size and content go to an end that echoes
//! them, on several streams at once, through windows of random size; some streams are reset in the middle.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::{Reason as H2Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use outrigger_policy::head::{Headers, RequestHead, ResponseHead};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use tokio::net::UnixStream;
use tokio::task::LocalSet;

use super::{BlockLimits, Config, Connection, Driver, Handle, Incoming, Over, Role};
use crate::body::Frame;
use crate::net::{Io, Stream, Traffic};

const ROUNDS: u64 = 60;

type Lines = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    lines: Lines,
    parts: Vec<Vec<u8>>,
    trailers: Lines,
    is_cancelled: bool,
}

impl Message {
    fn random(rng: &mut StdRng) -> Self {
        let parts = (0..rng.random_range(0..6)).map(|_| {
            let largest = *[1, 100, 20_000, 200_000].get(rng.random_range(0..4)).unwrap();
            vec![rng.random(); rng.random_range(1..=largest)]
        });
        let parts: Vec<_> = parts.collect();
        Self {
            lines: lines(rng, 30),
            parts,
            trailers: if rng.random_bool(0.3) { lines(rng, 5) } else { Vec::new() },
            is_cancelled: rng.random_bool(0.1),
        }
    }

    fn body(&self) -> Vec<u8> {
        self.parts.concat()
    }

    fn headers(lines: &Lines) -> Headers {
        lines.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect()
    }

    fn map(lines: &Lines) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let mut value = HeaderValue::from_bytes(value).unwrap();
            value.set_sensitive(name.as_str().len().is_multiple_of(3));
            map.append(name, value);
        }
        map
    }
}

/// Names stay apart, because a map does not keep the order of equal ones among others.
fn lines(rng: &mut StdRng, most: usize) -> Lines {
    const KNOWN: [&str; 8] = [
        "user-agent",
        "accept",
        "authorization",
        "content-type",
        "x-request-id",
        "etag",
        "x-custom",
        "cookie",
    ];
    let mut lines = Lines::new();
    for number in 0..rng.random_range(0..most) {
        let name = match KNOWN.get(rng.random_range(0..12)) {
            Some(name) => (*name).to_owned(),
            None => format!("x-{number}"),
        };
        if lines.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let longest = *[3, 40, 2_000].get(rng.random_range(0..3)).unwrap();
        // An empty cookie is none, as in Envoy.
        let length = rng.random_range(usize::from(name == "cookie")..longest);
        let value: String = (0..length).map(|_| rng.random_range(b'!'..=b'~') as char).collect();
        lines.push((name, value.into_bytes()));
    }
    lines.sort();
    lines
}

fn config(rng: &mut StdRng) -> Config {
    Config {
        concurrent_streams: 100,
        stream_window: rng.random_range(65_535..300_000),
        connection_window: rng.random_range(65_535..600_000),
        block: BlockLimits { bytes: 100_000, lines: 100 },
        is_tls: false,
        stats: None,
    }
}

fn driver(socket: UnixStream, connection: &Rc<Connection>) -> Driver {
    let io = Io::Plain(Stream::from(socket));
    Driver::new(io, connection.clone(), Rc::new(Traffic::default()))
}

fn sorted(headers: &Headers) -> Lines {
    let mut lines: Lines = headers
        .iter()
        .map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec()))
        .collect();
    lines.sort();
    lines
}

fn sorted_map(map: &HeaderMap) -> Lines {
    let mut lines: Lines =
        map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    lines.sort();
    lines
}

// === Ours as the server, which echoes ===

async fn serve(socket: UnixStream, config: Config) -> Over {
    let connection = Connection::new(Role::Server, config);
    let mut driver = driver(socket, &connection);
    poll_fn(|cx| {
        connection.drive(cx);
        while connection.over().is_none() && driver.poll_read(cx).is_ready() {
            while let Some(incoming) = connection.next_incoming() {
                let Incoming::Request(head, handle) = incoming else { panic!("{incoming:?}") };
                tokio::task::spawn_local(echo(*head, handle));
            }
        }
        driver.poll_write(cx)
    })
    .await
}

async fn echo(head: RequestHead, handle: Handle) -> Option<()> {
    let mut response = ResponseHead::new(200);
    response.headers = head.headers;
    if handle.is_exhausted() {
        return handle.send_response(&response, true).ok();
    }
    handle.send_response(&response, false).ok()?;
    loop {
        match poll_fn(|cx| handle.poll_frame(cx)).await {
            None => return poll_fn(|cx| handle.poll_send(cx, &mut Bytes::new(), true)).await.ok(),
            Some(Ok(Frame::Data(mut bytes))) => {
                poll_fn(|cx| handle.poll_send(cx, &mut bytes, false)).await.ok()?;
            }
            Some(Ok(Frame::Trailers(trailers))) => return handle.send_trailers(&trailers).ok(),
            Some(Err(_)) => return None,
        }
    }
}

async fn ask_by_h2(sender: h2::client::SendRequest<Bytes>, message: Message) {
    let mut request = http::Request::post("http://a.test/p?q").body(()).unwrap();
    *request.headers_mut() = Message::map(&message.lines);
    let mut sender = sender.ready().await.unwrap();
    let is_end = message.parts.is_empty() && message.trailers.is_empty();
    let (response, stream) = sender.send_request(request, is_end).unwrap();
    let sending = tokio::task::spawn_local(send_by_h2(stream, message.clone(), is_end));
    if message.is_cancelled {
        drop(sending.await);
        return;
    }
    let response = response.await.unwrap();
    assert!(sorted_map(response.headers()) == message.lines, "another head");
    hear_by_h2(response.into_body(), &message).await;
    sending.abort();
}

async fn send_by_h2(mut stream: SendStream<Bytes>, message: Message, is_end: bool) {
    if message.is_cancelled {
        stream.send_reset(H2Reason::CANCEL);
    }
    if is_end || message.is_cancelled {
        return;
    }
    for (at, part) in message.parts.iter().enumerate() {
        let is_last = at + 1 == message.parts.len() && message.trailers.is_empty();
        stream.send_data(Bytes::from(part.clone()), is_last).unwrap();
    }
    if !message.trailers.is_empty() {
        stream.send_trailers(Message::map(&message.trailers)).unwrap();
    }
    // The crate sends what waits while somebody holds the stream.
    let _ = poll_fn(|cx| stream.poll_reset(cx)).await;
}

async fn hear_by_h2(mut body: RecvStream, message: &Message) {
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        bytes.extend_from_slice(&part);
    }
    assert!(bytes == message.body(), "{} bytes of {}", bytes.len(), message.body().len());
    let trailers = body.trailers().await.unwrap();
    let trailers = trailers.as_ref().map(sorted_map).unwrap_or_default();
    assert!(trailers == message.trailers, "other trailers");
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_other_codec_asks_is_heard_and_answered() {
    LocalSet::new()
        .run_until(async {
            for round in 0..ROUNDS {
                let rng = &mut StdRng::seed_from_u64(round);
                let (near, far) = UnixStream::pair().unwrap();
                let server = tokio::task::spawn_local(serve(near, config(rng)));
                let (sender, connection) = h2::client::Builder::new()
                    .initial_window_size(rng.random_range(100..100_000))
                    .initial_connection_window_size(rng.random_range(65_535..300_000))
                    .header_table_size(*[0, 100, 4_096].get(rng.random_range(0..3)).unwrap())
                    .max_send_buffer_size(1 << 20)
                    .handshake(far)
                    .await
                    .unwrap();
                let client = tokio::task::spawn_local(connection);
                let mut asked = Vec::new();
                for _ in 0..rng.random_range(1..20) {
                    let ask = ask_by_h2(sender.clone(), Message::random(rng));
                    asked.push(tokio::task::spawn_local(ask));
                }
                for task in asked {
                    task.await.unwrap_or_else(|error| panic!("round {round}: {error}"));
                }
                drop(sender);
                client.await.unwrap().unwrap_or_else(|error| panic!("round {round}: {error}"));
                assert_eq!(server.await.unwrap(), Over::Closed, "round {round}");
            }
        })
        .await;
}

// === Ours as the client ===

async fn serve_by_h2(socket: UnixStream, window: u32) {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(window)
        .max_send_buffer_size(1 << 20)
        .handshake::<_, Bytes>(socket)
        .await
        .unwrap();
    while let Some(accepted) = connection.accept().await {
        let Ok((request, mut respond)) = accepted else { return };
        tokio::task::spawn_local(async move {
            let (parts, mut body) = request.into_parts();
            let mut response = http::Response::new(());
            *response.headers_mut() = parts.headers;
            let mut stream = respond.send_response(response, body.is_end_stream()).ok()?;
            if body.is_end_stream() {
                return Some(());
            }
            while let Some(part) = body.data().await {
                let part = part.ok()?;
                body.flow_control().release_capacity(part.len()).ok()?;
                // Two empty frames in a row are a flood.
                if !part.is_empty() {
                    stream.send_data(part, false).ok()?;
                }
            }
            match body.trailers().await.ok()? {
                Some(trailers) => stream.send_trailers(trailers).ok()?,
                None => stream.send_data(Bytes::new(), true).ok()?,
            }
            let _ = poll_fn(|cx| stream.poll_reset(cx)).await;
            Some(())
        });
    }
}

async fn ask(connection: Rc<Connection>, message: Message) {
    let mut head = RequestHead::new(b"POST", b"a.test", b"/p?q");
    for (name, value) in &message.lines {
        head.headers.append(name.as_bytes(), value);
    }
    let is_end = message.parts.is_empty() && message.trailers.is_empty();
    let handle = connection.open(&head, is_end).unwrap();
    if message.is_cancelled {
        return;
    }
    let hearing = handle.clone();
    let sent = message.clone();
    let sending = tokio::task::spawn_local(async move {
        if is_end {
            return;
        }
        for part in &sent.parts {
            let mut bytes = Bytes::from(part.clone());
            poll_fn(|cx| handle.poll_send(cx, &mut bytes, false)).await.unwrap();
        }
        if sent.trailers.is_empty() {
            poll_fn(|cx| handle.poll_send(cx, &mut Bytes::new(), true)).await.unwrap();
        } else {
            handle.send_trailers(&Message::headers(&sent.trailers)).unwrap();
        }
    });
    let head = poll_fn(|cx| hearing.poll_head(cx)).await.unwrap();
    assert!((head.status, sorted(&head.headers)) == (200, message.lines.clone()), "another head");
    let (mut bytes, mut trailers) = (Vec::new(), Lines::new());
    while let Some(frame) = poll_fn(|cx| hearing.poll_frame(cx)).await {
        match frame.unwrap() {
            Frame::Data(part) => bytes.extend_from_slice(&part),
            Frame::Trailers(lines) => trailers = sorted(&lines),
        }
    }
    assert!(bytes == message.body(), "{} bytes of {}", bytes.len(), message.body().len());
    assert!(trailers == message.trailers, "other trailers");
    sending.await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn what_we_ask_the_other_codec_is_heard_and_answered() {
    LocalSet::new()
        .run_until(async {
            for round in 0..ROUNDS {
                let rng = &mut StdRng::seed_from_u64(round);
                let (near, far) = UnixStream::pair().unwrap();
                let window = rng.random_range(100..100_000);
                let server = tokio::task::spawn_local(serve_by_h2(far, window));
                let connection = Connection::new(Role::Client, config(rng));
                let mut driver = driver(near, &connection);
                let driven =
                    tokio::task::spawn_local(async move { poll_fn(|cx| driver.poll(cx)).await });
                let mut asked = Vec::new();
                for _ in 0..rng.random_range(1..20) {
                    let ask = ask(connection.clone(), Message::random(rng));
                    asked.push(tokio::task::spawn_local(ask));
                }
                for task in asked {
                    task.await.unwrap_or_else(|error| panic!("round {round}: {error}"));
                }
                connection.leave_now();
                assert_eq!(driven.await.unwrap(), Over::Done, "round {round}");
                server.await.unwrap();
            }
        })
        .await;
}
