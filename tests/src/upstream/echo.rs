//! The TCP upstream: answers with its name and whatever it gets, and with `bye` to a half close, so a
//! client sees who served it and whether the end of one direction left the other open.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Peer;
use super::script::Fail;

pub(super) async fn serve(mut stream: TcpStream, peer: Peer) {
    let (ticket, reply) = peer.recorder.arrived(peer.seen("TCP"));
    sleep(Duration::from_millis(reply.delay_ms)).await;
    match reply.fail {
        Some(Fail::Close) => return,
        Some(Fail::Reset) => return drop(stream.set_zero_linger()),
        Some(Fail::Hang) | None => {}
    }
    let mut buffer = Vec::new();
    // The server is first to speak, as with many databases.
    let mut answer = format!("{}>", peer.host).into_bytes();
    loop {
        if reply.fail.is_none() && stream.write_all(&answer).await.is_err() {
            return ticket.update(|seen| seen.abandoned = true);
        }
        buffer.clear();
        match stream.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(_) => ticket.update(|seen| seen.body.extend_from_slice(&buffer)),
            Err(_) => return ticket.update(|seen| seen.abandoned = true),
        }
        answer.clone_from(&buffer);
    }
    ticket.update(|seen| seen.whole = true);
    // A proxy that has closed both ways cannot take it, which its own fate shows.
    drop(stream.write_all(b"bye").await);
}
