//! One request to an HTTP/2 upstream and its response.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use outrigger_policy::head::{Headers, RequestHead, ResponseHead};
use outrigger_policy::verdict::CauseCode;

use super::convert;
use super::server::poll_stream;
use crate::body::{Body, Frame, PollFrame};
use crate::failure::{Failure, FailureKind};

/// A stream of an upstream connection. Dropping it before its end resets the stream.
#[derive(Debug)]
pub struct ClientStream {
    response: Option<ResponseFuture>,
    download: Option<RecvStream>,
    upload: SendStream<Bytes>,
    body: Body,
    /// Read from the client, waiting for the upstream's window.
    pending: Bytes,
    is_request_sent: bool,
    is_end: bool,
    body_sent: u64,
    body_received: u64,
}

impl ClientStream {
    /// Opens a stream. The caller has polled `sender` ready.
    ///
    /// # Errors
    /// If the head has no form in HTTP/2, or the connection is gone.
    pub fn open(
        sender: &mut SendRequest<Bytes>,
        head: &RequestHead,
        extra: &[(&str, &[u8])],
        body: Body,
    ) -> Result<Self, Failure> {
        let is_end = body.is_end();
        let request = to_request(head, extra)?;
        let (response, upload) =
            sender.send_request(request, is_end).map_err(|e| failure_of(&e).unsent())?;
        Ok(Self {
            response: Some(response),
            download: None,
            upload,
            body,
            pending: Bytes::new(),
            is_request_sent: is_end,
            is_end: false,
            body_sent: 0,
            body_received: 0,
        })
    }

    /// The next head: interim ones (1xx) first, then the final one.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        spare: &mut Headers,
    ) -> Poll<Result<ResponseHead, Failure>> {
        self.poll_request(cx)?;
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(Failure::of(FailureKind::ProtocolError, CauseCode::Internal)));
        };
        if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            return Poll::Ready(Ok(to_head(interim.status(), interim.headers(), Headers::new())));
        }
        let response = ready!(std::pin::Pin::new(response).poll(cx)).map_err(|e| failure_of(&e))?;
        self.response = None;
        let (parts, download) = response.into_parts();
        self.is_end = download.is_end_stream();
        self.download = Some(download);
        Poll::Ready(Ok(to_head(parts.status, &parts.headers, std::mem::take(spare))))
    }

    /// The next piece of the response's body.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        if let Err(failure) = self.poll_request(cx) {
            return Poll::Ready(Some(Err(Box::new(failure))));
        }
        let Some(download) = &mut self.download else { return Poll::Ready(None) };
        let polled = poll_stream(download, cx, |error| failure_of(&error));
        match &polled {
            Poll::Ready(Some(Ok(Frame::Data(bytes)))) => self.body_received += bytes.len() as u64,
            Poll::Ready(_) => self.is_end = true,
            Poll::Pending => {}
        }
        polled
    }

    /// Sends what the upstream's window allows of the request's body.
    ///
    /// # Errors
    /// If the client's body failed: the stream is reset.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        while !self.is_request_sent {
            if self.pending.is_empty() {
                match self.body.poll_frame(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Some(Ok(Frame::Data(bytes)))) => {
                        self.body_sent += bytes.len() as u64;
                        self.pending = bytes;
                    }
                    Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                        let _ = self.upload.send_trailers(convert::to_map(&trailers, &[]));
                        self.is_request_sent = true;
                    }
                    Poll::Ready(None) => {
                        let _ = self.upload.send_data(Bytes::new(), true);
                        self.is_request_sent = true;
                    }
                    Poll::Ready(Some(Err(failure))) => {
                        self.upload.send_reset(Reason::CANCEL);
                        return Err(*failure);
                    }
                }
                continue;
            }
            self.upload.reserve_capacity(self.pending.len());
            match self.upload.poll_capacity(cx) {
                Poll::Pending => return Ok(()),
                // Reset or closed: the response says how.
                Poll::Ready(None | Some(Err(_))) => self.is_request_sent = true,
                Poll::Ready(Some(Ok(window))) => {
                    let piece = self.pending.split_to(window.min(self.pending.len()));
                    if self.upload.send_data(piece, false).is_err() {
                        self.is_request_sent = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// True once the response's body was read to its end.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        self.is_end
    }

    /// True once the whole request was handed to the connection.
    #[must_use]
    pub const fn is_request_sent(&self) -> bool {
        self.is_request_sent
    }

    /// Bytes of the request's body sent and of the response's body received.
    #[must_use]
    pub const fn body_traffic(&self) -> (u64, u64) {
        (self.body_sent, self.body_received)
    }
}

/// The class of an error of an upstream connection or stream.
#[must_use]
pub fn failure_of(error: &h2::Error) -> Failure {
    let (kind, code) = if error.is_remote() && error.is_reset() {
        match error.reason() {
            Some(Reason::REFUSED_STREAM) => {
                (FailureKind::RemoteRefused, CauseCode::UpstreamRefusedStream)
            }
            _ => (FailureKind::RemoteReset, CauseCode::UpstreamReset),
        }
    } else if error.is_io() || error.is_go_away() {
        (FailureKind::ConnectionTermination, CauseCode::UpstreamClosed)
    } else {
        (FailureKind::ProtocolError, CauseCode::UpstreamProtocol)
    };
    let failure = Failure::of(kind, code);
    if kind == FailureKind::RemoteRefused { failure.unsent() } else { failure }
}

fn to_request(head: &RequestHead, extra: &[(&str, &[u8])]) -> Result<http::Request<()>, Failure> {
    let unfit = || Failure::of(FailureKind::ProtocolError, CauseCode::BadRequest).unsent();
    let authority = head.authority().ok_or_else(unfit)?;
    let uri = http::Uri::builder()
        .scheme(head.scheme.as_str())
        .authority(authority)
        .path_and_query(head.path())
        .build()
        .map_err(|_| unfit())?;
    let mut request = http::Request::new(());
    *request.method_mut() = http::Method::from_bytes(head.method()).map_err(|_| unfit())?;
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = convert::to_map(&head.headers, extra);
    Ok(request)
}

fn to_head(status: http::StatusCode, map: &http::HeaderMap, mut spare: Headers) -> ResponseHead {
    spare.clear();
    let mut head = ResponseHead { status: status.as_u16(), headers: spare };
    convert::append_lines(&mut head.headers, map);
    head
}
