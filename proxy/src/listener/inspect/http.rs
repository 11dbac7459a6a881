//! Is it plain HTTP, and which version? (envoy: envoy.filters.listener.http_inspector)

use super::Look;

/// What every HTTP/2 connection with prior knowledge begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A longer request line is not waited for.
const LONGEST_LINE: usize = 64 * 1024;
/// No method is longer.
const LONGEST_METHOD: usize = 16;

/// `http/1.0`, `http/1.1` or `h2c`, from the first bytes of a connection.
#[must_use]
pub fn version(bytes: &[u8]) -> Look<&'static str> {
    if bytes.starts_with(PREFACE) {
        return Look::Is("h2c");
    }
    if PREFACE.starts_with(bytes) {
        return Look::NeedMore;
    }
    let method = bytes.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    if method > LONGEST_METHOD {
        return Look::IsNot;
    }
    match bytes.get(method) {
        None => return Look::NeedMore,
        Some(b' ') if method > 0 => {}
        Some(_) => return Look::IsNot,
    }
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return if bytes.len() < LONGEST_LINE { Look::NeedMore } else { Look::IsNot };
    };
    let line = bytes.get(..end).unwrap_or_default();
    match line.strip_suffix(b"\r").unwrap_or(line).rsplit(|b| *b == b' ').next() {
        Some(b"HTTP/1.1") => Look::Is("http/1.1"),
        Some(b"HTTP/1.0") => Look::Is("http/1.0"),
        _ => Look::IsNot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_and_bytes_are_awaited_only_as_long_as_needed() {
        for (bytes, expected) in [
            (b"GET / HTTP/1.1\r\n".as_slice(), Look::Is("http/1.1")),
            (b"M-SEARCH * HTTP/1.0\r\nhost", Look::Is("http/1.0")),
            (PREFACE, Look::Is("h2c")),
            (b"PRI * HT", Look::NeedMore),
            (b"", Look::NeedMore),
            (b"GE", Look::NeedMore),
            (b"GET /long", Look::NeedMore),
            (b"GET / FOO\r\n", Look::IsNot),
            (b"get / HTTP/1.1\r\n", Look::IsNot),
            (b"\x16\x03\x01", Look::IsNot),
            (b" GET", Look::IsNot),
            (b"ABCDEFGHIJKLMNOPQRST", Look::IsNot),
        ] {
            assert_eq!(version(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(version(&[b"GET /", [b'a'; LONGEST_LINE].as_slice()].concat()), Look::IsNot);
    }
}
