//! The byte stream of a connection, plain or encrypted, without boxes or trait objects.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket, with bytes that an inspector has already taken from it.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    /// Read by an inspector, not yet by the connection.
    prefix: Vec<u8>,
    prefix_read: usize,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// The TCP socket, for options and addresses; `None` for a Unix socket.
    #[must_use]
    pub const fn tcp(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Tcp(socket) => Some(socket),
            Socket::Unix(_) => None,
        }
    }

    /// Lets the peer see a reset when this is closed, instead of an orderly end.
    pub fn abort_on_close(&self) {
        if let Socket::Tcp(socket) = &self.socket {
            let _ = SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// Puts back bytes that were read from the socket; the next read returns them first.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.prefix.drain(..self.prefix_read);
        self.prefix_read = 0;
        self.prefix.splice(0..0, bytes.iter().copied());
    }

    /// True if no byte waits in front of the socket: it can be spliced.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.prefix.is_empty()
    }

    fn read_prefix(&mut self, buffer: &mut ReadBuf<'_>) {
        let waiting = self.prefix.get(self.prefix_read..).unwrap_or_default();
        let length = waiting.len().min(buffer.remaining());
        buffer.put_slice(waiting.get(..length).unwrap_or_default());
        self.prefix_read += length;
        if self.prefix_read == self.prefix.len() {
            self.prefix = Vec::new();
            self.prefix_read = 0;
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self { socket: Socket::Tcp(socket), prefix: Vec::new(), prefix_read: 0 }
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Self { socket: Socket::Unix(socket), prefix: Vec::new(), prefix_read: 0 }
    }
}

/// The stream of a connection, as its codec sees it.
#[derive(Debug)]
pub enum Io {
    /// Plain.
    Plain(Stream),
    /// TLS, this end the server.
    ServerTls(Box<crate::tls::ServerStream<Stream>>),
    /// TLS, this end the client.
    ClientTls(Box<crate::tls::ClientStream<Stream>>),
}

impl Io {
    /// The socket below.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::ServerTls(tls) => tls.get_ref().0,
            Self::ClientTls(tls) => tls.get_ref().0,
        }
    }
}

/// Runs the same method on whichever variant is there.
macro_rules! each {
    ($value:expr, $kind:ident { $($variant:ident),+ }, $inner:ident => $body:expr) => {
        match $value { $($kind::$variant($inner) => $body),+ }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            self.read_prefix(buffer);
            return Poll::Ready(Ok(()));
        }
        each!(&mut self.socket, Socket { Tcp, Unix }, s => Pin::new(s).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.socket, Socket { Tcp, Unix }, s => Pin::new(s).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.socket, Socket { Tcp, Unix }, s => Pin::new(s).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.socket, Socket { Tcp, Unix }, s => Pin::new(s).poll_shutdown(cx))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), Self { Plain, ServerTls, ClientTls }, s => Pin::new(s).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), Self { Plain, ServerTls, ClientTls }, s => Pin::new(s).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), Self { Plain, ServerTls, ClientTls }, s => {
            Pin::new(s).poll_write_vectored(cx, bytes)
        })
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), Self { Plain, ServerTls, ClientTls }, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), Self { Plain, ServerTls, ClientTls }, s => Pin::new(s).poll_shutdown(cx))
    }
}

impl Io {
    /// Reads once into `buffer`; `Ok(0)` is the end of the stream. A peer that ends TLS without
    /// `close_notify` has ended the stream too: framing tells whether a message was cut.
    pub fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        match ready!(Pin::new(self).poll_read(cx, &mut buffer)) {
            Ok(()) => Poll::Ready(Ok(buffer.filled().len())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn bytes_that_were_put_back_come_first() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut stream = Stream::from(near);
        far.write_all(b"cd").await.unwrap();
        stream.unread(b"b");
        stream.unread(b"a");
        assert!(!stream.is_bare());
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes[..1]).await.unwrap();
        stream.unread(b"A");
        stream.read_exact(&mut bytes[1..]).await.unwrap();
        assert_eq!(&bytes, b"aAbc");
        assert!(stream.is_bare());
    }
}
