//! HTTP/1 from an upstream: what it answers ends in one place, wherever its bytes are cut.
//!
//! A connection is read here as the proxy's upstream end reads it, by the codec's own functions, once as the answer to a GET and once
//! as the answer to a HEAD. What is checked: the split into reads changes nothing; no line that was accepted can be taken for two; a
//! response has one length, which its lines say; and a response that we write is read as itself.

use outrigger::http::codec::http1::encode;
use outrigger::http::codec::http1::{
    BodyDecoder, BodyLength, Decoded, HeadError, HeadScan, ParsedResponse, head_end, parse_response,
};
use outrigger_policy::head::{Headers, Id, Protocol, is_token_byte, is_value_byte};

use crate::split::splits;

/// Bytes of a head: few, so that the limit is met.
const HEAD_LIMIT: usize = 2048;

/// Lines of a head, likewise.
const LINES: usize = 16;

/// `data` is what an upstream sends on a connection before it closes.
pub fn http1_response(data: &[u8]) {
    for is_head_request in [false, true] {
        let [whole, others @ ..] = splits(data).map(|pieces| Reading::of(&pieces, is_head_request));
        for other in others {
            assert_eq!(whole, other, "the split decides");
        }
    }
}

/// What was read from a connection.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    responses: Vec<Read>,
    error: Option<HeadError>,
}

/// A response, as far as it came.
#[derive(Debug, PartialEq)]
struct Read {
    status: u16,
    lines: Lines,
    length: BodyLength,
    keep_alive: bool,
    body: Vec<u8>,
    trailers: Lines,
    is_complete: bool,
}

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

impl Reading {
    fn of(pieces: &[&[u8]], is_head_request: bool) -> Self {
        let mut reading = Self::default();
        let (mut input, mut scan) = (Vec::new(), HeadScan::default());
        let mut decoder = BodyDecoder::default();
        for piece in pieces {
            input.extend_from_slice(piece);
            let read = reading.advance(&mut input, &mut scan, &mut decoder, is_head_request);
            if let Err(error) = read {
                reading.error = Some(error);
                break;
            }
        }
        if reading.error.is_none() {
            reading.end_of_input(&mut decoder);
        }
        // How much of a body is passed on before its framing breaks is free: the response fails either way.
        if reading.error.is_some()
            && let Some(read) = reading.responses.last_mut().filter(|read| !read.is_complete)
        {
            read.body.clear();
        }
        reading
    }

    /// Reads as many responses as `input` holds; none behind one that ends the connection.
    fn advance(
        &mut self,
        input: &mut Vec<u8>,
        scan: &mut HeadScan,
        decoder: &mut BodyDecoder,
        is_head_request: bool,
    ) -> Result<(), HeadError> {
        loop {
            if let Some(read) = self.responses.last_mut() {
                if !read.is_complete {
                    read.take_body(input, decoder)?;
                }
                if !read.is_complete || !read.keep_alive {
                    return Ok(());
                }
            }
            let Some(length) = head_end(input, scan, HEAD_LIMIT)? else { return Ok(()) };
            assert!(length <= HEAD_LIMIT.min(input.len()));
            *scan = HeadScan::default();
            let text: Vec<u8> = input.drain(..length).collect();
            let response = parse_response(&text, LINES, is_head_request, Headers::new())?;
            check(&text, &response, is_head_request);
            check_again(&response, is_head_request);
            *decoder = BodyDecoder::new(response.body);
            self.responses.push(Read {
                status: response.head.status,
                lines: lines(&response.head.headers),
                length: response.body,
                keep_alive: response.keep_alive,
                body: Vec::new(),
                trailers: Lines::new(),
                is_complete: false,
            });
        }
    }

    /// The upstream has closed: the end of one kind of body, and a cut through the others.
    fn end_of_input(&mut self, decoder: &mut BodyDecoder) {
        let Some(read) = self.responses.last_mut().filter(|read| !read.is_complete) else { return };
        let end = decoder.end_of_input();
        assert_eq!(end.is_ok(), read.length == BodyLength::UntilClose, "{read:?}");
        read.is_complete = end.is_ok();
        self.error = end.err();
    }
}

