//! One direction of a relayed connection.
//!
//! It owns no memory while nothing moves: bytes go through the worker's buffer straight into the sink, and only what the sink does not take at once is
//! kept. A direction that has moved much between two plain sockets is spliced: then bytes do not come to us at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::peer_exchange::{Hearing, Taken};
use crate::net::{Io, Splice, with_scratch};
use crate::telemetry::Told;

/// Bytes after which a pipe is worth its two descriptors.
const MUCH: u64 = 1 << 20;
/// Pieces that one poll moves at most, so that others have their turn.
const PIECES: usize = 16;

/// The source was reset, or nobody knows what its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reset;

/// How far a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Moving,
    /// The source has ended: the sink has to be told.
    Ending,
    Done,
}

/// The state of one direction.
#[derive(Debug)]
pub(super) struct Pump<'a> {
    phase: Phase,
    /// What the source says of itself before the application's bytes.
    hears: Option<Hearing<'a>>,
    /// Read, and not taken by the sink yet.
    held: Vec<u8>,
    given: usize,
    needs_flush: bool,
    splice: Option<Splice>,
    cannot_splice: bool,
    moved: u64,
}

impl<'a> Pump<'a> {
    /// The sink gets `says` first, which is not counted.
    pub(super) fn new(hears: Option<Hearing<'a>>, says: Option<&[u8]>) -> Self {
        let held = says.map_or_else(Vec::new, <[u8]>::to_vec);
        Self {
            phase: Phase::Moving,
            hears,
            needs_flush: !held.is_empty(),
            held,
            given: 0,
            splice: None,
            cannot_splice: false,
            moved: 0,
        }
    }

    /// What the source has said of itself so far; `None` if nobody listens.
    pub(super) fn told(&self) -> Option<Told> {
        self.hears.as_ref().map(Hearing::told)
    }

    /// The application's bytes read from the source so far.
    pub(super) const fn moved(&self) -> u64 {
        self.moved
    }

    /// Moves what can be moved; ready when the source has ended and the sink knows, or the sink has gone.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Io,
        sink: &mut Io,
    ) -> Poll<Result<(), Reset>> {
        for _ in 0..PIECES {
            if ready!(self.poll_give(cx, sink)).is_err() {
                self.end();
            }
            match self.phase {
                Phase::Moving => {}
                Phase::Ending => {
                    let _ = ready!(Pin::new(&mut *sink).poll_shutdown(cx));
                    self.phase = Phase::Done;
                    return Poll::Ready(Ok(()));
                }
                Phase::Done => return Poll::Ready(Ok(())),
            }
            let taken = match &mut self.hears {
                Some(hears) if !hears.is_over() => match ready!(poll_hear(cx, source, hears)) {
                    Ok(bytes) => {
                        self.moved += bytes.len() as u64;
                        self.needs_flush = !bytes.is_empty();
                        self.held = bytes;
                        continue;
                    }
                    Err(error) => Err(error),
                },
                _ => ready!(self.poll_take(cx, source, sink)),
            };
            match taken {
                Ok(0) => self.end(),
                Ok(length) => self.moved += length as u64,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    self.phase = Phase::Done;
                    return Poll::Ready(Err(Reset));
                }
                Err(_) => self.end(),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn end(&mut self) {
        self.phase = Phase::Ending;
        self.held = Vec::new();
        self.given = 0;
        self.splice = None;
        self.needs_flush = false;
    }

    /// Gives the sink what it has not taken yet.
    fn poll_give(&mut self, cx: &mut Context<'_>, sink: &mut Io) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.held.get(self.given..).filter(|bytes| !bytes.is_empty()) {
            let length = ready!(Pin::new(&mut *sink).poll_write(cx, bytes))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.given += length;
        }
        if self.given > 0 {
            self.held = Vec::new();
            self.given = 0;
        }
        if self.needs_flush {
            ready!(Pin::new(&mut *sink).poll_flush(cx))?;
            self.needs_flush = false;
        }
        match (&mut self.splice, bare(sink)) {
            (Some(splice), Some(sink)) => splice.poll_give(cx, sink),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Takes bytes from the source, and gives the sink as many of them as it takes at once.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Io,
        sink: &mut Io,
    ) -> Poll<io::Result<usize>> {
        if let (Some(from), Some(_)) = (bare(source), bare(sink)) {
            if self.splice.is_none() && !self.cannot_splice && self.moved >= MUCH {
                self.splice = Splice::new().ok();
                self.cannot_splice = self.splice.is_none();
            }
            if let Some(splice) = &mut self.splice {
                return splice.poll_take(cx, from);
            }
        }
        with_scratch(|scratch| {
            let length = ready!(source.poll_read_into(cx, scratch))?;
            let bytes = scratch.get(..length).unwrap_or_default();
            self.needs_flush = length > 0;
            let taken = match Pin::new(sink).poll_write(cx, bytes) {
                Poll::Ready(Ok(taken)) => taken,
                // The next turn finds out again.
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            self.held.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            Poll::Ready(Ok(length))
        })
    }
}

/// Takes what the source says of itself; the application's bytes that came after it.
fn poll_hear(
    cx: &mut Context<'_>,
    source: &mut Io,
    hears: &mut Hearing<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    with_scratch(|scratch| {
        let length = ready!(source.poll_read_into(cx, scratch))?;
        if length == 0 {
            return Poll::Ready(Ok(hears.end()));
        }
        Poll::Ready(match hears.take(scratch.get(..length).unwrap_or_default()) {
            Taken::All => Ok(Vec::new()),
            Taken::Passed(bytes) => Ok(bytes),
            Taken::Broken => Err(io::ErrorKind::ConnectionReset.into()),
        })
    })
}

/// The socket of a plain stream of which nothing waits in front of it.
fn bare(io: &Io) -> Option<&TcpStream> {
    match io {
        Io::Plain(stream) if stream.is_bare() => stream.tcp(),
        _ => None,
    }
}
