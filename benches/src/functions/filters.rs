//! The filter chain of the sidecar, there and back: RBAC that allows, faults that do not happen, CORS without an origin.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use anyhow::Result;
use outrigger::exchange::Exchange;
use outrigger::http::HttpConnectionManager;
use outrigger::http::filters::{Filters as Stage, FiltersLayer};
use outrigger::stage::StageFuture;
use tower::{Layer, Service};

use super::stream::{self, Sidecar};

/// The filters' stage over one that answers at once.
#[derive(Clone)]
pub struct Filters {
    manager: Arc<HttpConnectionManager>,
    stage: Stage<Answer>,
}

impl Filters {
    /// The stage.
    ///
    /// # Errors
    /// If the sidecar's file is refused.
    pub fn new() -> Result<Self> {
        Ok(Self::of(Sidecar::new()?.manager))
    }

    pub(super) fn of(manager: Arc<HttpConnectionManager>) -> Self {
        Self { manager, stage: FiltersLayer.layer(Answer) }
    }

    /// A request that comes to the filters.
    #[must_use]
    pub fn exchange(&self) -> Box<Exchange> {
        stream::exchange(&self.manager)
    }

    /// The request after the filters and its response.
    pub fn pass(&mut self, exchange: Box<Exchange>) -> Option<Box<Exchange>> {
        let mut future = std::pin::pin!(self.stage.call(exchange));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(exchange)) => Some(exchange),
            Poll::Pending => None,
        }
    }
}

/// Answers 200.
#[derive(Clone, Copy, Debug)]
struct Answer;

impl Service<Box<Exchange>> for Answer {
    type Response = Box<Exchange>;
    type Error = Infallible;
    type Future = Answered;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut exchange: Box<Exchange>) -> Answered {
        exchange.response.status = 200;
        Answered(ready(Some(exchange)))
    }
}

/// The future of [`Answer`].
struct Answered(Ready<Option<Box<Exchange>>>);

impl Future for Answered {
    type Output = Result<Box<Exchange>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.0).poll(cx) {
            Poll::Ready(Some(exchange)) => Poll::Ready(Ok(exchange)),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl StageFuture for Answered {
    fn abandon(self: Pin<&mut Self>) -> Option<Box<Exchange>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_has_its_filters_and_lets_the_request_pass() {
        let mut filters = Filters::new().unwrap();
        let names: Vec<_> =
            filters.manager.filters.filters.iter().map(|filter| &*filter.name).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let exchange = filters.exchange();
        let passed = filters.pass(exchange).unwrap();
        assert_eq!(passed.response.status, 200);
        assert!(passed.info.metadata.iter().any(|(_, _, value)| &**value == "allowed"));
    }
}
