//! Heads and bodies of HTTP/1, from our types to bytes.
//!
//! Nothing is relayed: a head is written from [`RequestHead`] or [`ResponseHead`], whose bytes a codec has
//! validated, and a body is framed anew. Values that our own formatters made are checked where they are set
//! (`telemetry::access_log`), so no CR, LF or NUL can reach the buffer.

use outrigger_policy::head::{Headers, Protocol, RequestHead, ResponseHead, reason_phrase};

use super::framing::BodyLength;

/// Room for what stands beside the header lines of a head, and for a small body: both go out in one piece, so memory is asked for once.
const ROOM: usize = 512;

/// Appends the head of a request. `authority` goes out as `host`, before all other lines.
pub fn request_head(out: &mut Vec<u8>, head: &RequestHead, extra: &[(&str, &[u8])]) {
    out.reserve(size(&head.headers) + head.path().len() + ROOM);
    out.extend_from_slice(head.method());
    out.push(b' ');
    match head.path() {
        b"" => out.extend_from_slice(head.authority().unwrap_or(b"/")),
        path => out.extend_from_slice(path),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = head.authority() {
        line(out, b"host", authority);
    }
    lines(out, &head.headers);
    for (name, value) in extra {
        line(out, name.as_bytes(), value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a response.
pub fn response_head(
    out: &mut Vec<u8>,
    version: Protocol,
    head: &ResponseHead,
    extra: &[(&str, &[u8])],
) {
    out.reserve(size(&head.headers) + ROOM);
    out.extend_from_slice(version.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(head.status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_phrase(head.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    lines(out, &head.headers);
    for (name, value) in extra {
        line(out, name.as_bytes(), value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a piece of a body in the framing of `length`.
pub fn data(out: &mut Vec<u8>, length: BodyLength, bytes: &[u8]) {
    if length == BodyLength::Chunked {
        if bytes.is_empty() {
            return;
        }
        hex(out, bytes.len());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(bytes);
    }
}

/// Appends the end of a body in the framing of `length`, with trailers if the framing has a place for them.
pub fn end(out: &mut Vec<u8>, length: BodyLength, trailers: Option<&Headers>) {
    if length == BodyLength::Chunked {
        out.extend_from_slice(b"0\r\n");
        if let Some(trailers) = trailers {
            lines(out, trailers);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Bytes that [`lines`] appends.
fn size(headers: &Headers) -> usize {
    headers.byte_size() + headers.len() * b": \r\n".len()
}

fn lines(out: &mut Vec<u8>, headers: &Headers) {
    for (name, value) in headers.iter() {
        line(out, name, value);
    }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = u32::try_from((number >> (digit * 4)) & 0xf).unwrap_or(0);
        out.push(char::from_digit(nibble, 16).map_or(b'0', |c| c as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_bodies() {
        let mut head = RequestHead::new(b"GET", b"a.com", b"/x");
        head.headers.append(b"A", b"1");
        let mut out = Vec::new();
        request_head(&mut out, &head, &[("transfer-encoding", b"chunked")]);
        for size in [0, 1, 16, 255, 4096] {
            data(&mut out, BodyLength::Chunked, &vec![b'x'; size]);
        }
        end(&mut out, BodyLength::Chunked, Some(&head.headers));
        let text = String::from_utf8(out).unwrap();
        let start = "GET /x HTTP/1.1\r\nhost: a.com\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n10\r\n";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("\r\nff\r\n") && text.contains("\r\n1000\r\n"));
        assert!(text.ends_with("\r\n0\r\na: 1\r\n\r\n"));
    }

    #[test]
    fn a_response_has_a_reason() {
        let mut out = Vec::new();
        let head = ResponseHead::new(503);
        response_head(&mut out, Protocol::Http11, &head, &[("content-length", b"0")]);
        assert_eq!(out, b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
        out.clear();
        data(&mut out, BodyLength::Exact(3), b"abc");
        end(&mut out, BodyLength::Exact(3), None);
        assert_eq!(out, b"abc");
    }
}
