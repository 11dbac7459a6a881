//! HTTP/1.1: one request at a time on each connection, kept or new.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::PATIENCE;
use crate::peers::identity::{Identity, NAME};
use crate::peers::message::Message;
use crate::peers::pace::Desk;
use crate::peers::row::Row;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An open connection and what was read from it.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    input: BytesMut,
}

/// How to open a connection, and what to say on it.
#[derive(Clone)]
pub(super) struct Way {
    tls: Option<TlsConnector>,
    name: ServerName<'static>,
    request: Bytes,
}

impl Way {
    /// Of this row; with an identity through TLS.
    pub(super) fn new(row: &Row, identity: Option<&Identity>) -> Result<Self> {
        let tls = match identity {
            Some(identity) => Some(TlsConnector::from(identity.client()?)),
            None => None,
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: items.shop.svc.cluster.local\r\nuser-agent: bench\r\naccept: */*\r\n\r\n",
            row.path
        );
        Ok(Self { tls, name: ServerName::try_from(NAME)?, request: request.into() })
    }

    pub(super) async fn open(&self) -> Result<Connection> {
        let stream = super::connect().await?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let shaking = tls.connect(self.name.clone(), stream);
                Box::new(timeout(PATIENCE, shaking).await.context("no handshake in time")??)
            }
        };
        Ok(Connection { stream, input: BytesMut::with_capacity(4096) })
    }
}

impl Connection {
    async fn exchange(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        loop {
            self.input.reserve(2048);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("closed without an answer");
            }
            if let Some(answer) = Message::take(&mut self.input)? {
                ensure!(answer.status == Some(200), "status {}", answer.status.unwrap_or(0));
                return Ok(());
            }
        }
    }
}

/// Works on `open`, or without one on a connection of each request's own.
pub(super) async fn lane(way: Way, mut open: Option<Connection>, desk: Arc<Desk>) {
    while let Some(due) = desk.take().await {
        let exchange = async {
            match &mut open {
                Some(connection) => connection.exchange(&way.request).await,
                None => way.open().await?.exchange(&way.request).await,
            }
        };
        match exchange.await {
            Ok(()) => desk.answered(due),
            Err(error) => return desk.failed(&error),
        }
    }
}
