//! One connection of the application as a client: TCP, TLS on top when wanted, and HTTP of either version.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderName, HeaderValue, Request};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::tls;
use crate::istio::call::{Answer, Call, Http};
use crate::stream::Stream;
use crate::wire;

/// As the pod's `ip_local_port_range` has it.
const FIRST_PORT: u16 = 33_000;
const PORTS: u16 = 27_999;

pub(super) enum Kind {
    One(Box<dyn Stream>),
    Two(SendRequest<Bytes>),
}

pub(super) struct Connection {
    pub(super) kind: Kind,
    pub(super) port: u16,
    pub(super) tls: Option<String>,
}

/// The word for a failure that a client can tell from others without knowing what the kernel had read.
pub(super) fn word(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused".into(),
        // Which of them it is may depend on what the kernel had read.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "closed".into()
        }
        ErrorKind::InvalidData => format!("tls: {error}"),
        kind => format!("{kind:?}"),
    }
}

/// A socket with a port that no connection of this application had before: the kernel then needs no other one when it sends the connection to the
/// proxy, and log lines of different checks cannot be taken for one another's.
fn bound(to: SocketAddr) -> Result<TcpSocket> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    for _ in 0..100 {
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        let port = FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        if socket.bind(SocketAddr::new(any, port)).is_ok() {
            return Ok(socket);
        }
    }
    anyhow::bail!("no free port")
}

impl Connection {
    /// The outer error is the call's fault, the inner one the other side's doing.
    pub(super) async fn open(call: &Call) -> Result<Result<Self, Answer>> {
        let refused =
            |error: &std::io::Error, port| Answer { end: word(error), port, ..Answer::default() };
        let mut found = tokio::net::lookup_host(&call.to).await.with_context(|| call.to.clone())?;
        let address = found.next().context("no address")?;
        let stream = match bound(address)?.connect(address).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(refused(&error, 0))),
        };
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        let mut agreed = None;
        let stream: Box<dyn Stream> = match &call.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = tls.sni.clone().unwrap_or_else(|| address.ip().to_string());
                let name = ServerName::try_from(name).context("sni")?;
                match TlsConnector::from(tls::client(tls)?).connect(name, stream).await {
                    Err(error) => return Ok(Err(refused(&error, port))),
                    Ok(stream) => {
                        let connection = stream.get_ref().1;
                        let alpn = connection.alpn_protocol().unwrap_or(b"-").escape_ascii();
                        let version = connection.protocol_version();
                        agreed = Some(format!("{version:?} alpn={alpn}"));
                        Box::new(stream)
                    }
                }
            }
        };
        let two = call.http.as_ref().is_some_and(|http| http.two);
        let kind = if two {
            match h2::client::handshake(stream).await {
                Ok((send, connection)) => {
                    // Ends when nobody can send any more.
                    drop(tokio::spawn(connection));
                    Kind::Two(send)
                }
                Err(_) => {
                    return Ok(Err(Answer { end: "closed".into(), port, ..Answer::default() }));
                }
            }
        } else {
            Kind::One(stream)
        };
        Ok(Ok(Self { kind, port, tls: agreed }))
    }

    /// One request; tells too whether the connection can be used again.
    pub(super) async fn exchange(&mut self, http: &Http) -> Result<(Answer, bool)> {
        let blank = Answer { port: self.port, tls: self.tls.clone(), ..Answer::default() };
        match &mut self.kind {
            Kind::One(stream) => Ok(one(stream, http, blank).await),
            Kind::Two(send) => two(send, http, blank).await,
        }
    }
}

async fn one(stream: &mut Box<dyn Stream>, http: &Http, mut answer: Answer) -> (Answer, bool) {
    let mut out = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", http.method, http.path, http.authority);
    for line in &http.headers {
        out += &format!("{line}\r\n");
    }
    if !http.body.is_empty() {
        out += &format!("content-length: {}\r\n", http.body.len());
    }
    out += "\r\n";
    out += &http.body;
    let mut input = Vec::new();
    let written = async {
        stream.write_all(out.as_bytes()).await?;
        stream.flush().await
    };
    // A peer that refuses early may have answered all the same.
    let mut ended = written.await.err().map(|error| word(&error));
    loop {
        if let Some((head, rest)) = wire::head(&input)
            && head.status() >= 200
        {
            let framing = head.response_framing(http.method.as_bytes());
            let (body, _) = wire::body(framing, rest);
            let until_close =
                framing == wire::Framing::UntilClose && ended.as_deref() == Some("closed");
            if body.complete || until_close || ended.is_some() {
                answer.status = head.status();
                answer.start = String::from_utf8_lossy(&head.start).into_owned();
                answer.headers = strings(&head.lines);
                answer.body = String::from_utf8_lossy(&body.bytes).into_owned();
                answer.trailers = strings(&body.trailers);
                let whole = body.complete || until_close;
                answer.end = if whole { "whole".into() } else { ended.unwrap_or_default() };
                return (answer, whole && !until_close && !head.closes());
            }
        } else if let Some(ended) = ended {
            answer.end = ended;
            return (answer, false);
        }
        ended = match stream.read_buf(&mut input).await {
            Ok(0) => Some("closed".into()),
            Ok(_) => None,
            Err(error) => Some(word(&error)),
        };
    }
}

fn strings(lines: &[(Vec<u8>, Vec<u8>)]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    lines.iter().map(|(name, value)| (text(name), text(value))).collect()
}

async fn two(send: &SendRequest<Bytes>, http: &Http, mut answer: Answer) -> Result<(Answer, bool)> {
    let uri = format!("http://{}{}", http.authority, http.path);
    let mut request = Request::builder().method(http.method.as_str()).uri(uri).body(())?;
    for line in &http.headers {
        let (name, value) = line.split_once(": ").with_context(|| format!("header {line}"))?;
        request
            .headers_mut()
            .append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    let done = async {
        let mut send = send.clone().ready().await?;
        let (response, mut stream) = send.send_request(request, http.body.is_empty())?;
        if !http.body.is_empty() {
            stream.send_data(Bytes::from(http.body.clone()), true)?;
        }
        let (parts, mut body) = response.await?.into_parts();
        answer.status = parts.status.as_u16();
        answer.start = format!("HTTP/2 {}", answer.status);
        let pairs = |map: &http::HeaderMap| {
            map.iter()
                .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
                .collect::<Vec<_>>()
        };
        answer.headers = pairs(&parts.headers);
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            bytes.extend_from_slice(&data);
        }
        answer.body = String::from_utf8_lossy(&bytes).into_owned();
        answer.trailers = body.trailers().await?.map(|map| pairs(&map)).unwrap_or_default();
        Ok::<(), h2::Error>(())
    };
    let failed = done.await.err();
    let usable = failed.as_ref().is_none_or(h2::Error::is_reset);
    answer.end = failed.map_or_else(|| "whole".into(), |error| reason(&error));
    Ok((answer, usable))
}

fn reason(error: &h2::Error) -> String {
    let what = if error.is_go_away() { "GOAWAY" } else { "RST_STREAM" };
    error.reason().map_or_else(|| "closed".into(), |reason| format!("{what} {reason:?}"))
}
