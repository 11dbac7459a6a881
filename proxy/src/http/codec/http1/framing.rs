//! How long the body of a message is (RFC 9112 §6.3). Two ways to read a length are a request for
//! smuggling: such messages are refused, not repaired.

use outrigger_policy::head::{Headers, Id, tokens};

use super::error::HeadError;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; zero means no body.
    Exact(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Until the connection ends: responses only.
    UntilClose,
}

/// The length that `content-length` and `transfer-encoding` say; `None` without either.
///
/// # Errors
/// For both headers at once, a second line of either, a length that is not only digits, and every coding
/// other than `chunked`.
pub(super) fn declared_length(headers: &Headers) -> Result<Option<BodyLength>, HeadError> {
    let mut codings = headers.get_all_id(Id::TRANSFER_ENCODING);
    let mut lengths = headers.get_all_id(Id::CONTENT_LENGTH);
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(HeadError::BothLengths),
        (Some(coding), None) => {
            if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() {
                Ok(Some(BodyLength::Chunked))
            } else if coding.eq_ignore_ascii_case(b"identity") {
                Err(HeadError::Malformed)
            } else {
                Err(HeadError::TransferEncoding)
            }
        }
        (None, Some(length)) => {
            if lengths.next().is_some() {
                return Err(HeadError::ContentLength);
            }
            parse_length(length).map(|n| Some(BodyLength::Exact(n))).ok_or(HeadError::ContentLength)
        }
    }
}

/// Digits only, no sign, no white space, no list (RFC 9110 §8.6).
pub(super) fn parse_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// Whether the connection can carry another message after this one (RFC 9112 §9.3).
pub(super) fn keeps_alive(headers: &Headers, is_http_10: bool) -> bool {
    let mut keep = !is_http_10;
    for value in headers.get_all_id(Id::CONNECTION) {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keep |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(lines: &[(&str, &str)]) -> Result<Option<BodyLength>, HeadError> {
        let lines = lines.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        declared_length(&lines.collect())
    }

    #[test]
    fn one_way_to_read_a_length() {
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&[("content-length", "5")]), Ok(Some(BodyLength::Exact(5))));
        assert_eq!(length(&[("transfer-encoding", "Chunked")]), Ok(Some(BodyLength::Chunked)));
    }

    #[test]
    fn every_other_way_is_refused() {
        use HeadError::{BothLengths, ContentLength, Malformed, TransferEncoding};
        let (cl, te) = ("content-length", "transfer-encoding");
        for (lines, error) in [
            (vec![(cl, "5"), (te, "chunked")], BothLengths),
            (vec![(te, "chunked"), (cl, "5")], BothLengths),
            (vec![(cl, "5"), (cl, "5")], ContentLength),
            (vec![(cl, "5"), (cl, "6")], ContentLength),
            (vec![(cl, "5, 5")], ContentLength),
            (vec![(cl, "+5")], ContentLength),
            (vec![(cl, "-1")], ContentLength),
            (vec![(cl, "")], ContentLength),
            (vec![(cl, "0x5")], ContentLength),
            (vec![(cl, "18446744073709551621")], ContentLength),
            (vec![(te, "xchunked")], TransferEncoding),
            (vec![(te, "gzip, chunked")], TransferEncoding),
            (vec![(te, "chunked, identity")], TransferEncoding),
            (vec![(te, "chunked"), (te, "chunked")], TransferEncoding),
            (vec![(te, "identity"), (cl, "5")], BothLengths),
            (vec![(te, "identity")], Malformed),
        ] {
            assert_eq!(length(&lines), Err(error), "{lines:?}");
        }
    }

    #[test]
    fn keep_alive_follows_version_and_connection() {
        let keeps = |value: &str, old| {
            keeps_alive(&[("connection".as_bytes(), value.as_bytes())].into_iter().collect(), old)
        };
        assert!(keeps_alive(&Headers::new(), false) && !keeps_alive(&Headers::new(), true));
        assert!(!keeps("x, Close", false) && keeps("Keep-Alive", true));
        assert!(!keeps("keep-alive, close", true));
    }
}
