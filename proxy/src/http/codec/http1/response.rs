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
    // The parser below would pass over empty lines.
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
    // What declares two lengths is refused where no body follows, too: whoever reads it behind us may expect one.
    let declared = declared_length(&head.headers)?;
    if !head.may_have_length() {
        forbid_length(declared)?;
        head.headers.remove(Id::CONTENT_LENGTH);
    }
    let body = if is_head_request || !head.may_have_body() {
        BodyLength::Exact(0)
    } else {
        declared.unwrap_or(BodyLength::UntilClose)
    };
    Ok(ParsedResponse { head, body, keep_alive: keep_alive && body != BodyLength::UntilClose })
}

/// A status that has no body has no length either. (RFC 9110 §8.6, RFC 9112 §6.1)
const fn forbid_length(declared: Option<BodyLength>) -> Result<(), HeadError> {
    match declared {
        None | Some(BodyLength::Exact(0)) => Ok(()),
        Some(BodyLength::Exact(_)) => Err(HeadError::ContentLength),
        Some(BodyLength::Chunked | BodyLength::UntilClose) => Err(HeadError::TransferEncoding),
    }
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

    #[test]
    fn lengths_are_checked_where_no_body_follows_too() {
        for lines in [
            "content-length: 1\r\ncontent-length: 2\r\n",
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "content-length: x\r\n",
        ] {
            for status in [103, 200, 204, 304] {
                let text = format!("HTTP/1.1 {status} x\r\n{lines}\r\n");
                assert!(parse(&text, true).is_err(), "{text:?}");
            }
        }
        for status in [101, 103, 204] {
            for (line, is_good) in [
                ("content-length: 0", true),
                ("content-length: 3", false),
                ("transfer-encoding: chunked", false),
            ] {
                let text = format!("HTTP/1.1 {status} x\r\n{line}\r\n\r\n");
                let parsed = parse(&text, false);
                assert_eq!(parsed.is_ok(), is_good, "{text:?}");
                assert!(parsed.is_err() || parsed.unwrap().head.headers.is_empty(), "{text:?}");
            }
        }
    }
}
