//! Where a head ends. Looks at every byte once, however slowly they come.

use super::error::HeadError;

/// How far a head was searched: kept between reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    searched: usize,
}

/// The length of the head at the start of `buffer`, its empty line included; `None` if more bytes are
/// needed.
///
/// # Errors
/// [`HeadError::BareLineFeed`] for a line that does not end in CRLF: some parsers end a line there and
/// others do not (RFC 9112 §2.2 lets us choose). [`HeadError::TooLarge`] above `limit` bytes.
pub fn head_end(
    buffer: &[u8],
    scan: &mut HeadScan,
    limit: usize,
) -> Result<Option<usize>, HeadError> {
    // What lies beyond the limit is not looked at: the answer must not depend on how much came in one read.
    let within = buffer.get(..limit).unwrap_or(buffer);
    let fresh = within.get(scan.searched..).unwrap_or_default();
    for offset in memchr::memchr_iter(b'\n', fresh) {
        let at = scan.searched + offset;
        let line = within.get(..at).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r") else { return Err(HeadError::BareLineFeed) };
        if line.ends_with(b"\n") {
            return Ok(Some(at + 1));
        }
    }
    scan.searched = within.len();
    if within.len() == limit { Err(HeadError::TooLarge) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nrest";

    #[test]
    fn finds_the_end_whole_and_byte_by_byte() {
        let mut scan = HeadScan::default();
        assert_eq!(head_end(HEAD, &mut scan, 1024).unwrap(), Some(HEAD.len() - 4));
        let mut scan = HeadScan::default();
        for length in 0..HEAD.len() - 4 {
            assert_eq!(head_end(&HEAD[..length], &mut scan, 1024).unwrap(), None);
        }
        assert_eq!(head_end(HEAD, &mut scan, 1024).unwrap(), Some(HEAD.len() - 4));
    }

    #[test]
    fn refuses_a_bare_line_feed_at_once() {
        for bytes in [b"GET / HTTP/1.1\nhost".as_slice(), b"\n", b"GET / HTTP/1.1\r\n\n"] {
            let result = head_end(bytes, &mut HeadScan::default(), 1024);
            assert!(matches!(result, Err(HeadError::BareLineFeed)));
        }
    }

    #[test]
    fn refuses_a_head_over_the_limit() {
        let result = head_end(HEAD, &mut HeadScan::default(), 16);
        assert!(matches!(result, Err(HeadError::TooLarge)));
        let result = head_end(b"GET / HTTP/1.1\n", &mut HeadScan::default(), 14);
        assert!(matches!(result, Err(HeadError::TooLarge)), "however much came at once");
        let result = head_end(&[b'a'; 64], &mut HeadScan::default(), 64);
        assert!(matches!(result, Err(HeadError::TooLarge)));
    }
}
