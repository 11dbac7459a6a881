//! How a client gets its connection: TCP from a chosen address, a unix socket, TLS on top.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::timeout;

use super::{Client, Ends, Heard};
use crate::stream::{Fate, Stream};
use crate::tls;

impl Client {
    /// `None` when the proxy refused, which is then in `heard`.
    pub(super) async fn connect(
        &self,
        ends: &Ends,
        heard: &mut Heard,
    ) -> Result<Option<Box<dyn Stream>>> {
        if let Some(file) = self.to.strip_prefix("unix:") {
            let stream = UnixStream::connect(ends.dir.join(file)).await;
            heard.connection =
                stream.as_ref().err().map(|error| format!("connect: {:?}", error.kind()));
            return Ok(stream.ok().map(|s| Box::new(s) as Box<dyn Stream>));
        }
        let port = *ends.ports.get(&self.to).with_context(|| format!("no listener {}", self.to))?;
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = &self.from {
            socket.bind(SocketAddr::new(from.parse()?, 0))?;
        }
        let connecting = timeout(self.limit(), socket.connect(([127, 0, 0, 1], port).into()));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            // Accepted and reset at once: how far the client got by then is chance.
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
                heard.fate = Some(Fate::Reset);
                return Ok(None);
            }
            Ok(Err(error)) => return refused(heard, &format!("connect: {:?}", error.kind())),
            Err(_) => return refused(heard, "connect: no answer"),
        };
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Some(Box::new(stream))) };
        match timeout(self.limit(), tls::connect(stream, config, &ends.certs)).await {
            Err(_) => refused(heard, "tls: no answer"),
            Ok(shaken) => match shaken? {
                Ok(stream) => {
                    heard.connection = Some(tls::describe(stream.get_ref().1, &ends.certs));
                    Ok(Some(Box::new(stream)))
                }
                // An alert is worth comparing; whether the kernel saw unread bytes is not.
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    refused(heard, &format!("tls: {error}"))
                }
                Err(_) => refused(heard, "tls: closed"),
            },
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the arms of a match that returns this type")]
fn refused<T>(heard: &mut Heard, why: &str) -> Result<Option<T>> {
    heard.connection = Some(why.to_owned());
    Ok(None)
}
