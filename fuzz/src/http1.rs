//! HTTP/1 from a client: the bytes mean one thing, and mean it again when we have written them.
//!
//! A connection is read here as the proxy's reads it, by the codec's own functions. What is checked: the split into reads changes
//! nothing; no line that was accepted can be taken for two; a request has one length; and a request that we write is read as itself.

use outrigger::http::codec::http1::encode;
use outrigger::http::codec::http1::{
    BodyDecoder, BodyLength, Decoded, HeadError, HeadScan, ParsedRequest, RequestLimits, head_end,
    is_host, parse_request,
};
use outrigger_policy::head::{Headers, Id, RequestHead, is_token_byte, is_value_byte};

use crate::split::splits;

/// Bytes of a head: few, so that the limit is met.
const HEAD_LIMIT: usize = 2048;

/// `data` is what a client sends on a connection.
pub fn http1(data: &[u8]) {
    for accept_http_10 in [false, true] {
        let limits = RequestLimits { max_headers: 16, accept_http_10, is_tls: false };
        let [whole, others @ ..] = splits(data).map(|pieces| Reading::of(&pieces, limits));
        for other in others {
            assert_eq!(whole, other, "the split decides");
        }
    }
}

/// What was read from a connection.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    requests: Vec<Read>,
    error: Option<HeadError>,
}

/// A request, as far as it came.
#[derive(Debug, PartialEq)]
struct Read {
    head: Head,
    length: BodyLength,
    keep_alive: bool,
    expects_continue: bool,
    body: Vec<u8>,
    trailers: Lines,
    is_complete: bool,
}

pub(crate) type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// What a head says, wherever it lies in memory.
#[derive(Debug, PartialEq)]
struct Head {
    method: Vec<u8>,
    authority: Option<Vec<u8>>,
    path: Vec<u8>,
    lines: Lines,
}

impl Head {
    fn of(head: &RequestHead) -> Self {
        Self {
            method: head.method().to_vec(),
            authority: head.authority().map(<[u8]>::to_vec),
            path: head.path().to_vec(),
            lines: lines(&head.headers),
        }
    }
}

impl Reading {
    fn of(pieces: &[&[u8]], limits: RequestLimits) -> Self {
        let mut reading = Self::default();
        let (mut input, mut scan) = (Vec::new(), HeadScan::default());
        let mut decoder = BodyDecoder::default();
        for piece in pieces {
            input.extend_from_slice(piece);
            if let Err(error) = reading.advance(&mut input, &mut scan, &mut decoder, limits) {
                reading.error = Some(error);
                break;
            }
        }
        // How much of a body is passed on before its framing breaks is free: the request fails either way.
        if reading.error.is_some()
            && let Some(read) = reading.requests.last_mut().filter(|read| !read.is_complete)
        {
            read.body.clear();
        }
        reading
    }

    /// Reads as many requests as `input` holds.
    fn advance(
        &mut self,
        input: &mut Vec<u8>,
        scan: &mut HeadScan,
        decoder: &mut BodyDecoder,
        limits: RequestLimits,
    ) -> Result<(), HeadError> {
        loop {
            if let Some(read) = self.requests.last_mut().filter(|read| !read.is_complete) {
                read.take_body(input, decoder)?;
                if !read.is_complete {
                    return Ok(());
                }
            }
            while input.starts_with(b"\r\n") {
                input.drain(..2);
                *scan = HeadScan::default();
            }
            let Some(length) = head_end(input, scan, HEAD_LIMIT)? else { return Ok(()) };
            assert!(length <= HEAD_LIMIT.min(input.len()));
            *scan = HeadScan::default();
            let text: Vec<u8> = input.drain(..length).collect();
            let request = parse_request(&text, limits, Headers::new())?;
            check(&text, &request);
            check_again(&request, limits);
            *decoder = BodyDecoder::new(request.body);
            self.requests.push(Read {
                head: Head::of(&request.head),
                length: request.body,
                keep_alive: request.keep_alive,
                expects_continue: request.expects_continue,
                body: Vec::new(),
                trailers: Lines::new(),
                is_complete: false,
            });
        }
    }
}

