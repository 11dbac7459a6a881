//! The body of a client's request.

use std::task::{Context, Poll};

use outrigger_policy::verdict::CauseCode;

use super::connection::Handle;
use crate::body::{Frame, PollFrame};
use crate::failure::{Failure, FailureKind};

/// The body of a request, released to the client's window as it is read.
#[derive(Debug)]
pub struct RequestStream {
    handle: Handle,
    is_end: bool,
}

impl RequestStream {
    /// The body that follows a head.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        let is_end = handle.is_exhausted();
        Self { handle, is_end }
    }

    /// True if no piece will come.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.is_end || self.handle.is_exhausted()
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let polled = self.handle.poll_frame(cx).map(|frame| {
            frame.map(|frame| {
                frame.map_err(|_| {
                    Box::new(Failure::of(FailureKind::Downstream, CauseCode::ClientGone))
                })
            })
        });
        if matches!(polled, Poll::Ready(None | Some(Ok(Frame::Trailers(_))))) {
            self.is_end = true;
        }
        polled
    }
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        self.handle.stop_reading();
    }
}
