//! Bytes of the wire as text, both ways: how case files write them and how reports show them.
//!
//! In a case file a character below U+0100 is the byte of that number, so `"\xff"` and `"\0"` in a
//! double-quoted YAML string are single bytes.

use regex::{Captures, Regex};

/// The bytes that a string of a case file stands for. Characters above U+00FF become UTF-8.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        if let Ok(byte) = u8::try_from(u32::from(c)) {
            out.push(byte);
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out
}

/// A message written as a YAML block: every line of its head gets CRLF, a missing empty line after the
/// head is added, the newline that ends the block is not part of the body.
pub fn message(block: &str) -> Vec<u8> {
    let (head, body) =
        block.split_once("\n\n").unwrap_or_else(|| (block.trim_end_matches('\n'), ""));
    let mut out = bytes(&head.replace('\n', "\r\n"));
    out.extend_from_slice(b"\r\n\r\n");
    out.extend(bytes(body.strip_suffix('\n').unwrap_or(body)));
    out
}

/// Replaces `$REPEAT(text,count)` by that many copies, up to 1 MiB.
pub fn repeat(text: &str) -> String {
    const LIMIT: usize = 1 << 20;
    let Ok(pattern) = Regex::new(r"\$REPEAT\(([^,]+),(\d+)\)") else { return text.to_owned() };
    let copies = |found: &Captures<'_>| {
        let (_, [piece, count]) = found.extract();
        piece.repeat(count.parse::<usize>().unwrap_or(0).min(LIMIT / piece.len()))
    };
    pattern.replace_all(text, copies).into_owned()
}

/// Bytes as one printable line; a long run is cut to its start, its length and a checksum.
pub fn show(bytes: &[u8]) -> String {
    const LIMIT: usize = 1024;
    if let Some((start, _)) = bytes.split_at_checked(LIMIT).filter(|(_, rest)| !rest.is_empty()) {
        let (head, _) = start.split_at_checked(64).unwrap_or((start, &[]));
        // FNV-1a: tells two long bodies apart, nothing more.
        let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        return format!("{}… ({} bytes, {sum:016x})", head.escape_ascii(), bytes.len());
    }
    let escaped = bytes.escape_ascii().to_string();
    escaped.replace("\\\"", "\"").replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_a_case_file_are_bytes() {
        assert_eq!(bytes("a\u{ff}\0"), b"a\xff\0");
        assert_eq!(bytes("\u{20ac}"), "\u{20ac}".as_bytes());
    }

    #[test]
    fn a_block_becomes_a_message() {
        assert_eq!(message("GET / HTTP/1.1\nhost: a\n"), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(
            message("POST / HTTP/1.1\na: b\n\none\ntwo\n"),
            b"POST / HTTP/1.1\r\na: b\r\n\r\none\ntwo"
        );
    }

    #[test]
    fn repetition_is_expanded_and_bounded() {
        assert_eq!(repeat("x$REPEAT(ab,3)y"), "xabababy");
        assert_eq!(repeat("$REPEAT(a,99999999)").len(), 1 << 20);
    }

    #[test]
    fn long_bytes_are_summed_up_and_short_ones_shown_whole() {
        assert_eq!(show(b"a\r\n\"\xff"), "a\\r\\n\"\\xff");
        assert!(show(&[b'x'; 5000]).contains("(5000 bytes, "));
        assert_ne!(show(&[b'x'; 5000]), show(&[b'y'; 5000]));
    }
}
