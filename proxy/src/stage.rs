//! What the stages of the stack have in common.
//!
//! A stage is a tower `Service` of `Box<Exchange>` whose future always yields the exchange, answered. It does its work in `call`
//! and in a named future, holds no configuration, and is always ready: admission is a decision, not back-pressure.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::Service;

use crate::exchange::Exchange;

/// The future of a stage.
pub trait StageFuture: Future<Output = Result<Box<Exchange>, Infallible>> {
    /// Stops the work and gives the exchange back, unanswered; `None` after the future was ready. A timeout ends an
    /// exchange this way without losing what is known of it.
    fn abandon(self: Pin<&mut Self>) -> Option<Box<Exchange>>;
}

/// A service that is a stage.
pub trait Stage:
    Service<Box<Exchange>, Response = Box<Exchange>, Error = Infallible, Future: StageFuture>
{
}

impl<S> Stage for S where
    S: Service<Box<Exchange>, Response = Box<Exchange>, Error = Infallible, Future: StageFuture>
{
}

pin_project! {
    /// The future of a stage that looks at requests only: the next stage's, or an answer.
    #[project = PassProj]
    #[derive(Debug)]
    pub enum Pass<F> {
        /// The request goes on.
        On { #[pin] next: F },
        /// This stage answered.
        Answered { exchange: Option<Box<Exchange>> },
    }
}

impl<F> Pass<F> {
    /// The request goes on.
    pub const fn on(next: F) -> Self {
        Self::On { next }
    }

    /// This stage answered.
    pub const fn answered(exchange: Box<Exchange>) -> Self {
        Self::Answered { exchange: Some(exchange) }
    }
}

impl<F: StageFuture> Future for Pass<F> {
    type Output = Result<Box<Exchange>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            PassProj::On { next } => next.poll(cx),
            PassProj::Answered { exchange } => match exchange.take() {
                Some(exchange) => Poll::Ready(Ok(exchange)),
                None => Poll::Pending,
            },
        }
    }
}

impl<F: StageFuture> StageFuture for Pass<F> {
    fn abandon(self: Pin<&mut Self>) -> Option<Box<Exchange>> {
        match self.project() {
            PassProj::On { next } => next.abandon(),
            PassProj::Answered { exchange } => exchange.take(),
        }
    }
}
