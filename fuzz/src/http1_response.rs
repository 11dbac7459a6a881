//! HTTP/1 from an upstream, which may be as hostile as a client: every answer has one length, and a client reads of it what we have read.
//!
//! The first byte of the input says which of the first eight requests were HEAD; the rest is what the upstream sends. Answers are read by the codec's own functions, one after
//! the other, as long as the connection can be used again.

use outrigger::http::codec::http1::encode;
use outrigger::http::codec::http1::{
    BodyDecoder, BodyLength, HeadError, HeadScan, ParsedResponse, head_end, parse_response,
};
use outrigger_policy::head::{Headers, Id, Protocol};

use crate::http1::{Lines, check_lines, lines, take_body};
use crate::split::splits;

/// Bytes of a head: few, so that the limit is met.
const HEAD_LIMIT: usize = 2048;
/// Lines of a head, likewise.
const LINES: usize = 16;

/// `data` is what an upstream sends on a connection, after a byte that says what it was asked.
pub fn http1_response(data: &[u8]) {
    let Some((heads, data)) = data.split_first() else { return };
    let [whole, others @ ..] = splits(data).map(|pieces| Reading::of(*heads, &pieces));
    for other in others {
        assert_eq!(whole, other, "the split decides");
    }
}

/// What was read from a connection.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    answers: Vec<Answer>,
    /// Requests that have their last answer.
    asked: usize,
    error: Option<HeadError>,
    /// Nothing may follow on this connection.
    is_over: bool,
}

/// An answer, as far as it came.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    lines: Lines,
    length: BodyLength,
    keep_alive: bool,
    body: Vec<u8>,
    trailers: Lines,
    is_complete: bool,
}

impl Reading {
    fn of(heads: u8, pieces: &[&[u8]]) -> Self {
        let mut reading = Self::default();
        let (mut input, mut scan) = (Vec::new(), HeadScan::default());
        let mut decoder = BodyDecoder::default();
        for piece in pieces {
            input.extend_from_slice(piece);
            if let Err(error) = reading.advance(heads, &mut input, &mut scan, &mut decoder) {
                reading.error = Some(error);
            }
            if reading.error.is_some() || reading.is_over {
                break;
            }
        }
        reading.close(&mut decoder);
        reading
    }

    /// Reads as many answers as `input` holds.
    fn advance(
        &mut self,
        heads: u8,
        input: &mut Vec<u8>,
        scan: &mut HeadScan,
        decoder: &mut BodyDecoder,
    ) -> Result<(), HeadError> {
        loop {
            if let Some(answer) = self.answers.last_mut().filter(|answer| !answer.is_complete) {
                let trailers = take_body(input, decoder, answer.length, &mut answer.body)?;
                let Some(trailers) = trailers else { return Ok(()) };
                answer.trailers = trailers;
                answer.is_complete = true;
                self.asked += usize::from(answer.status >= 200);
                self.is_over = !answer.keep_alive && answer.status >= 200;
            }
            if self.is_over {
                return Ok(());
            }
            let Some(length) = head_end(input, scan, HEAD_LIMIT)? else { return Ok(()) };
            assert!(length <= HEAD_LIMIT.min(input.len()));
            *scan = HeadScan::default();
            let text: Vec<u8> = input.drain(..length).collect();
            let is_head = self.asked < 8 && heads & (1 << self.asked) != 0;
            let response = parse_response(&text, LINES, is_head, Headers::new())?;
            check(&text, &response, is_head);
            check_again(&response, is_head);
            *decoder = BodyDecoder::new(response.body);
            self.answers.push(Answer {
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

    /// The upstream ends the connection.
    fn close(&mut self, decoder: &mut BodyDecoder) {
        let Some(answer) = self.answers.last_mut().filter(|answer| !answer.is_complete) else {
            return;
        };
        // How much of a body is passed on before its framing breaks is free: the answer fails either way.
        if self.error.is_some() || decoder.end_of_input().is_err() {
            answer.body.clear();
        } else {
            assert_eq!(
                answer.length,
                BodyLength::UntilClose,
                "only such a body ends with its connection"
            );
            answer.is_complete = true;
        }
    }
}

/// What holds of every head that is accepted. `text` is the head as it came.
fn check(text: &[u8], response: &ParsedResponse, is_head: bool) {
    let (head, shown) = (&response.head, text.escape_ascii());
    assert!((100..=999).contains(&head.status), "{shown}");
    check_lines(&lines(&head.headers));

    // Split naively, the head has the lines that we found: none of ours holds two of theirs. A length that means nothing is taken out.
    let naive = text.split(|byte| *byte == b'\n').count();
    let has_no_length = matches!(head.status, 100..=199 | 204);
    let lost = naive - 3 - head.headers.len();
    assert!(lost <= usize::from(has_no_length), "{shown}");

    let lengths = head.headers.get_all_id(Id::CONTENT_LENGTH).count();
    let codings = head.headers.get_all_id(Id::TRANSFER_ENCODING).count();
    assert!(lengths + codings <= 1, "{shown}");
    let is_empty = is_head || has_no_length || head.status == 304;
    match response.body {
        BodyLength::Exact(0) => assert!(is_empty || lengths == 1, "{shown}"),
        BodyLength::Exact(_) => assert!(!is_empty && lengths == 1, "{shown}"),
        BodyLength::Chunked => assert!(!is_empty && codings == 1, "{shown}"),
        BodyLength::UntilClose => {
            assert!(!is_empty && lengths + codings == 0 && !response.keep_alive, "{shown}");
        }
    }
    assert!(!has_no_length || lengths + codings == 0, "{shown}");
}

/// What a client reads of this answer is what we read of it.
fn check_again(response: &ParsedResponse, is_head: bool) {
    let mut text = Vec::new();
    encode::response_head(&mut text, Protocol::Http11, &response.head, &[]);
    let end = head_end(&text, &mut HeadScan::default(), 2 * HEAD_LIMIT);
    assert_eq!(end, Ok(Some(text.len())), "{}", text.escape_ascii());
    let again = parse_response(&text, LINES, is_head, Headers::new());
    let again = again.map(|again| (again.head.status, lines(&again.head.headers), again.body));
    let head = &response.head;
    let expected = (head.status, lines(&head.headers), response.body);
    assert_eq!(again, Ok(expected), "{}", text.escape_ascii());
}