impl Read {
    fn take_body(
        &mut self,
        input: &mut Vec<u8>,
        decoder: &mut BodyDecoder,
    ) -> Result<(), HeadError> {
        loop {
            match decoder.decode(input)? {
                Decoded::NeedMore => {
                    input.clear();
                    return Ok(());
                }
                Decoded::Data { skip, len } => {
                    assert!(len > 0 && skip + len <= input.len());
                    self.body.extend(input.drain(..skip + len).skip(skip));
                }
                Decoded::End { skip, trailers } => {
                    input.drain(..skip);
                    self.trailers = trailers.as_ref().map(lines).unwrap_or_default();
                    check_lines(&self.trailers);
                    match self.length {
                        BodyLength::Exact(length) => assert_eq!(length, self.body.len() as u64),
                        BodyLength::Chunked => {}
                        BodyLength::UntilClose => panic!("it ended before the connection did"),
                    }
                    self.is_complete = true;
                    return Ok(());
                }
            }
        }
    }
}

/// What holds of every head that is accepted. `text` is the head as it came.
fn check(text: &[u8], response: &ParsedResponse, is_head_request: bool) {
    let (status, headers) = (response.head.status, &response.head.headers);
    let shown = text.escape_ascii();
    assert!((100..=999).contains(&status), "{shown}");
    check_lines(&lines(headers));

    // Split naively, the head has the lines that we found: none of ours holds two of theirs.
    let naive: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let is_length = |line: &&&[u8]| line.to_ascii_lowercase().starts_with(b"content-length:");
    let never_has_body = matches!(status, 100..=199 | 204);
    let dropped = if never_has_body { naive.iter().filter(is_length).count() } else { 0 };
    assert_eq!(naive.len(), headers.len() + dropped + 3, "{shown}");
    assert!(dropped <= 1, "{shown}");

    let lengths: Vec<_> = headers.get_all_id(Id::CONTENT_LENGTH).collect();
    let codings: Vec<_> = headers.get_all_id(Id::TRANSFER_ENCODING).collect();
    let declared = match (&lengths[..], &codings[..]) {
        ([], []) => BodyLength::UntilClose,
        ([length], []) => {
            assert!(length.iter().all(u8::is_ascii_digit), "{shown}");
            let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            BodyLength::Exact(length.unwrap_or_else(|| panic!("no number: {shown}")))
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked"), "{shown}");
            BodyLength::Chunked
        }
        _ => panic!("two lengths: {shown}"),
    };
    let has_no_body = is_head_request || never_has_body || status == 304;
    let expected = if has_no_body { BodyLength::Exact(0) } else { declared };
    assert_eq!(response.body, expected, "{shown}");
    if never_has_body {
        assert_eq!(declared, BodyLength::UntilClose, "a length of nothing: {shown}");
    }
    assert!(!response.keep_alive || response.body != BodyLength::UntilClose, "{shown}");
}

fn check_lines(lines: &Lines) {
    for (name, value) in lines {
        assert!(!name.is_empty() && name.iter().all(|byte| is_token_byte(*byte)));
        assert!(!name.iter().any(u8::is_ascii_uppercase));
        assert!(value.iter().all(|byte| is_value_byte(*byte)), "{}", value.escape_ascii());
        assert_eq!(value.trim_ascii(), value, "a value has no white space around it");
    }
}

/// What a client reads of this response is what we read of it.
fn check_again(response: &ParsedResponse, is_head_request: bool) {
    let mut text = Vec::new();
    encode::response_head(&mut text, Protocol::Http11, &response.head, &[]);
    let shown = text.escape_ascii();
    let end = head_end(&text, &mut HeadScan::default(), 2 * HEAD_LIMIT);
    assert_eq!(end, Ok(Some(text.len())), "{shown}");
    let again = parse_response(&text, LINES, is_head_request, Headers::new());
    let read = |read: &ParsedResponse| (read.head.status, lines(&read.head.headers), read.body);
    assert_eq!(again.as_ref().map(read), Ok(read(response)), "{shown}");
}

fn lines(headers: &Headers) -> Lines {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
