//! The application's HTTP/2 server, with trailers for gRPC requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use super::serve::{TICK, Wanted, seen};
use crate::wire::Head;

pub(super) async fn serve<S>(stream: S, name: Arc<str>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let name = name.clone();
        tokio::spawn(async move {
            // The client or the proxy has gone: nobody to tell.
            drop(exchange(request, respond, &name).await);
        });
    }
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    name: &str,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        received.extend_from_slice(&data);
    }
    let mut lines: Vec<(Vec<u8>, Vec<u8>)> =
        parts.headers.iter().map(|(n, v)| (n.as_str().into(), v.as_bytes().to_vec())).collect();
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    lines.push((b":authority".to_vec(), authority.into()));
    let head = Head { start: Vec::new(), lines };
    let wanted = Wanted::of(&head, name);
    sleep(wanted.delay).await;
    if wanted.closes {
        respond.send_reset(Reason::CANCEL);
        return Ok(());
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = seen(name, "HTTP/2", parts.method.as_str(), path, &head.lines, &received);
    let grpc =
        parts.headers.get("content-type").filter(|v| v.as_bytes().starts_with(b"application/grpc"));
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(wanted.status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert("x-pod", HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("?")));
    headers.insert(
        "content-type",
        grpc.cloned().unwrap_or(HeaderValue::from_static("application/json")),
    );
    for (name, value) in &wanted.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    }
    let mut stream = respond.send_response(response, false)?;
    let end = Instant::now() + wanted.stream;
    while Instant::now() < end {
        sleep(TICK).await;
        stream.send_data(Bytes::from_static(b"."), false)?;
    }
    stream.send_data(body.into(), grpc.is_none())?;
    if grpc.is_some() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        stream.send_trailers(trailers)?;
    }
    Ok(())
}

/// A stream of which some bytes were read already.
#[derive(Debug)]
pub(super) struct Begun<S> {
    begun: Vec<u8>,
    stream: S,
}

impl<S> Begun<S> {
    pub(super) fn new(begun: Vec<u8>, stream: S) -> Self {
        Self { begun, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begun.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.begun.len().min(into.remaining());
        let now: Vec<u8> = self.begun.drain(..count).collect();
        into.put_slice(&now);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
