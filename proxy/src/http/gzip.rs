//! A body that is compressed while it passes. (RFC 1952)
//!
//! Each piece is written out at once, as in Envoy: who waits for an event gets it. Nothing is held but what one piece becomes.

use std::io::{self, Write};
use std::task::{Context, Poll, ready};

use flate2::Compression;
use flate2::write::GzEncoder;
use outrigger_policy::head::Headers;

use crate::body::{Body, Frame, PollFrame};
use crate::telemetry::metrics::{CompressedStat, CompressedStats};

/// See the module.
pub struct Gzip {
    inner: Body,
    /// `None` when all is written.
    encoder: Option<GzEncoder<Vec<u8>>>,
    trailers: Option<Headers>,
    stats: CompressedStats,
}

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gzip").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Gzip {
    /// `inner`, compressed at `level`, 1 to 9.
    #[must_use]
    pub fn around(inner: Body, level: u32, stats: CompressedStats) -> Body {
        let encoder = Some(GzEncoder::new(Vec::new(), Compression::new(level.min(9))));
        Body::Compressed(Box::new(Self { inner, encoder, trailers: None, stats }))
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        loop {
            if self.encoder.is_none() {
                let trailers = self.trailers.take().map(|trailers| Ok(Frame::Trailers(trailers)));
                return Poll::Ready(trailers);
            }
            let written = match ready!(self.inner.poll_frame(cx)) {
                Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                Some(Ok(Frame::Data(bytes))) => {
                    self.stats.add(CompressedStat::total_uncompressed_bytes, bytes.len() as u64);
                    self.compress(&bytes)
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.trailers = Some(trailers);
                    self.finish()
                }
                None => self.finish(),
            };
            // Writing to memory cannot fail.
            let written = written.unwrap_or_default();
            if !written.is_empty() {
                self.stats.add(CompressedStat::total_compressed_bytes, written.len() as u64);
                return Poll::Ready(Some(Ok(Frame::Data(written.into()))));
            }
        }
    }

    fn compress(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let Some(encoder) = &mut self.encoder else { return Ok(Vec::new()) };
        encoder.write_all(bytes)?;
        encoder.flush()?;
        Ok(std::mem::take(encoder.get_mut()))
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.encoder.take().map_or_else(|| Ok(Vec::new()), GzEncoder::finish)
    }

    /// True if no piece will come.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    /// The body that is compressed, to keep it moving.
    pub const fn inner_mut(&mut self) -> &mut Body {
        &mut self.inner
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::task::Waker;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let text = "istio_requests_total 1\n".repeat(1000);
        let stats = CompressedStats::detached(1);
        let mut body = Gzip::around(Body::Full(text.clone().into()), 6, stats.clone());
        let mut compressed = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!body.is_end());
        while let Poll::Ready(Some(frame)) = body.poll_frame(&mut cx) {
            let Ok(Frame::Data(bytes)) = frame else { panic!() };
            compressed.extend_from_slice(&bytes);
        }
        assert!(body.is_end() && compressed.len() < text.len() / 20, "{}", compressed.len());
        let mut read = String::new();
        GzDecoder::new(&*compressed).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        let count = |stat| stats.count(stat);
        assert_eq!(count(CompressedStat::total_uncompressed_bytes), text.len() as u64);
        assert_eq!(count(CompressedStat::total_compressed_bytes), compressed.len() as u64);
    }
}
