//! The bytes of HTTP/2 frames, both ways, as far as cases need them.
//!
//! Header blocks are written as literals without indexing (RFC 7541 §6.2.2), so any bytes can be sent.
//! Of a response's head only an indexed `:status` is read: the access log shows the rest.

use crate::text;

/// Frame types (RFC 9113 §6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// One frame (RFC 9113 §4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // Frames of a case are far below 16 MiB, so the first byte of the length is dropped safely.
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut out = length.into_iter().skip(1).collect::<Vec<u8>>();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A header block of literals, from `name: value` lines; a name may begin with a colon.
pub(super) fn block(fields: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        let colon =
            field.char_indices().skip(1).find(|(_, c)| *c == ':').map_or(field.len(), |(at, _)| at);
        let (name, value) = field.split_at_checked(colon).unwrap_or((field, ""));
        let value = value.strip_prefix(':').unwrap_or(value);
        let value = value.strip_prefix(' ').unwrap_or(value);
        out.push(0);
        for part in [text::bytes(name), text::bytes(&text::repeat(value))] {
            length(part.len(), &mut out);
            out.extend(part);
        }
    }
    out
}

/// An HPACK integer with a 7-bit prefix (RFC 7541 §5.1).
fn length(mut value: usize, out: &mut Vec<u8>) {
    const PREFIX: usize = 127;
    if value < PREFIX {
        out.push(u8::try_from(value).unwrap_or(0));
        return;
    }
    out.push(127);
    value -= PREFIX;
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap_or(0) | 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// The frames that a case is about, one line each; connection upkeep is left out.
pub(super) fn list(mut bytes: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    while let Some((&[l0, l1, l2, kind, flags, ref stream @ ..], rest)) =
        bytes.split_first_chunk::<9>()
    {
        let Some((payload, rest)) =
            rest.split_at_checked(u32::from_be_bytes([0, l0, l1, l2]) as usize)
        else {
            break;
        };
        bytes = rest;
        let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
        let end = if flags & END_STREAM == 0 { "" } else { " end" };
        let line = match kind {
            // How a body is cut into frames is no concern of a case.
            DATA => {
                match all.pop_if(|last: &mut String| last.starts_with(&format!("DATA {stream} "))) {
                    Some(last) => format!("{last}{}{end}", text::show(payload)),
                    None => format!("DATA {stream} {}{end}", text::show(payload)),
                }
            }
            HEADERS => format!("HEADERS {stream}{}{end}", status(payload)),
            RST_STREAM => format!("RST_STREAM {stream} {}", code(payload)),
            GOAWAY => format!("GOAWAY {}", code(payload.get(4..).unwrap_or_default())),
            _ => continue,
        };
        all.push(line);
    }
    all
}

fn code(payload: &[u8]) -> String {
    let code = payload.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    format!("{:?}", h2::Reason::from(code))
}

/// The status, when it is one of the seven of the static table (RFC 7541 appendix A).
fn status(block: &[u8]) -> &'static str {
    match behind_size_update(block).first().copied().unwrap_or(0) {
        0x88 => " 200",
        0x89 => " 204",
        0x8a => " 206",
        0x8b => " 304",
        0x8c => " 400",
        0x8d => " 404",
        0x8e => " 500",
        _ => "",
    }
}

/// A change of the table's size may come before the fields (RFC 7541 §6.3).
fn behind_size_update(block: &[u8]) -> &[u8] {
    match block {
        [first, rest @ ..] if first & 0xe0 == 0x20 && first & 0x1f == 0x1f => {
            let last = rest.iter().position(|byte| byte & 0x80 == 0);
            last.and_then(|at| rest.get(at + 1..)).unwrap_or_default()
        }
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        _ => block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_block_is_literal_and_keeps_odd_bytes() {
        let fields = [":path: /a b".to_owned(), "X-A:".to_owned()];
        assert_eq!(block(&fields), b"\0\x05:path\x04/a b\0\x03X-A\0");
        let mut long = Vec::new();
        length(1337, &mut long);
        assert_eq!(long, [127, 186, 9]);
    }

    #[test]
    fn frames_that_came_back_are_listed_without_upkeep() {
        let mut bytes = frame(SETTINGS, 0, 0, &[]);
        bytes.extend(frame(HEADERS, END_HEADERS, 1, &[0x88]));
        bytes.extend(frame(DATA, 0, 1, b"o"));
        bytes.extend(frame(DATA, END_STREAM, 1, b"k"));
        bytes.extend(frame(RST_STREAM, 0, 3, &1u32.to_be_bytes()));
        bytes.extend(frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]));
        let expected = [
            "HEADERS 1 200",
            "DATA 1 ok end",
            "RST_STREAM 3 PROTOCOL_ERROR",
            "GOAWAY ENHANCE_YOUR_CALM",
        ];
        assert_eq!(list(&bytes), expected);
    }

    #[test]
    fn a_status_is_found_behind_a_change_of_the_tables_size() {
        for block in [&[0x8d][..], &[0x20, 0x8d], &[0x3f, 0xe1, 0x1f, 0x8d]] {
            assert_eq!(status(block), " 404");
        }
    }
}
