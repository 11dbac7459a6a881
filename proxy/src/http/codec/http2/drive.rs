//! Moves the bytes of an HTTP/2 connection between its socket and its codec.
//!
//! One task per connection does it: it reads into the worker's scratch buffer, so that a connection at rest owns none, and writes all that streams
//! have put into the output with one call.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::connection::{Connection, Over};
use crate::net::{Io, Traffic, with_scratch};

/// How long a peer that was told of an error may take to notice. (envoy: delayed_close_timeout)
const LINGER: Duration = Duration::from_secs(1);

/// A connection and its socket.
#[derive(Debug)]
pub struct Driver {
    io: Io,
    connection: Rc<Connection>,
    traffic: Rc<Traffic>,
    needs_flush: bool,
}

impl Driver {
    /// Drives `connection` over `io`.
    #[must_use]
    pub const fn new(io: Io, connection: Rc<Connection>, traffic: Rc<Traffic>) -> Self {
        Self { io, connection, traffic, needs_flush: false }
    }

    /// Reads once and lets the connection take it; pending when there is nothing.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.connection.is_clogged() {
            return Poll::Pending;
        }
        with_scratch(|scratch| {
            match ready!(self.io.poll_read_into(cx, scratch)) {
                Ok(length @ 1..) => {
                    self.traffic.add_received(length);
                    self.connection.receive(scratch.get(..length).unwrap_or_default());
                }
                Ok(0) | Err(_) => self.connection.disconnected(),
            }
            Poll::Ready(())
        })
    }

    /// Writes what waits; ready once all is out and the connection is over.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let Self { io, connection, traffic, needs_flush } = self;
        let written = connection.poll_write(|bytes| {
            let length = ready!(Pin::new(&mut *io).poll_write(cx, bytes))?;
            if length == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            traffic.add_sent(length);
            *needs_flush = true;
            Poll::Ready(std::io::Result::Ok(length))
        });
        let flushed = match written {
            Poll::Ready(Ok(())) if self.needs_flush => Pin::new(&mut self.io).poll_flush(cx),
            other => other,
        };
        match flushed {
            Poll::Ready(Ok(())) => {
                self.needs_flush = false;
                self.connection.rest();
            }
            Poll::Ready(Err(_)) => self.connection.disconnected(),
            Poll::Pending if self.connection.over() == Some(Over::Closed) => {}
            Poll::Pending => return Poll::Pending,
        }
        match self.connection.over() {
            Some(over) => Poll::Ready(over),
            None => Poll::Pending,
        }
    }

    /// Reads and writes what there is; ready when the connection is over.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        self.connection.drive(cx);
        while self.connection.over().is_none() && self.poll_read(cx).is_ready() {}
        self.poll_write(cx)
    }

    /// Closes our direction, and gives the peer time to read what it was told: bytes that nobody reads would make the system reset the
    /// connection.
    pub async fn close(mut self, over: Over) {
        if over == Over::Closed {
            return;
        }
        let wait = poll_fn(|cx| {
            let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
            loop {
                let read = ready!(with_scratch(|scratch| self.io.poll_read_into(cx, scratch)));
                if !matches!(read, Ok(1..)) {
                    return Poll::Ready(());
                }
            }
        });
        let _ = tokio::time::timeout(LINGER, wait).await;
    }
}
