//! Requests of an HTTP/2 client: the head checked and converted, the body pulled.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use outrigger_policy::head::{Headers, Id, Protocol, RequestHead, Scheme};
use outrigger_policy::verdict::CauseCode;

use super::convert;
use crate::body::{Frame, PollFrame};
use crate::failure::{Failure, FailureKind};
use crate::http::codec::http1::is_host;

/// Envoy counts `:method`, `:scheme`, `:authority` and `:path` as lines.
const PSEUDO_HEADERS: usize = 4;

/// Why a request is reset instead of served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request breaks HTTP.
    Malformed,
    /// More lines or bytes than the limit.
    TooLarge,
}

/// Converts the head of a request. `is_tls` decides nothing but what a missing `:scheme` means.
///
/// # Errors
/// For what the codec lets pass and no upstream may see: methods in lower case, hosts that are none, too many lines.
pub fn request_head(
    request: &http::Request<RecvStream>,
    max_headers: usize,
    max_bytes: usize,
    is_tls: bool,
    spare: Headers,
) -> Result<RequestHead, Refusal> {
    let map = request.headers();
    if map.len() + PSEUDO_HEADERS > max_headers || convert::size_of(map) > max_bytes {
        return Err(Refusal::TooLarge);
    }
    let method = request.method().as_str();
    // Methods are case-sensitive: `get` would pass a policy about `GET` and be served by a lenient upstream.
    if method.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(Refusal::Malformed);
    }
    let uri = request.uri();
    let mut head = RequestHead::reuse(spare);
    head.protocol = Protocol::Http2;
    head.scheme = match uri.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") => Scheme::Http,
        _ if is_tls => Scheme::Https,
        _ => Scheme::Http,
    };
    head.set_method(method.as_bytes());
    let mut hosts = map.get_all(http::header::HOST).iter();
    let host = hosts.next().map(http::HeaderValue::as_bytes);
    let authority = uri.authority().map(|a| a.as_str().as_bytes()).or(host);
    if let Some(authority) = authority {
        let disagrees = host.is_some_and(|host| host != authority) || hosts.next().is_some();
        if disagrees || !is_host(authority) {
            return Err(Refusal::Malformed);
        }
        head.set_authority(authority);
    }
    if let Some(path) = uri.path_and_query() {
        head.set_path(path.as_str().as_bytes());
    }
    convert::append_lines(&mut head.headers, map);
    head.headers.remove(Id::HOST);
    Ok(head)
}

/// The body of a request, released to the client's window as it is read.
#[derive(Debug)]
pub struct RequestStream {
    stream: RecvStream,
    is_end: bool,
}

impl RequestStream {
    /// The body that follows a head.
    #[must_use]
    pub fn new(stream: RecvStream) -> Self {
        let is_end = stream.is_end_stream();
        Self { stream, is_end }
    }

    /// True if no piece will come.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.is_end || self.stream.is_end_stream()
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let polled = poll_stream(&mut self.stream, cx, |_| {
            Failure::of(FailureKind::Downstream, CauseCode::ClientGone)
        });
        if matches!(polled, Poll::Ready(None | Some(Ok(Frame::Trailers(_))))) {
            self.is_end = true;
        }
        polled
    }
}

/// Pulls the next piece of a stream and gives its window back.
pub(super) fn poll_stream(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
    failure: impl Fn(h2::Error) -> Failure,
) -> PollFrame {
    loop {
        match ready!(stream.poll_data(cx)) {
            Some(Ok(bytes)) if bytes.is_empty() => {}
            Some(Ok(bytes)) => {
                let bytes: Bytes = bytes;
                // Fails only after a reset, which the next poll reports.
                let _ = stream.flow_control().release_capacity(bytes.len());
                return Poll::Ready(Some(Ok(Frame::Data(bytes))));
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(Box::new(failure(error))))),
            None => break,
        }
    }
    match ready!(stream.poll_trailers(cx)) {
        Ok(None) => Poll::Ready(None),
        Ok(Some(map)) => {
            let mut trailers = Headers::new();
            convert::append_lines(&mut trailers, &map);
            Poll::Ready(Some(Ok(Frame::Trailers(trailers))))
        }
        Err(error) => Poll::Ready(Some(Err(Box::new(failure(error))))),
    }
}
