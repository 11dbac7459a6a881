//! Moves bytes from one socket to another without reading them: the kernel passes pages through a pipe. (splice(2))

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that the pipe may hold; the system may say that a user has enough of that already, then it is less.
const SIZE: usize = 256 * 1024;

/// A pipe between two sockets.
#[derive(Debug)]
pub struct Splice {
    /// The end that is read, and the end that is written.
    pipe: (OwnedFd, OwnedFd),
    /// Bytes in the pipe.
    held: usize,
}

impl Splice {
    /// A new pipe.
    ///
    /// # Errors
    /// If there are no more descriptors.
    pub fn new() -> io::Result<Self> {
        let pipe = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        let _ = fcntl_setpipe_size(&pipe.1, SIZE);
        Ok(Self { pipe, held: 0 })
    }

    /// True if the pipe holds bytes that the sink has not taken.
    #[must_use]
    pub const fn is_holding(&self) -> bool {
        self.held > 0
    }

    /// Takes bytes of `source` into the pipe, which must be empty; 0 at the end of the stream.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(source.poll_read_ready(cx))?;
            // The pipe is empty, so if this would block, the socket is.
            let taken = source.try_io(Interest::READABLE, || {
                Ok(splice(source, None, &self.pipe.1, None, SIZE, flags())?)
            });
            match taken {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(length) => {
                    self.held += length;
                    return Poll::Ready(Ok(length));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Gives what the pipe holds to `sink`; ready when it is empty.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_give(&mut self, cx: &mut Context<'_>, sink: &TcpStream) -> Poll<io::Result<()>> {
        while self.held > 0 {
            ready!(sink.poll_write_ready(cx))?;
            let given = sink.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.pipe.0, None, sink, None, self.held, flags())?)
            });
            match given {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(length) => self.held = self.held.saturating_sub(length),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_pass_in_order_and_the_end_shows() {
        const LENGTH: usize = 3 << 20;
        let (mut client, source) = pair().await;
        let (sink, mut host) = pair().await;
        let sent: Vec<u8> = (0..LENGTH).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let writer = tokio::spawn({
            let sent = sent.clone();
            async move {
                client.write_all(&sent).await.unwrap();
                client.shutdown().await.unwrap();
                client
            }
        });
        let reader = tokio::spawn(async move {
            let mut received = Vec::new();
            host.read_to_end(&mut received).await.unwrap();
            received
        });
        let mut splice = Splice::new().unwrap();
        while poll_fn(|cx| splice.poll_take(cx, &source)).await.unwrap() > 0 {
            assert!(splice.is_holding());
            poll_fn(|cx| splice.poll_give(cx, &sink)).await.unwrap();
            assert!(!splice.is_holding());
        }
        drop(sink);
        assert!(reader.await.unwrap() == sent);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_reset_is_an_error() {
        let (client, source) = pair().await;
        client.set_zero_linger().unwrap();
        drop(client);
        let mut splice = Splice::new().unwrap();
        let error = poll_fn(|cx| splice.poll_take(cx, &source)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
