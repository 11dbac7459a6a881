//! What is behind the proxy: four services on the ports that the rows' files name.
//!
//! They run on the generator's thread and do as little as they can. Whatever a peer sends that they do not understand ends the connection, which the
//! generator sees as a failure.

mod http1;
mod http2;

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(super) use self::http2::framed;
use super::identity::Identity;

const HTTP1: u16 = 18081;
const HTTP2: u16 = 18082;
const TLS: u16 = 18083;
const SOURCE: u16 = 18084;

/// What the source writes at once.
const BLOCK: usize = 256 * 1024;

/// The running services.
#[derive(Debug)]
pub struct Backend {
    services: JoinSet<()>,
}

impl Backend {
    /// Starts all of them; HTTP answers have a body of `answer_bytes`.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn start(identity: &Identity, answer_bytes: usize) -> Result<Self> {
        let mut services = JoinSet::new();
        let answer = http1::answer(answer_bytes);
        let plain = answer.clone();
        let serve = move |stream| http1::serve(stream, plain.clone());
        services.spawn(accept(listen(HTTP1).await?, serve));

        let acceptor = TlsAcceptor::from(identity.server()?);
        let serve = move |stream| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            async move { http1::serve(acceptor.accept(stream).await?, answer).await }
        };
        services.spawn(accept(listen(TLS).await?, serve));

        let body = Bytes::from(vec![b'x'; answer_bytes]);
        let serve = move |stream| http2::serve(stream, body.clone());
        services.spawn(accept(listen(HTTP2).await?, serve));

        let block: Arc<[u8]> = vec![0; BLOCK].into();
        services.spawn(accept(listen(SOURCE).await?, move |stream| pour(stream, block.clone())));
        Ok(Self { services })
    }

    /// Ends all of them: the ports are free once this has returned, not when it is dropped.
    pub async fn end(mut self) {
        self.services.shutdown().await;
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("the backend's port {port}"))
}

/// Serves each connection of a port; all of them end with the future.
async fn accept<F: Future<Output = Result<()>> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    let mut connections = JoinSet::new();
    loop {
        // An error is that of one connection, which the generator will miss.
        if let Ok((stream, _)) = listener.accept().await
            && stream.set_nodelay(true).is_ok()
        {
            connections.spawn(serve(stream));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Writes until nobody reads.
async fn pour(mut stream: TcpStream, block: Arc<[u8]>) -> Result<()> {
    loop {
        stream.write_all(&block).await?;
    }
}
