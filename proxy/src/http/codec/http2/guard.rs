//! Ends connections that flood us with frames which cost the sender nothing.
//!
//! `h2` bounds streams, resets, header blocks and small DATA frames, but answers PING, SETTINGS, PRIORITY and WINDOW_UPDATE for
//! ever. This wrapper reads the frame headers that pass and holds such frames to a budget, which grows with time and with
//! the real traffic of the connection. Above it the stream fails, and the connection with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Frames that may come at once; more than this is also what can be saved up.
const BURST: u64 = 2_000;
/// Frames that may come every second for ever.
const PER_SECOND: u64 = 200;
/// What a request earns: a few settings, priorities and window updates of its own.
const PER_HEADERS: u64 = 20;
/// Bytes sent that earn one frame: a client acknowledges what it reads by WINDOW_UPDATE.
const BYTES_PER_FRAME: u64 = 1024;

const FRAME_HEADER: usize = 9;
const PREFACE: usize = 24;

/// A stream whose incoming HTTP/2 frames are counted.
#[derive(Debug)]
pub struct FrameGuard<S> {
    stream: S,
    /// Read before the guard was put up.
    seen: Vec<u8>,
    header: [u8; FRAME_HEADER],
    header_read: usize,
    /// Bytes of the preface or of a payload to pass over.
    skip: usize,
    budget: u64,
    refilled: Instant,
    sent: u64,
}

impl<S> FrameGuard<S> {
    /// Guards the server's end of a connection, from its preface on; `seen` was read of it already.
    pub fn server(stream: S, seen: Vec<u8>) -> Self {
        Self {
            stream,
            seen,
            header: [0; FRAME_HEADER],
            header_read: 0,
            skip: PREFACE,
            budget: BURST,
            refilled: Instant::now(),
            sent: 0,
        }
    }

    fn inspect(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let wanted = FRAME_HEADER - self.header_read;
            if self.skip > 0 || bytes.is_empty() {
                continue;
            }
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            for (slot, byte) in self.header.iter_mut().skip(self.header_read).zip(part) {
                *slot = *byte;
            }
            self.header_read += part.len();
            bytes = rest;
            if self.header_read == FRAME_HEADER {
                let [a, b, c, kind, ..] = self.header;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.header_read = 0;
                self.charge(kind)?;
            }
        }
        Ok(())
    }

    fn charge(&mut self, kind: u8) -> io::Result<()> {
        match kind {
            // DATA and CONTINUATION have budgets of their own in h2.
            0 | 9 => Ok(()),
            1 => {
                self.budget = (self.budget + PER_HEADERS).min(BURST);
                Ok(())
            }
            _ => {
                if self.budget == 0 {
                    self.refill();
                }
                self.budget = self.budget.checked_sub(1).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "too many HTTP/2 control frames")
                })?;
                Ok(())
            }
        }
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let millis = u64::try_from(now.duration_since(self.refilled).as_millis()).unwrap_or(0);
        let earned = millis * PER_SECOND / 1000 + self.sent / BYTES_PER_FRAME;
        self.budget = (self.budget + earned).min(BURST);
        self.refilled = now;
        self.sent = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.seen.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        } else {
            let length = self.seen.len().min(buffer.remaining());
            let rest = self.seen.split_off(length);
            buffer.put_slice(&self.seen);
            self.seen = rest;
        }
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.inspect(fresh))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bytes))?;
        self.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0, (payload >> 8) as u8, payload as u8, kind, 0, 0, 0, 0, 1];
        bytes.resize(FRAME_HEADER + payload, 0);
        bytes
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn control_frames_have_a_budget() {
        for kind in [2, 4, 6, 8, 99] {
            let mut guard = FrameGuard::server((), Vec::new());
            guard.inspect(&[0; PREFACE]).unwrap();
            let bytes = frame(kind, 8).repeat(BURST as usize);
            for piece in bytes.chunks(7) {
                guard.inspect(piece).unwrap();
            }
            assert!(guard.inspect(&frame(kind, 8)).is_err(), "{kind}");
        }
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn time_and_traffic_earn_more() {
        let mut guard = FrameGuard::server((), Vec::new());
        guard.inspect(&[0; PREFACE]).unwrap();
        guard.inspect(&frame(6, 8).repeat(BURST as usize)).unwrap();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        guard.inspect(&frame(6, 8).repeat(PER_SECOND as usize)).unwrap();
        guard.sent = 100 * BYTES_PER_FRAME;
        guard.inspect(&frame(8, 4).repeat(100)).unwrap();
        guard.inspect(&frame(1, 300)).unwrap();
        guard.inspect(&frame(8, 4).repeat(PER_HEADERS as usize)).unwrap();
        assert!(guard.inspect(&frame(8, 4)).is_err());
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn data_is_free() {
        let mut guard = FrameGuard::server((), Vec::new());
        guard.inspect(&[0; PREFACE]).unwrap();
        guard.inspect(&frame(0, 1000).repeat(10_000)).unwrap();
    }
}
