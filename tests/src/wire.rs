//! HTTP/1 messages as they stood on the wire: the harness' own small parser.
//!
//! It is lenient and keeps everything (case of names, repeated lines, odd values), because what it reads
//! is the observation. The raw client and the recording upstream use it; a buffer is parsed again from
//! its start whenever more has arrived. No connection logic and no opinion about validity here.

/// A start line and the header lines in their order, each split at the first colon and trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub start: Vec<u8>,
    pub lines: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head {
    /// The first value of a header, its name compared without case.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.lines.iter();
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v.as_slice())
    }

    fn mentions(&self, name: &str, token: &str) -> bool {
        self.value(name).is_some_and(|v| {
            v.to_ascii_lowercase().windows(token.len()).any(|w| w == token.as_bytes())
        })
    }

    pub fn closes(&self) -> bool {
        self.mentions("connection", "close") || self.start.starts_with(b"HTTP/1.0")
    }

    /// The status of a response's start line, 0 when it has none.
    pub fn status(&self) -> u16 {
        let code = self.start.split(|b| *b == b' ').nth(1).unwrap_or_default();
        str::from_utf8(code).ok().and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    fn length(&self) -> Option<usize> {
        str::from_utf8(self.value("content-length")?).ok()?.parse().ok()
    }

    /// How the body of a request ends.
    pub fn request_framing(&self) -> Framing {
        if self.mentions("transfer-encoding", "chunked") {
            return Framing::Chunked;
        }
        Framing::Length(self.length().unwrap_or(0))
    }

    /// How the body of the response to a request of this method ends (RFC 9112 §6.3).
    pub fn response_framing(&self, method: &[u8]) -> Framing {
        match self.status() {
            101 => Framing::UntilClose,
            200..300 if method == b"CONNECT" => Framing::UntilClose,
            100..200 | 204 | 304 => Framing::Length(0),
            _ if method == b"HEAD" => Framing::Length(0),
            _ if self.mentions("transfer-encoding", "chunked") => Framing::Chunked,
            _ => self.length().map_or(Framing::UntilClose, Framing::Length),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// What there is of a body: `complete` tells whether its end was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub complete: bool,
}

/// The head at the start of `input` and the bytes after it; `None` until its empty line is there.
pub fn head(input: &[u8]) -> Option<(Head, &[u8])> {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = input.split_at_checked(end)?;
    let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let start = lines.next().unwrap_or_default().to_vec();
    Some((Head { start, lines: lines.map(field).collect() }, rest.get(4..)?))
}

fn field(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut parts = line.splitn(2, |b| *b == b':');
    let name = parts.next().unwrap_or_default().to_vec();
    (name, parts.next().unwrap_or_default().trim_ascii().to_vec())
}

/// As much of a body as `input` holds, and the bytes behind its end.
pub fn body(framing: Framing, input: &[u8]) -> (Body, &[u8]) {
    match framing {
        Framing::UntilClose => (Body { bytes: input.to_vec(), ..Body::default() }, &[]),
        Framing::Length(length) => match input.split_at_checked(length) {
            Some((bytes, rest)) => {
                (Body { bytes: bytes.to_vec(), complete: true, ..Body::default() }, rest)
            }
            None => (Body { bytes: input.to_vec(), ..Body::default() }, &[]),
        },
        Framing::Chunked => chunked(input),
    }
}

fn chunked(mut input: &[u8]) -> (Body, &[u8]) {
    let mut body = Body::default();
    while let Some((size, rest)) = line(input) {
        let digits = size.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let size = str::from_utf8(digits).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
        let Some(size) = size else { return (body, &[]) };
        input = rest;
        if size == 0 {
            return trailers(body, input);
        }
        let Some((data, rest)) = input.split_at_checked(size) else {
            body.bytes.extend_from_slice(input);
            return (body, &[]);
        };
        body.bytes.extend_from_slice(data);
        input = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    (body, &[])
}

fn trailers(mut body: Body, mut input: &[u8]) -> (Body, &[u8]) {
    while let Some((text, rest)) = line(input) {
        input = rest;
        if text.is_empty() {
            body.complete = true;
            break;
        }
        body.trailers.push(field(text));
    }
    (body, input)
}

/// One line without its end, and what follows it.
fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|b| *b == b'\n')?;
    let (text, rest) = input.split_at_checked(end)?;
    Some((text.strip_suffix(b"\r").unwrap_or(text), rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_its_lines_and_waits_for_its_end() {
        assert_eq!(head(b"GET / HTTP/1.1\r\nA: b\r\n"), None);
        let (head, rest) = head(b"GET / HTTP/1.1\r\nA: b:c\r\nA:d\r\n\r\nbody").unwrap();
        assert_eq!(head.start, b"GET / HTTP/1.1");
        assert_eq!(head.lines, [(b"A".to_vec(), b"b:c".to_vec()), (b"A".to_vec(), b"d".to_vec())]);
        assert_eq!(rest, b"body");
    }

    #[test]
    fn the_end_of_a_body_is_found_by_its_framing() {
        type Row<'a> = (Framing, &'a [u8], &'a [u8], bool, &'a [u8]);
        let cases: [Row<'_>; 6] = [
            (Framing::Length(2), b"abGET", b"ab", true, b"GET"),
            (Framing::Length(4), b"ab", b"ab", false, b""),
            (Framing::Chunked, b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET", b"abc", true, b"GET"),
            (Framing::Chunked, b"5\r\nab", b"ab", false, b""),
            (Framing::Chunked, b"0\r\nt: 1\r\n", b"", false, b""),
            (Framing::UntilClose, b"ab", b"ab", false, b""),
        ];
        for (framing, input, bytes, complete, rest) in cases {
            let (body, left) = body(framing, input);
            assert_eq!(
                (body.bytes.as_slice(), body.complete, left),
                (bytes, complete, rest),
                "{framing:?}"
            );
        }
    }

    #[test]
    fn trailers_are_kept_apart() {
        let (body, rest) = body(Framing::Chunked, b"1\r\na\r\n0\r\nt: 1\r\n\r\nx");
        assert_eq!(body.trailers, [(b"t".to_vec(), b"1".to_vec())]);
        assert_eq!(rest, b"x");
    }

    #[test]
    fn responses_without_a_body_are_known_by_method_and_status() {
        let framing = |start: &str, method: &[u8]| {
            let (head, _) =
                head(format!("HTTP/1.1 {start}\r\ncontent-length: 5\r\n\r\n").as_bytes()).unwrap();
            head.response_framing(method)
        };
        assert_eq!(framing("200 OK", b"GET"), Framing::Length(5));
        assert_eq!(framing("200 OK", b"HEAD"), Framing::Length(0));
        assert_eq!(framing("304 Not Modified", b"GET"), Framing::Length(0));
        assert_eq!(framing("101 Switching Protocols", b"GET"), Framing::UntilClose);
        assert_eq!(framing("200 OK", b"CONNECT"), Framing::UntilClose);
    }
}
