//! As much of HTTP/1.1 as the two ends of a comparison speak: a head, and a body of a known length.
//!
//! Both ends are ours, so what is absent is refused, not understood: chunked bodies above all.

use std::str;

use anyhow::{Context as _, Result, bail};
use bytes::BytesMut;
use memchr::memmem;

/// More than this before the end of a head is none.
const LONGEST_HEAD: usize = 16 * 1024;

/// A message at the beginning of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of head and body together.
    pub length: usize,
    /// Of an answer; none of a request.
    pub status: Option<u16>,
}

impl Message {
    /// The first message of `bytes`; none while its head is not complete.
    ///
    /// # Errors
    /// When it is none that the ends speak.
    pub fn first(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            if bytes.len() > LONGEST_HEAD {
                bail!("no end of a head in {} bytes", bytes.len());
            }
            return Ok(None);
        };
        let head = bytes.get(..end).unwrap_or_default();
        let mut body = 0;
        let status = match head.strip_prefix(b"HTTP/1.1 ") {
            Some(rest) => Some(number(rest.get(..3).unwrap_or_default())?),
            None => None,
        };
        let mut start = memmem::find(head, b"\r\n").map_or(end, |at| at + 2);
        while let Some(rest) = head.get(start..).filter(|rest| !rest.is_empty()) {
            let line_end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
            let line = rest.get(..line_end).unwrap_or_default();
            if let Some(value) = value_of(line, b"content-length:") {
                body = number(value)?;
            } else if value_of(line, b"transfer-encoding:").is_some() {
                bail!("a body without a length");
            }
            start += line_end + 2;
        }
        let length = (end + 4).checked_add(body).context("too long")?;
        Ok(Some(Self { length, status }))
    }

    /// Takes the first message off `bytes`, once it is there as a whole.
    ///
    /// # Errors
    /// Those of [`Message::first`].
    pub fn take(bytes: &mut BytesMut) -> Result<Option<Self>> {
        let Some(message) = Self::first(bytes)? else { return Ok(None) };
        if bytes.len() < message.length {
            return Ok(None);
        }
        // Whatever is left moves to the front when there is room to be made.
        drop(bytes.split_to(message.length));
        Ok(Some(message))
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

fn number<N: str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &[u8],
) -> Result<N> {
    Ok(str::from_utf8(text)?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_only_as_a_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nserver: x\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..whole.len() {
            let mut bytes = BytesMut::from(&whole[..end]);
            assert_eq!(Message::take(&mut bytes).unwrap(), None, "{end}");
        }
        let mut bytes = BytesMut::from(&[&whole[..], b"HTTP/1.1 503"].concat()[..]);
        let taken = Message::take(&mut bytes).unwrap().unwrap();
        assert_eq!(taken, Message { length: whole.len(), status: Some(200) });
        assert_eq!(&bytes[..], b"HTTP/1.1 503");
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let found = Message::first(request).unwrap().unwrap();
        assert_eq!(found, Message { length: request.len(), status: None });
    }

    #[test]
    fn what_the_ends_do_not_speak_is_refused() {
        for wrong in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 18446744073709551615\r\n\r\n",
        ] {
            assert!(Message::first(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(Message::first(&[b'a'; LONGEST_HEAD + 1]).is_err());
    }
}
