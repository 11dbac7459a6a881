//! No byte of a client ends a line, closes a quote or reaches a terminal as a command.
//!
//! JSON is escaped as Envoy does it: UTF-8 passes, and in a value that is no UTF-8 every byte that is no plain ASCII becomes `\u00XX`.
//! Text differs from Envoy, which writes control characters as they are: here they become `\xXX`. (CVE-2024-45808)

/// Makes a JSON string's content of the bytes from `start` on.
pub(super) fn json(out: &mut Vec<u8>, start: usize) {
    let value = out.get(start..).unwrap_or_default();
    if is_plain(value) {
        return;
    }
    let is_utf8 = std::str::from_utf8(value).is_ok();
    replace(out, start, |byte, out| match byte {
        _ if !is_utf8 && (!(b' '..0x80).contains(&byte) || matches!(byte, b'"' | b'\\')) => {
            numbered(out, byte);
        }
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0..b' ' => numbered(out, byte),
        _ => out.push(byte),
    });
}

/// True if every byte is ASCII and stands in JSON as it is; eight bytes are looked at in one go.
fn is_plain(value: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const fn all(byte: u8) -> u64 {
        ONES * byte as u64
    }
    let (words, rest) = value.as_chunks::<8>();
    // Blanks are plain.
    let mut last = [b' '; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    let mut found = 0;
    for word in words.iter().chain([&last]) {
        let word = u64::from_le_bytes(*word);
        // The highest bit of a byte is set where a subtraction goes below zero: only a byte that is found lends from its neighbour.
        found |= word
            | word.wrapping_sub(all(b' '))
            | (word ^ all(b'"')).wrapping_sub(ONES)
            | (word ^ all(b'\\')).wrapping_sub(ONES);
    }
    found & all(0x80) == 0
}

/// Makes control characters from `start` on visible; tabs stay.
pub(super) fn text(out: &mut Vec<u8>, start: usize) {
    let is_control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    let value = out.get(start..).unwrap_or_default();
    if value.iter().fold(false, |found, byte| found | is_control(*byte)) {
        replace(out, start, |byte, out| {
            if is_control(byte) {
                out.extend_from_slice(b"\\x");
                hex(out, byte);
            } else {
                out.push(byte);
            }
        });
    }
}

/// Replaces every byte from `start` on by what `put` appends for it.
fn replace(out: &mut Vec<u8>, start: usize, put: impl Fn(u8, &mut Vec<u8>)) {
    let end = out.len();
    for at in start..end {
        if let Some(byte) = out.get(at).copied() {
            put(byte, out);
        }
    }
    out.drain(start..end);
}

fn numbered(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\u00");
    hex(out, byte);
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    for digit in [byte >> 4, byte & 0xf] {
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_as_envoy_does() {
        // Recorded from Envoy 1.40.
        let cases: &[(&[u8], &[u8])] = &[
            (b"plain / ' <", b"plain / ' <"),
            (
                b"\x01\x1b\x08\x0c\r\x00\n\t\x7f\"\\",
                b"\\u0001\\u001b\\b\\f\\r\\u0000\\n\\t\x7f\\\"\\\\",
            ),
            ("caf\u{e9} \u{2028} \u{9b}".as_bytes(), "caf\u{e9} \u{2028} \u{9b}".as_bytes()),
            (b"\xff\"\\ \t caf\xc3\xa9", b"\\u00ff\\u0022\\u005c \\u0009 caf\\u00c3\\u00a9"),
            (b"caf\xc3", b"caf\\u00c3"),
        ];
        for (value, expected) in cases {
            let mut out = [b"\"keep\n".as_slice(), value].concat();
            json(&mut out, 6);
            assert_eq!(out.get(6..), Some(*expected), "{value:?}");
            assert_eq!(out.get(..6), Some(b"\"keep\n".as_slice()));
        }
    }

    #[test]
    fn text_keeps_everything_but_control_characters() {
        let mut out = b"\n\x1b[31m\r\n\ta\x00\x7f\xff\xc3\xa9\"".to_vec();
        text(&mut out, 1);
        assert_eq!(out, b"\n\\x1b[31m\\x0d\\x0a\ta\\x00\\x7f\xff\xc3\xa9\"");
    }

    #[test]
    fn plain_bytes_are_told_from_others_at_every_place() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let mut value = vec![b'~'; length];
                    value[place] = byte;
                    let expected = (b' '..0x80).contains(&byte) && byte != b'"' && byte != b'\\';
                    assert_eq!(is_plain(&value), expected, "{byte} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn every_byte_makes_valid_json_of_one_line() {
        for first in 0..=255_u8 {
            for second in [0, b'\n', b'"', b'\\', 0x1b, 0x80, 0xc3, 0xa9, b'a'] {
                let mut out = vec![b'"', first, second];
                json(&mut out, 1);
                out.push(b'"');
                let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
                assert!(value.is_string());
                assert!(!out.contains(&b'\n') && !out.contains(&0x1b));
            }
        }
    }
}
