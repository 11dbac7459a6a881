//! A client that sends one request after the other over one connection, and looks at every answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::backend::BODY;
use super::bootstrap::Protocol;

/// How long the proxy may take to listen.
const START: Duration = Duration::from_secs(30);
/// How long it may take for one answer: callgrind makes it some 50 times slower.
const ANSWER: Duration = Duration::from_secs(20);

const REQUEST: &[u8] = b"GET /api/v1/items/7 HTTP/1.1\r\nhost: items.shop.svc.cluster.local\r\n\
    user-agent: bench/1\r\naccept: */*\r\n\r\n";

/// Sends `requests` requests.
pub(super) async fn run(protocol: Protocol, port: u16, requests: u64) -> Result<()> {
    let stream = connect(port).await?;
    stream.set_nodelay(true)?;
    match protocol {
        Protocol::Http1 => http1(stream, requests).await,
        Protocol::Http2 => http2(stream, requests).await,
    }
}

/// The first connection that succeeds is the one that is used: those that are refused cost the proxy nothing.
async fn connect(port: u16) -> Result<TcpStream> {
    let begin = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) if begin.elapsed() > START => {
                return Err(error).context("the proxy does not listen");
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn http1(mut stream: TcpStream, requests: u64) -> Result<()> {
    let mut answer = Vec::with_capacity(4096);
    for _ in 0..requests {
        answer.clear();
        stream.write_all(REQUEST).await?;
        while !answer.ends_with(&BODY) {
            let read =
                timeout(ANSWER, stream.read_buf(&mut answer)).await.context("no answer")??;
            ensure!(read > 0 && answer.len() < 4096, "{}", String::from_utf8_lossy(&answer));
        }
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

async fn http2(stream: TcpStream, requests: u64) -> Result<()> {
    let (mut client, connection) = h2::client::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    for _ in 0..requests {
        client = client.ready().await?;
        let request = http::Request::get("http://items.shop.svc.cluster.local/api/v1/items/7")
            .header("user-agent", "bench/1")
            .header("accept", "*/*")
            .body(())?;
        let (response, _) = client.send_request(request, true)?;
        let response = timeout(ANSWER, response).await.context("no answer")??;
        ensure!(response.status() == 200, "{response:?}");
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(piece) = timeout(ANSWER, body.data()).await.context("no body")? {
            let piece = piece?;
            bytes += piece.len();
            body.flow_control().release_capacity(piece.len())?;
        }
        ensure!(bytes == BODY.len(), "a body of {bytes} bytes");
    }
    drop(client);
    driver.await??;
    Ok(())
}
