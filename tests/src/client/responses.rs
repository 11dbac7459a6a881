//! The responses that a stream of HTTP/1 bytes holds.

use crate::wire::{self, Framing, Head};

/// One response. For HTTP/2 the head's start line is `HTTP/2 STATUS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its end was seen, as its framing demands.
    pub complete: bool,
    /// HTTP/2: why the stream ended early.
    pub reset: Option<String>,
}

impl Response {
    /// Not one of those that announce another response.
    pub fn is_final(&self) -> bool {
        !matches!(self.head.status(), 100 | 102..200)
    }
}

/// Reads what `bytes` hold. `methods` are those of the requests, in order; `ended` tells that the peer
/// closed in an orderly way. Returns the responses and the bytes that are not part of one.
pub(super) fn read(mut bytes: &[u8], methods: &[Vec<u8>], ended: bool) -> (Vec<Response>, Vec<u8>) {
    let mut all = Vec::new();
    let mut methods = methods.iter();
    let mut method = methods.next();
    while bytes.starts_with(b"HTTP/1.")
        && let Some((head, rest)) = wire::head(bytes)
    {
        let framing = head.response_framing(method.map_or(b"GET", Vec::as_slice));
        let (body, rest) = wire::body(framing, rest);
        let complete =
            body.complete || framing == Framing::UntilClose && (ended || head.status() == 101);
        let response =
            Response { head, body: body.bytes, trailers: body.trailers, complete, reset: None };
        if response.is_final() {
            method = methods.next();
        }
        all.push(response);
        bytes = rest;
    }
    (all, bytes.to_vec())
}

/// The methods of the HTTP/1 requests in these bytes, guessed by their start lines.
pub(super) fn methods(sent: &[u8]) -> Vec<Vec<u8>> {
    let lines = sent.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    lines
        .filter(|line| line.windows(6).any(|six| six == b" HTTP/"))
        .filter_map(|line| line.split(|b| *b == b' ').next())
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_told_apart_by_method_and_framing() {
        let sent = b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokrest";
        let (responses, rest) = read(bytes, &methods(sent), false);
        let summary: Vec<_> =
            responses.iter().map(|r| (r.head.status(), r.body.len(), r.is_final())).collect();
        assert_eq!(summary, [(200, 0, true), (103, 0, false), (200, 2, true)]);
        assert_eq!(rest, b"rest");
    }

    #[test]
    fn a_body_without_length_is_complete_when_the_peer_closed() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nabc";
        let complete = |ended| read(bytes, &[], ended).0.first().map(|r| r.complete);
        assert_eq!((complete(false), complete(true)), (Some(false), Some(true)));
    }

    #[test]
    fn other_bytes_are_not_responses() {
        assert_eq!(read(b"TCP1>hello", &[], true), (Vec::new(), b"TCP1>hello".to_vec()));
    }
}
