//! One type for the byte streams of the harness, plain, TLS or unix, and how a stream ended.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// A stream that can also be ended by a reset instead of an orderly close.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the coming close a TCP reset, where the transport knows one.
    fn reset_on_close(&self);
}

impl Stream for TcpStream {
    fn reset_on_close(&self) {
        // Fails only on a socket that is closed already.
        drop(self.set_zero_linger());
    }
}

impl Stream for UnixStream {
    fn reset_on_close(&self) {}
}

impl Stream for server::TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

impl Stream for client::TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

impl Stream for Box<dyn Stream> {
    fn reset_on_close(&self) {
        (**self).reset_on_close();
    }
}

/// What became of a connection, as the side that did not close it saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Still open when the case had seen enough.
    Kept,
    Closed,
    Reset,
    /// TLS: closed without close_notify, or by an alert.
    Broken,
}

impl Fate {
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Broken,
        }
    }
}
