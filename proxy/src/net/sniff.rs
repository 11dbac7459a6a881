//! Does a connection begin with the preface of HTTP/2?
//!
//! For connections where neither configuration nor ALPN tells. What was read goes on to the codec.

use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use super::io::Io;
use super::scratch::with_scratch;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `PRI ` is no request of HTTP/1: so many bytes are enough to tell.
const ENOUGH: usize = 4;

/// The first bytes of a connection.
#[derive(Debug)]
pub struct Sniffed {
    /// What was read.
    pub seen: Vec<u8>,
    /// They are, or begin, the preface of HTTP/2.
    pub is_http2: bool,
}

impl Sniffed {
    /// Reads the first bytes; `None` if the client sends none in time, or leaves.
    pub async fn read(io: &mut Io, timeout: Option<Duration>) -> Option<Self> {
        let mut seen: Vec<u8> = Vec::new();
        let sniff = poll_fn(|cx| {
            loop {
                let is_http2 = match seen.get(..seen.len().min(PREFACE.len())) {
                    Some(start) if PREFACE.starts_with(start) => true,
                    _ => return Poll::Ready(Some(false)),
                };
                if seen.len() >= ENOUGH {
                    return Poll::Ready(Some(is_http2));
                }
                let read = ready!(with_scratch(|scratch| {
                    let length = ready!(io.poll_read_into(cx, scratch))?;
                    seen.extend_from_slice(scratch.get(..length).unwrap_or_default());
                    Poll::Ready(std::io::Result::Ok(length))
                }));
                if !matches!(read, Ok(1..)) {
                    return Poll::Ready(None);
                }
            }
        });
        let is_http2 = match timeout {
            Some(timeout) => tokio::time::timeout(timeout, sniff).await.ok()??,
            None => sniff.await?,
        };
        Some(Self { seen, is_http2 })
    }
}
