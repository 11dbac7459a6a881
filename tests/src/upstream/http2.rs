//! The HTTP/2 server, with prior knowledge or by ALPN. The h2 crate does the framing; the record shows
//! pseudo-headers as header lines.

use std::future::{pending, poll_fn};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Peer;
use super::record::Ticket;
use super::script::{End, Fail, Reply, pairs};
use crate::text;
use crate::wire::Head;

/// The proxy reset the stream or went away.
struct Gone;

impl From<h2::Error> for Gone {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, peer: Peer) {
    let Ok(mut connection) = h2::server::Builder::new().handshake::<_, Bytes>(stream).await else {
        return;
    };
    let mut streams = JoinSet::new();
    let (end, mut ended) = mpsc::channel(4);
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                streams.spawn(exchange(request, respond, peer.clone(), end.clone()));
            }
            Some(how) = ended.recv() => match how {
                End::Goaway => connection.graceful_shutdown(),
                _ => return,
            },
        }
    }
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: Peer,
    end: mpsc::Sender<End>,
) {
    let (parts, mut body) = request.into_parts();
    let mut seen = peer.seen("HTTP/2");
    seen.head = head(&parts);
    let (ticket, reply) = peer.recorder.arrived(seen);
    let answered = async {
        for early in &reply.early {
            respond.send_informational(informational(early)?)?;
        }
        if !reply.eager && !reply.upgrade {
            receive(&mut body, &ticket).await?;
        }
        tokio::select! {
            () = sleep(Duration::from_millis(reply.delay_ms)) => {}
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return Err(Gone),
        }
        answer(&mut respond, &mut body, &reply, &peer, &ticket).await
    };
    if answered.await.is_err() {
        ticket.update(|seen| seen.abandoned = true);
    } else if reply.eager {
        // A proxy that stops sending now is what the record shows.
        drop(receive(&mut body, &ticket).await);
    }
    if matches!(reply.end, End::Goaway | End::Close) || reply.fail == Some(Fail::Close) {
        // The connection may be over already.
        let _ = end.send(reply.end).await;
        // Giving the stream up would reset it before the connection ends.
        pending::<()>().await;
    }
}

async fn receive(body: &mut RecvStream, ticket: &Ticket) -> Result<(), Gone> {
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        ticket.update(|seen| seen.body.extend_from_slice(&data));
    }
    let trailers = body.trailers().await?;
    ticket.update(|seen| {
        seen.trailers = trailers.map(|map| lines(&map)).unwrap_or_default();
        seen.whole = true;
    });
    Ok(())
}

async fn answer(
    respond: &mut SendResponse<Bytes>,
    body: &mut RecvStream,
    reply: &Reply,
    peer: &Peer,
    ticket: &Ticket,
) -> Result<(), Gone> {
    match reply.fail {
        Some(Fail::Hang) => {
            drop(poll_fn(|cx| respond.poll_reset(cx)).await);
            return Err(Gone);
        }
        Some(Fail::Reset) => {
            respond.send_reset(reply.h2_code.map_or(Reason::CANCEL, Reason::from));
            return Ok(());
        }
        Some(Fail::Close) => return Ok(()),
        None => {}
    }
    let response = response(reply, peer)?;
    if reply.upgrade {
        let mut stream = respond.send_response(response, false)?;
        return echo(&mut stream, body, ticket).await;
    }
    let bytes = reply.body();
    let last = bytes.is_empty() && reply.trailers.is_empty() && reply.end == End::Keep;
    let mut stream = respond.send_response(response, last)?;
    if last {
        return Ok(());
    }
    let (first, second) = bytes.split_at_checked(bytes.len() / 2).unwrap_or_default();
    stream.send_data(Bytes::copy_from_slice(first), false)?;
    match reply.end {
        End::Cut | End::Reset => {
            // Lets the first half leave: a reset drops what is still queued.
            sleep(Duration::from_millis(50)).await;
            stream.send_reset(reply.h2_code.map_or(Reason::CANCEL, Reason::from));
            return Ok(());
        }
        // No pause when none is wanted: a proxy may reset the stream as soon as it has the head.
        _ if reply.body_delay_ms > 0 => sleep(Duration::from_millis(reply.body_delay_ms)).await,
        _ => {}
    }
    stream.send_data(Bytes::copy_from_slice(second), reply.trailers.is_empty())?;
    if !reply.trailers.is_empty() {
        stream.send_trailers(map(&reply.trailers)?)?;
    }
    Ok(())
}

async fn echo(
    stream: &mut SendStream<Bytes>,
    body: &mut RecvStream,
    ticket: &Ticket,
) -> Result<(), Gone> {
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        ticket.update(|seen| seen.body.extend_from_slice(&data));
        stream.send_data(data, false)?;
    }
    ticket.update(|seen| seen.whole = true);
    Ok(stream.send_data(Bytes::new(), true)?)
}

fn head(parts: &request::Parts) -> Head {
    let mut all = vec![(b":method".to_vec(), parts.method.as_str().into())];
    let uri = &parts.uri;
    all.extend(uri.scheme_str().map(|s| (b":scheme".to_vec(), s.into())));
    all.extend(uri.authority().map(|a| (b":authority".to_vec(), a.as_str().into())));
    all.extend(uri.path_and_query().map(|p| (b":path".to_vec(), p.as_str().into())));
    all.extend(lines(&parts.headers));
    Head { start: b"HTTP/2".to_vec(), lines: all }
}

fn lines(map: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    map.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())).collect()
}

fn map(lines: &[String]) -> Result<HeaderMap, Gone> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs(lines) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Gone)?;
        map.append(name, HeaderValue::from_bytes(&text::bytes(value)).map_err(|_| Gone)?);
    }
    Ok(map)
}

fn informational(early: &str) -> Result<Response<()>, Gone> {
    let (status, line) = early.split_once(' ').unwrap_or((early, ""));
    let mut response = Response::builder().status(status).body(()).map_err(|_| Gone)?;
    *response.headers_mut() = map(&[line.to_owned()])?;
    Ok(response)
}

fn response(reply: &Reply, peer: &Peer) -> Result<Response<()>, Gone> {
    let status = if reply.upgrade { 200 } else { reply.status() };
    let mut response = Response::builder().status(status).body(()).map_err(|_| Gone)?;
    *response.headers_mut() = map(&reply.headers)?;
    response.headers_mut().insert("x-host", HeaderValue::from_static(peer.host));
    Ok(response)
}
