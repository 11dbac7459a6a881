//! The HTTP/2 client: valid requests through the h2 crate, with trailers, cancellation and CONNECT.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, uri};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{Client, Ends, Heard, Response, SETTLE};
use crate::stream::{Fate, Stream};
use crate::text;
use crate::upstream::script::pairs;

/// One HTTP/2 request of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub scheme: String,
    pub authority: String,
    pub headers: Vec<String>,
    pub body: Option<String>,
    pub trailers: Vec<String>,
    /// The `:protocol` of an extended CONNECT.
    pub protocol: Option<String>,
    /// Resets the stream after this long instead of waiting for the answer.
    pub cancel_after_ms: Option<u64>,
    /// Waits before the body, or between head and end.
    pub pause_ms: u64,
    /// First waits until the upstreams have seen so many requests of this case.
    pub await_upstream: usize,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            scheme: "http".into(),
            authority: "a.test".into(),
            headers: Vec::new(),
            body: None,
            trailers: Vec::new(),
            protocol: None,
            cancel_after_ms: None,
            pause_ms: 0,
            await_upstream: 0,
        }
    }
}

/// A request that was sent: what is still to be done with its stream.
struct Sent<'a> {
    request: &'a Request,
    response: ResponseFuture,
    stream: SendStream<Bytes>,
}

pub(super) async fn run(
    client: &Client,
    ends: &Ends,
    stream: Box<dyn Stream>,
    heard: &mut Heard,
) -> Result<()> {
    let shaken =
        timeout(client.limit(), h2::client::Builder::new().handshake::<_, Bytes>(stream)).await;
    let Ok(Ok((send, connection))) = shaken else {
        heard.connection = Some("HTTP/2: no preface".into());
        return Ok(());
    };
    let driver = tokio::spawn(connection);
    let mut waiting = Vec::new();
    for request in &client.requests {
        drop(timeout(client.limit(), ends.recorder.wait_for(request.await_upstream)).await);
        match start(&send, request, client.limit()).await? {
            Ok(sent) if client.together => waiting.push(sent),
            Ok(sent) => heard.responses.push(finish(sent, client.limit()).await),
            Err(error) => heard.responses.push(failed(&error)),
        }
    }
    for sent in waiting {
        heard.responses.push(finish(sent, client.limit()).await);
    }
    // The h2 crate closes a connection that has no handle left: keep it while watching.
    let ended = timeout(SETTLE, driver).await;
    drop(send);
    heard.fate = Some(if ended.is_ok() { Fate::Closed } else { Fate::Kept });
    if let Ok(Ok(Err(error))) = ended {
        heard.frames.push(reason(&error));
    }
    Ok(())
}

/// The outer error is the case's fault, the inner one the proxy's doing.
async fn start<'a>(
    send: &SendRequest<Bytes>,
    request: &'a Request,
    limit: Duration,
) -> Result<Result<Sent<'a>, h2::Error>> {
    let mut send =
        match timeout(limit, send.clone().ready()).await.context("HTTP/2: never ready")? {
            Ok(send) => send,
            Err(error) => return Ok(Err(error)),
        };
    let mut head =
        http::Request::builder().method(request.method.as_str()).uri(target(request)?).body(())?;
    *head.headers_mut() = header_map(&request.headers)?;
    if let Some(protocol) = &request.protocol {
        set_protocol(&mut head, protocol);
    }
    let connect = request.method == "CONNECT";
    let last =
        request.body.is_none() && request.trailers.is_empty() && request.pause_ms == 0 && !connect;
    let (response, mut stream) =
        match send.send_request(head, last && request.cancel_after_ms.is_none()) {
            Ok(sent) => sent,
            Err(error) => return Ok(Err(error)),
        };
    sleep(Duration::from_millis(request.pause_ms)).await;
    if !last {
        let body = text::bytes(&text::repeat(request.body.as_deref().unwrap_or_default()));
        let more = connect || !request.trailers.is_empty() || request.cancel_after_ms.is_some();
        // A stream that was reset meanwhile shows in the response.
        drop(stream.send_data(body.into(), !more));
        if !request.trailers.is_empty() {
            drop(stream.send_trailers(header_map(&request.trailers)?));
        }
    }
    Ok(Ok(Sent { request, response, stream }))
}

async fn finish(mut sent: Sent<'_>, limit: Duration) -> Response {
    if let Some(ms) = sent.request.cancel_after_ms {
        sleep(Duration::from_millis(ms)).await;
        sent.stream.send_reset(h2::Reason::CANCEL);
        return Response { reset: Some("cancelled by the client".into()), ..Response::default() };
    }
    let mut response = Response::default();
    let Ok(()) = timeout(limit, receive(sent, &mut response)).await else {
        response.reset = Some("no end in time".into());
        return response;
    };
    response
}

async fn receive(mut sent: Sent<'_>, into: &mut Response) {
    let interim = &mut sent.response;
    let mut early = Vec::new();
    while let Some(Ok(informational)) =
        std::future::poll_fn(|cx| interim.poll_informational(cx)).await
    {
        early.push((b"informational".to_vec(), informational.status().as_str().into()));
        early.extend(lines(informational.headers()));
    }
    let (parts, mut body) = match sent.response.await {
        Ok(response) => response.into_parts(),
        Err(error) => return *into = failed(&error),
    };
    into.head.start = format!("HTTP/2 {}", parts.status.as_str()).into_bytes();
    into.head.lines = early;
    into.head.lines.extend(lines(&parts.headers));
    if sent.request.method == "CONNECT" {
        // A tunnel ends when the client ends it.
        drop(sent.stream.send_data(Bytes::new(), true));
    }
    into.reset = body_into(&mut body, into).await.err().map(|error| reason(&error));
    into.complete = into.reset.is_none();
}

async fn body_into(body: &mut RecvStream, into: &mut Response) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        into.body.extend_from_slice(&data);
    }
    into.trailers = body.trailers().await?.map(|map| lines(&map)).unwrap_or_default();
    Ok(())
}

fn failed(error: &h2::Error) -> Response {
    Response { reset: Some(reason(error)), ..Response::default() }
}

/// The error code and who sent it: the only parts of an error that both sides can agree on.
fn reason(error: &h2::Error) -> String {
    let what = if error.is_go_away() { "GOAWAY" } else { "RST_STREAM" };
    error
        .reason()
        .map_or_else(|| "connection lost".to_owned(), |reason| format!("{what} {reason:?}"))
}

fn target(request: &Request) -> Result<Uri> {
    let mut parts = uri::Parts::default();
    parts.authority = Some(request.authority.parse()?);
    if request.method != "CONNECT" || request.protocol.is_some() {
        parts.scheme = Some(request.scheme.parse()?);
        parts.path_and_query = Some(request.path.parse()?);
    }
    Ok(Uri::from_parts(parts)?)
}

#[expect(clippy::disallowed_methods, reason = "how the h2 crate wants to be told")]
fn set_protocol(head: &mut http::Request<()>, protocol: &str) {
    head.extensions_mut().insert(Protocol::from(protocol));
}

fn header_map(list: &[String]) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs(list) {
        let value = HeaderValue::from_bytes(&text::bytes(&text::repeat(value)))?;
        map.append(HeaderName::from_bytes(name.as_bytes())?, value);
    }
    Ok(map)
}

fn lines(map: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    map.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())).collect()
}
