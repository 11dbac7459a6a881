//! A backend that answers every request alike: 200 and 128 bytes.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::thread;

use anyhow::Result;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::bootstrap::Protocol;

/// The body of every answer.
pub(super) const BODY: [u8; 128] = [b'x'; 128];

/// A backend on a thread of its own, for as long as the process lives.
pub(super) struct Backend {
    pub(super) port: u16,
}

impl Backend {
    pub(super) fn start(protocol: Protocol) -> Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || runtime.block_on(accept(listener, protocol)));
        Ok(Self { port })
    }
}

async fn accept(listener: StdListener, protocol: Protocol) -> Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that fails is the proxy's to notice: its answer to the client is checked.
        tokio::spawn(async move {
            let _ = match protocol {
                Protocol::Http1 => http1(stream).await,
                Protocol::Http2 => http2(stream).await,
            };
        });
    }
}

/// Requests have no bodies, and none comes before the answer to the last.
async fn http1(mut stream: TcpStream) -> Result<()> {
    let mut answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 128\r\n\r\n".to_vec();
    answer.extend_from_slice(&BODY);
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await? > 0 {
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            stream.write_all(&answer).await?;
        }
    }
    Ok(())
}

async fn http2(stream: TcpStream) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (_, mut respond) = request?;
        let head = http::Response::builder()
            .header("content-type", "text/plain")
            .header("content-length", BODY.len())
            .body(())?;
        let mut body = respond.send_response(head, false)?;
        body.send_data(Bytes::from_static(&BODY), true)?;
    }
    Ok(())
}
