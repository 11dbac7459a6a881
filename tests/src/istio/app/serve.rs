//! The servers of the application: HTTP/1.1, plain TCP, and the port that takes either.
//!
//! What an answer should be is asked for by headers of the request: `x-app-status`, `x-app-fail: POD=STATUS` for one pod only,
//! `x-app-delay-ms`, `x-app-headers: a=b;c=d`, `x-app-end: close` for none at all, `x-app-stream-ms` for a body that takes so long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::serve2;
use crate::wire::{self, Head};

/// The pace of a body that takes its time.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// The start of HTTP/2 with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Who speaks first on a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Name,
    /// Only with the first bytes of the client.
    Later,
}

/// HTTP of the version that the client begins with.
pub(super) async fn http<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, name: Arc<str>) {
    let mut input = Vec::new();
    while !input.starts_with(PREFACE) && PREFACE.starts_with(&input) {
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    if input.starts_with(PREFACE) {
        serve2::serve(serve2::Begun::new(input, stream), name).await;
    } else {
        // How a connection of a client ends is the client's business.
        drop(http1(stream, input, &name).await);
    }
}

/// HTTP/1.1 when the client begins with a method, else an echo.
pub(super) async fn any(mut stream: TcpStream, name: Arc<str>) {
    let mut first = [0; 4];
    let Ok(count) = stream.peek(&mut first).await else { return };
    let begun = first.get(..count).unwrap_or_default();
    if [&b"GET "[..], b"POST", b"PRI ", b"PUT "].contains(&begun) {
        http(stream, name).await;
    } else {
        drop(echo(&mut stream, &name, Greeting::Later).await);
    }
}

pub(super) async fn tcp(mut stream: TcpStream, name: Arc<str>, greeting: Greeting) {
    drop(echo(&mut stream, &name, greeting).await);
}

async fn echo(stream: &mut TcpStream, name: &str, greeting: Greeting) -> io::Result<()> {
    if greeting == Greeting::Name {
        stream.write_all(format!("{name}>").as_bytes()).await?;
    }
    let mut buffer = Vec::new();
    let mut first = greeting == Greeting::Later;
    while stream.read_buf(&mut buffer).await? > 0 {
        if first {
            stream.write_all(format!("{name}>").as_bytes()).await?;
            first = false;
        }
        stream.write_all(&buffer).await?;
        buffer.clear();
    }
    stream.shutdown().await
}

/// How a request wants to be answered.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) status: u16,
    pub(super) delay: Duration,
    pub(super) headers: Vec<(String, String)>,
    pub(super) closes: bool,
    pub(super) stream: Duration,
}

impl Wanted {
    pub(super) fn of(head: &Head, name: &str) -> Self {
        let text = |header: &str| head.value(header).and_then(|value| str::from_utf8(value).ok());
        let number = |header: &str| text(header).and_then(|value| value.parse::<u64>().ok());
        let failing =
            text("x-app-fail").and_then(|fail| fail.split_once('=')).filter(|f| f.0 == name);
        let status = failing.map(|f| f.1).or_else(|| text("x-app-status"));
        let pairs = text("x-app-headers").unwrap_or_default().split(';');
        Self {
            status: status.and_then(|status| status.parse().ok()).unwrap_or(200),
            delay: Duration::from_millis(number("x-app-delay-ms").unwrap_or(0)),
            headers: pairs
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            closes: text("x-app-end") == Some("close"),
            stream: Duration::from_millis(number("x-app-stream-ms").unwrap_or(0)),
        }
    }
}

/// What was seen, as JSON with a line for each header.
pub(super) fn seen(
    name: &str,
    protocol: &str,
    method: &str,
    path: &str,
    lines: &[(Vec<u8>, Vec<u8>)],
    body: &[u8],
) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{}: {}", text(name).to_ascii_lowercase(), text(value)))
        .collect();
    // Lines of one name keep their order.
    headers.sort_by(|a, b| a.split(": ").next().cmp(&b.split(": ").next()));
    let seen = json!({
        "pod": name, "protocol": protocol, "method": method, "path": path, "headers": headers, "body": text(body),
    });
    serde_json::to_vec_pretty(&seen).unwrap_or_default()
}

async fn http1<S>(mut stream: S, mut input: Vec<u8>, name: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let parsed = wire::head(&input).and_then(|(head, rest)| {
            let (body, rest) = wire::body(head.request_framing(), rest);
            body.complete.then(|| (head, body.bytes, rest.to_vec()))
        });
        let Some((head, body, rest)) = parsed else {
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
            continue;
        };
        input = rest;
        let start = String::from_utf8_lossy(&head.start).into_owned();
        let mut words = start.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let wanted = Wanted::of(&head, name);
        sleep(wanted.delay).await;
        if wanted.closes {
            return Ok(());
        }
        let body = seen(name, "HTTP/1.1", method, path, &head.lines, &body);
        let mut out = format!("HTTP/1.1 {} Answer\r\nx-pod: {name}\r\n", wanted.status);
        out += "content-type: application/json\r\n";
        for (name, value) in &wanted.headers {
            out += &format!("{name}: {value}\r\n");
        }
        if wanted.stream.is_zero() {
            out += &format!("content-length: {}\r\n\r\n", body.len());
            let mut out = out.into_bytes();
            if method != "HEAD" {
                out.extend(body);
            }
            stream.write_all(&out).await?;
        } else {
            out += "transfer-encoding: chunked\r\n\r\n";
            stream.write_all(out.as_bytes()).await?;
            let end = Instant::now() + wanted.stream;
            while Instant::now() < end {
                sleep(TICK).await;
                stream.write_all(b"1\r\n.\r\n").await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
        }
        stream.flush().await?;
        if head.closes() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_it_wants_to_be_answered() {
        let lines = |lines: &[(&str, &str)]| Head {
            lines: lines.iter().map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into())).collect(),
            ..Head::default()
        };
        let head =
            lines(&[("X-App-Fail", "a=503"), ("x-app-status", "201"), ("x-app-headers", "b=c")]);
        assert_eq!(Wanted::of(&head, "a").status, 503);
        let wanted = Wanted::of(&head, "b");
        assert_eq!((wanted.status, wanted.headers), (201, vec![("b".into(), "c".into())]));
    }
}