impl Read {
    fn take_body(
        &mut self,
        input: &mut Vec<u8>,
        decoder: &mut BodyDecoder,
    ) -> Result<(), HeadError> {
        if let Some(trailers) = take_body(input, decoder, self.length, &mut self.body)? {
            self.trailers = trailers;
            self.is_complete = true;
        }
        Ok(())
    }
}

/// Moves what is there of a body; its trailers, once it is whole.
pub(crate) fn take_body(
    input: &mut Vec<u8>,
    decoder: &mut BodyDecoder,
    length: BodyLength,
    body: &mut Vec<u8>,
) -> Result<Option<Lines>, HeadError> {
    loop {
        match decoder.decode(input)? {
            Decoded::NeedMore => {
                input.clear();
                return Ok(None);
            }
            Decoded::Data { skip, len } => {
                assert!(len > 0 && skip + len <= input.len());
                body.extend(input.drain(..skip + len).skip(skip));
            }
            Decoded::End { skip, trailers } => {
                input.drain(..skip);
                let trailers = trailers.as_ref().map(lines).unwrap_or_default();
                check_lines(&trailers);
                if let BodyLength::Exact(length) = length {
                    assert_eq!(length, body.len() as u64);
                }
                return Ok(Some(trailers));
            }
        }
    }
}

/// What holds of every head that is accepted. `text` is the head as it came.
fn check(text: &[u8], request: &ParsedRequest) {
    let head = &request.head;
    let shown = text.escape_ascii();
    assert!(head.method().iter().all(|b| b.is_ascii_uppercase() || *b == b'-'), "{shown}");
    assert!(head.path().iter().all(u8::is_ascii_graphic), "{shown}");
    assert!(head.authority().is_none_or(is_host), "{shown}");
    if head.path().is_empty() {
        assert_eq!(head.method(), b"CONNECT", "{shown}");
    }
    check_lines(&lines(&head.headers));

    // Split naively, the head has the lines that we found: none of ours holds two of theirs.
    let naive: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let hosts = naive.iter().filter(|line| line.to_ascii_lowercase().starts_with(b"host:")).count();
    assert_eq!(naive.len(), head.headers.len() + hosts + 3, "{shown}");
    assert!(hosts <= 1, "{shown}");

    let lengths = head.headers.get_all_id(Id::CONTENT_LENGTH).count();
    let codings = head.headers.get_all_id(Id::TRANSFER_ENCODING).count();
    match request.body {
        BodyLength::Exact(0) => assert!(lengths <= 1 && codings == 0, "{shown}"),
        BodyLength::Exact(_) => assert!(lengths == 1 && codings == 0, "{shown}"),
        BodyLength::Chunked => assert!(lengths == 0 && codings == 1, "{shown}"),
        BodyLength::UntilClose => assert_ne!(request.body, BodyLength::UntilClose, "{shown}"),
    }
}

/// What holds of header lines and trailers, of whatever message.
pub(crate) fn check_lines(lines: &Lines) {
    for (name, value) in lines {
        assert!(!name.is_empty() && name.iter().all(|byte| is_token_byte(*byte)));
        assert!(!name.iter().any(u8::is_ascii_uppercase));
        assert!(value.iter().all(|byte| is_value_byte(*byte)), "{}", value.escape_ascii());
        assert_eq!(value.trim_ascii(), value, "a value has no white space around it");
    }
}

/// What an upstream reads of this request is what we read of it.
fn check_again(request: &ParsedRequest, limits: RequestLimits) {
    let mut text = Vec::new();
    encode::request_head(&mut text, &request.head, &[]);
    let end = head_end(&text, &mut HeadScan::default(), 2 * HEAD_LIMIT);
    assert_eq!(end, Ok(Some(text.len())), "{}", text.escape_ascii());
    let again = parse_request(&text, limits, Headers::new());
    let again = again.map(|again| (Head::of(&again.head), again.body));
    assert_eq!(again, Ok((Head::of(&request.head), request.body)), "{}", text.escape_ascii());
}

/// Headers, wherever they lie in memory.
pub(crate) fn lines(headers: &Headers) -> Lines {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
