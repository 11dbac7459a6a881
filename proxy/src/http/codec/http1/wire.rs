//! The bytes of one HTTP/1 connection, of either end: read and not consumed, to be written and not written.
//!
//! Both buffers go back to the worker when they are empty: a connection may then be idle for an hour.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::net::{Io, spare, with_scratch};

/// A stream and its buffers.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) io: Io,
    /// Read, not yet consumed.
    pub(super) input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// Bytes were given to TLS that it may still hold.
    needs_flush: bool,
    /// Bytes read and written.
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Wire {
    /// A stream of which `seen` was read already.
    pub(super) const fn new(io: Io, seen: Vec<u8>) -> Self {
        let received = seen.len() as u64;
        Self {
            io,
            input: seen,
            output: Vec::new(),
            written: 0,
            needs_flush: false,
            received,
            sent: 0,
        }
    }

    /// Reads what is there; 0 at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let length = ready!(self.io.poll_read_into(cx, scratch))?;
            if length > 0 {
                spare::lend(&mut self.input);
            }
            self.received += length as u64;
            self.input.extend_from_slice(scratch.get(..length).unwrap_or_default());
            Poll::Ready(Ok(length))
        })
    }

    /// Drops what was read and is understood.
    pub(super) fn consume(&mut self, length: usize) {
        if length >= self.input.len() {
            spare::take_back(&mut self.input);
        } else {
            self.input.drain(..length);
        }
    }

    /// What an encoder appends to.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        spare::lend(&mut self.output);
        &mut self.output
    }

    /// Bytes that wait to be written.
    pub(super) const fn waiting(&self) -> usize {
        self.output.len() - self.written
    }

    /// True if bytes wait of which none was written.
    pub(super) const fn is_untouched(&self) -> bool {
        self.written == 0 && !self.output.is_empty()
    }

    /// Drops what nobody will take.
    pub(super) fn drop_output(&mut self) {
        self.output = Vec::new();
        self.written = 0;
    }

    /// Writes all that waits.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.output.get(self.written..).filter(|b| !b.is_empty()) {
            let length = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += length;
            self.sent += length as u64;
        }
        self.needs_flush |= self.written > 0;
        self.written = 0;
        spare::take_back(&mut self.output);
        if self.needs_flush {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}
