//! The head of an HTTP/1 response, from bytes to [`ResponseHead`]. The upstream may be hostile too.

use std::mem::MaybeUninit;

use outrigger_policy::head::{Headers, Id, ResponseHead};

use super::error::HeadError;
use super::framing::{BodyLength, declared_length, keeps_alive};

const MAX_LINES: usize = 512;

/// A response whose head is complete.
#[derive(Debug)]
pub struct ParsedResponse {
    /// Status and lines; framing lines are still in it.
    pub head: ResponseHead,
    /// How the body is delimited.
    pub body: BodyLength,
    /// Whether the connection can be used again.
    pub keep_alive: bool,
}

/// Parses a complete head. `is_head_request`: the request was a HEAD, so no body follows.
///
/// # Errors
/// For all that is not a response of HTTP/1.0 or 1.1 with one way to read its length.
pub fn parse_response(
    bytes: &[u8],
    max_headers: usize,
    is_head_request: bool,
    mut spare: Headers,
) -> Result<ParsedResponse, HeadError> {
    // The parser would skip empty lines; only a server may, before a request (RFC 9112 §2.2).
    if !bytes.starts_with(b"HTTP/") {
        return Err(HeadError::Malformed);
    }
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let room = lines.get_mut(..MAX_LINES.min(max_headers)).unwrap_or_default();
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        room,
    );
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(HeadError::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
        Err(_) => return Err(HeadError::Malformed),
    }
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Err(HeadError::Malformed);
    };
    if !(100..=999).contains(&status) {
        return Err(HeadError::Malformed);
    }
    spare.clear();
    let mut head = ResponseHead { status, headers: spare };
    for line in response.headers.iter() {
        head.headers.append(line.name.as_bytes(), line.value);
    }
    let keep_alive = keeps_alive(&head.headers, version == 0);
    // Also where no body follows: who reads the lines behind us may not know what was asked.
    let declared = declared_length(&head.headers)?;
    if matches!(status, 100..=199 | 204) {
        // These never have a body, so no length either (RFC 9110 §8.6, RFC 9112 §6.1); zero does no harm and is not passed on.
        match declared {
            None => {}
            Some(BodyLength::Exact(0)) => {
                head.headers.remove(Id::CONTENT_LENGTH);
            }
            Some(BodyLength::Exact(_)) => return Err(HeadError::ContentLength),
            Some(BodyLength::Chunked | BodyLength::UntilClose) => {
                return Err(HeadError::TransferEncoding);
            }
        }
    }
    let body = if is_head_request || matches!(status, 100..=199 | 204 | 304) {
        BodyLength::Exact(0)
    } else {
        declared.unwrap_or(BodyLength::UntilClose)
    };
    Ok(ParsedResponse { head, body, keep_alive: keep_alive && body != BodyLength::UntilClose })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, is_head: bool) -> Result<ParsedResponse, HeadError> {
        parse_response(text.as_bytes(), 100, is_head, Headers::new())
    }

    #[test]
    fn length_follows_status_and_headers() {
        for (text, is_head, body) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", false, BodyLength::Exact(5)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true, BodyLength::Exact(0)),
            ("HTTP/1.1 304 \r\ncontent-length: 5\r\n\r\n", false, BodyLength::Exact(0)),
            ("HTTP/1.1 204\r\n\r\n", false, BodyLength::Exact(0)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false, BodyLength::Chunked),
            ("HTTP/1.1 200 OK\r\n\r\n", false, BodyLength::UntilClose),
        ] {
            let response = parse(text, is_head).unwrap();
            assert_eq!(response.body, body, "{text:?}");
            assert_eq!(response.keep_alive, body != BodyLength::UntilClose);
        }
        assert!(!parse("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n", false).unwrap().keep_alive);
    }

    #[test]
    fn lengths_are_strict_where_no_body_follows() {
        let lines = [
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n", HeadError::BothLengths),
            ("content-length: 5\r\ncontent-length: 6\r\n", HeadError::ContentLength),
            ("content-length: +5\r\n", HeadError::ContentLength),
            ("transfer-encoding: gzip\r\n", HeadError::TransferEncoding),
        ];
        for (line, error) in lines {
            for (start, is_head) in
                [("103 x", false), ("204 x", false), ("304 x", false), ("200 x", true)]
            {
                let parsed = parse(&format!("HTTP/1.1 {start}\r\n{line}\r\n"), is_head);
                assert_eq!(parsed.map(|_| ()), Err(error), "{start} {line}");
            }
        }
        for status in [100, 101, 103, 204] {
            let with = |line| parse(&format!("HTTP/1.1 {status} x\r\n{line}\r\n\r\n"), false);
            assert!(with("content-length: 0").unwrap().head.headers.is_empty());
            assert!(
                with("content-length: 1").is_err() && with("transfer-encoding: chunked").is_err()
            );
        }
        assert_eq!(
            parse("HTTP/1.1 304 x\r\ncontent-length: 5\r\n\r\n", false).unwrap().head.headers.len(),
            1
        );
    }

    #[test]
    fn garbage_is_refused() {
        for text in [
            "garbage\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 99 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(text, false).is_err(), "{text:?}");
        }
    }
}
