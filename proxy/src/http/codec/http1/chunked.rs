//! The chunked coding (RFC 9112 §7.1), byte by byte and without recursion. Strict: CRLF everywhere, hex
//! digits only, extensions are limited and dropped, trailers are limited.

use outrigger_policy::head::{Headers, is_token_byte, is_value_byte};

use super::error::HeadError;

/// Bytes of all extensions of one body; they carry nothing for us.
const EXTENSIONS_LIMIT: u32 = 1024;
/// Digits of a chunk size: 16 is all of a u64, leading zeros included.
const SIZE_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Digits of a size, so many read.
    Size(u8),
    /// White space after the size: `5 \r\n` is seen in the wild.
    AfterSize,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line or the empty line.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// Decodes one chunked body.
#[derive(Debug)]
pub(super) struct ChunkedDecoder {
    state: State,
    /// Of the current chunk, bytes still to come.
    remaining: u64,
    extensions: u32,
    line: Vec<u8>,
    trailers: Headers,
    trailer_limit: usize,
}

/// What a step found at the start of its input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All input was framing; more is needed.
    NeedMore,
    /// After `skip` bytes of framing stand `data` bytes of body.
    Data { skip: usize, data: usize },
    /// The body ended after so many bytes.
    End { skip: usize },
}

impl ChunkedDecoder {
    /// Trailers may have `trailer_limit` bytes in all.
    pub(super) fn new(trailer_limit: usize) -> Self {
        Self {
            state: State::Size(0),
            remaining: 0,
            extensions: 0,
            line: Vec::new(),
            trailers: Headers::new(),
            trailer_limit,
        }
    }

    /// The trailers of a body that ended.
    pub(super) fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }

    /// Consumes framing at the start of `input` up to data, the end, or the end of the input.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, HeadError> {
        if self.state == State::End {
            return Ok(Step::End { skip: 0 });
        }
        for (index, &byte) in input.iter().enumerate() {
            if self.state == State::Data {
                let there = input.len() - index;
                let data = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(there);
                self.remaining -= data as u64;
                if self.remaining == 0 {
                    // Data of a chunk that is not ended as it should be goes nowhere, if that can be seen already.
                    let rest = input.get(index + data..).unwrap_or_default();
                    if !rest.iter().zip(b"\r\n").all(|(byte, wanted)| byte == wanted) {
                        return Err(HeadError::Body);
                    }
                    self.state = State::DataCr;
                }
                return Ok(Step::Data { skip: index, data });
            }
            self.state = self.next(byte)?;
            if self.state == State::End {
                return Ok(Step::End { skip: index + 1 });
            }
        }
        Ok(Step::NeedMore)
    }

    fn next(&mut self, byte: u8) -> Result<State, HeadError> {
        let state = match (self.state, byte) {
            (State::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < SIZE_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.remaining = (self.remaining << 4) | u64::from(digit);
                State::Size(digits + 1)
            }
            (State::Size(1..), b' ' | b'\t') | (State::AfterSize, b' ' | b'\t') => State::AfterSize,
            (State::Size(1..) | State::AfterSize, b';') => State::Extension,
            (State::Size(1..) | State::AfterSize | State::Extension, b'\r') => State::SizeLf,
            (State::Extension, byte) if is_value_byte(byte) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS_LIMIT {
                    return Err(HeadError::Body);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') if self.remaining == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::Trailer, byte) if byte != b'\r' && byte != b'\n' => {
                if self.line.len() + self.trailers.byte_size() >= self.trailer_limit {
                    return Err(HeadError::TooLarge);
                }
                self.line.push(byte);
                State::Trailer
            }
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => {
                self.finish_trailer()?;
                State::TrailerStart
            }
            (State::EndLf, b'\n') => State::End,
            _ => return Err(HeadError::Body),
        };
        Ok(state)
    }

    fn finish_trailer(&mut self) -> Result<(), HeadError> {
        let colon = memchr::memchr(b':', &self.line).ok_or(HeadError::Body)?;
        let (name, value) = self.line.split_at_checked(colon).ok_or(HeadError::Body)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let valid = !name.is_empty()
            && name.iter().all(|b| is_token_byte(*b))
            && value.iter().all(|b| is_value_byte(*b));
        if !valid || self.trailers.len() >= 100 {
            return Err(HeadError::Body);
        }
        self.trailers.append(name, value);
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` given in pieces of `piece` bytes.
    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, Headers, usize), HeadError> {
        let mut decoder = ChunkedDecoder::new(8192);
        let (mut body, mut used) = (Vec::new(), 0);
        for bytes in input.chunks(piece) {
            let mut at = 0;
            while at < bytes.len() {
                match decoder.step(&bytes[at..])? {
                    Step::NeedMore => at = bytes.len(),
                    Step::Data { skip, data } => {
                        body.extend_from_slice(&bytes[at + skip..at + skip + data]);
                        at += skip + data;
                    }
                    Step::End { skip } => {
                        return Ok((body, decoder.take_trailers(), used + at + skip));
                    }
                }
            }
            used += bytes.len();
        }
        Ok((body, Headers::new(), used))
    }

    #[test]
    fn chunks_and_trailers_in_any_pieces() {
        let input = b"5\r\nhello\r\n0006;a=\"b c\"\r\n world\r\n0\r\nX-T: 1\r\nx-u:2\r\n\r\nGET";
        for piece in 1..=input.len() {
            let (body, trailers, used) = decode(input, piece).unwrap();
            assert_eq!(body, b"hello world");
            assert_eq!(trailers.len(), 2);
            assert_eq!(used, input.len() - 3, "the next request is not touched");
        }
    }

    #[test]
    fn every_other_form_is_refused() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(2000));
        for input in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "+5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "1_0\r\nhello\r\n",
            "\r\nhello",
            ";a\r\n",
            "11111111111111111\r\n",
            "5\rhello",
            "5;a\nb\r\nhello\r\n",
            "0\r\n\n",
            "0\r\n\r ",
            "0\r\n bad: x\r\n\r\n",
            "0\r\nbad\r\n\r\n",
            "0\r\na: b\n\r\n",
            "5;\x00\r\nhello\r\n",
            &long,
        ] {
            assert!(decode(input.as_bytes(), 3).is_err(), "{input:?}");
        }
    }

    #[test]
    fn trailers_are_limited() {
        let line = format!("0\r\nx: {}\r\n\r\n", "v".repeat(9000));
        assert_eq!(decode(line.as_bytes(), 100).unwrap_err(), HeadError::TooLarge);
    }
}
