//! The HTTP/1 server on raw sockets: the exact bytes of every request are recorded, and a reply may be
//! anything, down to garbage or a response cut in half.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use super::Peer;
use super::record::Ticket;
use super::script::{End, Fail, Reply, pairs};
use crate::stream::Stream;
use crate::text;
use crate::wire::{self, Head};

/// The proxy is gone, or the script wants the connection to end.
struct Over;

struct Connection<S> {
    stream: S,
    /// Received and not yet part of a request.
    buffer: Vec<u8>,
}

pub(super) async fn serve<S: Stream>(stream: S, peer: Peer) {
    let mut connection = Connection { stream, buffer: Vec::new() };
    while exchange(&mut connection, &peer).await.is_ok() {}
}

async fn exchange<S: Stream>(connection: &mut Connection<S>, peer: &Peer) -> Result<(), Over> {
    let head = connection.head().await?;
    let mut seen = peer.seen("HTTP/1.1");
    seen.head = head.clone();
    let (ticket, reply) = peer.recorder.arrived(seen);
    let answered = async {
        for early in &reply.early {
            connection.write(&informational(early)).await?;
        }
        if !reply.eager {
            connection.body(&head, &ticket).await?;
        }
        connection.wait(reply.delay_ms).await?;
        connection.answer(&reply, &head, peer.host, &ticket).await
    };
    if answered.await.is_err() {
        ticket.update(|seen| seen.abandoned = true);
        return Err(Over);
    }
    if reply.eager {
        connection.body(&head, &ticket).await?;
    }
    connection.end(&reply).await
}

impl<S: Stream> Connection<S> {
    /// Reads some more.
    async fn fill(&mut self) -> Result<(), Over> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(1..) => Ok(()),
            _ => Err(Over),
        }
    }

    async fn head(&mut self) -> Result<Head, Over> {
        loop {
            if let Some((head, rest)) = wire::head(&self.buffer) {
                self.buffer = rest.to_vec();
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    async fn body(&mut self, head: &Head, ticket: &Ticket) -> Result<(), Over> {
        loop {
            let (body, rest) = wire::body(head.request_framing(), &self.buffer);
            let (rest, complete) = (rest.to_vec(), body.complete);
            ticket.update(|seen| {
                seen.body = body.bytes;
                seen.trailers = body.trailers;
                seen.whole = complete;
            });
            if complete {
                self.buffer = rest;
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.stream.write_all(bytes).await.map_err(|_| Over)?;
        self.stream.flush().await.map_err(|_| Over)
    }

    /// Lets time pass, unless the proxy goes away meanwhile.
    async fn wait(&mut self, ms: u64) -> Result<(), Over> {
        if ms == 0 {
            return Ok(());
        }
        let pause = sleep(Duration::from_millis(ms));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                more = self.fill() => more?,
            }
        }
    }

    async fn answer(
        &mut self,
        reply: &Reply,
        head: &Head,
        host: &str,
        ticket: &Ticket,
    ) -> Result<(), Over> {
        match reply.fail {
            Some(Fail::Hang) => loop {
                self.fill().await?;
            },
            Some(Fail::Reset) => self.stream.reset_on_close(),
            Some(Fail::Close) | None => {}
        }
        if reply.fail.is_some() {
            return Ok(());
        }
        if let Some(raw) = &reply.raw {
            return self.write(&text::bytes(&text::repeat(raw))).await;
        }
        let chunked = reply.chunked || !reply.trailers.is_empty();
        let is_head = head.start.starts_with(b"HEAD ");
        let mut out = response_head(reply, chunked, host);
        if reply.upgrade {
            self.write(&out).await?;
            return self.echo(ticket).await;
        }
        let body = if is_head { Vec::new() } else { reply.body() };
        let (first, second) = body.split_at_checked(body.len() / 2).unwrap_or_default();
        out.extend(piece(first, chunked));
        match reply.end {
            End::Cut => return self.write(&out).await,
            End::Reset => {
                self.write(&out).await?;
                // Time for the proxy to read the first half: a reset overtakes what is not yet read.
                sleep(Duration::from_millis(50)).await;
                self.stream.reset_on_close();
                return Ok(());
            }
            // One write when there is no pause: a proxy may leave as soon as it has the head.
            _ if reply.body_delay_ms > 0 => {
                self.write(&out).await?;
                out.clear();
                self.wait(reply.body_delay_ms).await?;
            }
            _ => {}
        }
        out.extend(piece(second, chunked));
        if chunked && !is_head {
            out.extend(last_chunk(reply));
        }
        self.write(&out).await
    }

    /// After a switch of protocols: sends everything back and records it as the body.
    async fn echo(&mut self, ticket: &Ticket) -> Result<(), Over> {
        loop {
            let bytes = std::mem::take(&mut self.buffer);
            self.write(&bytes).await?;
            ticket.update(|seen| seen.body.extend_from_slice(&bytes));
            if self.fill().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn end(&mut self, reply: &Reply) -> Result<(), Over> {
        if reply.fail.is_none() && reply.end == End::Keep && !reply.until_close && !reply.upgrade {
            return Ok(());
        }
        let reset = reply.fail == Some(Fail::Reset) || reply.end == End::Reset;
        if !reset {
            // Not an error that matters: the proxy may have closed first.
            drop(self.stream.shutdown().await);
        }
        Err(Over)
    }
}

fn informational(early: &str) -> Vec<u8> {
    let (status, line) = early.split_once(' ').unwrap_or((early, ""));
    let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
    format!("HTTP/1.1 {status} Early\r\n{line}\r\n").into_bytes()
}

fn piece(bytes: &[u8], chunked: bool) -> Vec<u8> {
    if !chunked || bytes.is_empty() {
        return bytes.to_vec();
    }
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed
}

fn response_head(reply: &Reply, chunked: bool, host: &str) -> Vec<u8> {
    let status = reply.status();
    let reason = reply.reason.as_deref().unwrap_or("Scripted");
    let mut head = format!("HTTP/1.1 {status} {reason}\r\nx-host: {host}\r\n");
    for (name, value) in pairs(&reply.headers) {
        head += &format!("{name}: {value}\r\n");
    }
    let framed = pairs(&reply.headers).any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if chunked {
        head += "transfer-encoding: chunked\r\n";
    } else if !framed && !reply.until_close && !matches!(status, 100..200 | 204 | 304) {
        head += &format!("content-length: {}\r\n", reply.body().len());
    }
    head += "\r\n";
    text::bytes(&head)
}

fn last_chunk(reply: &Reply) -> Vec<u8> {
    let mut end = "0\r\n".to_owned();
    for (name, value) in pairs(&reply.trailers) {
        end += &format!("{name}: {value}\r\n");
    }
    end += "\r\n";
    text::bytes(&end)
}
