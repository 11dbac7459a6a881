//! The request stack: everything that happens to a request, in order, on one screen.
//!
//! One type for every listener. The stages hold no configuration: what they do is data that the exchange carries, so a change of
//! configuration rebuilds nothing and an unused policy costs one branch.

use tower::ServiceBuilder;

use crate::http::filters::{Filters, FiltersLayer};
use crate::http::normalize::{Normalize, NormalizeLayer};
use crate::http::route::{RouteLayer, RouteStage};
use crate::http::router::{Router, RouterLayer};
use crate::telemetry::stage::{Telemetry, TelemetryLayer};
use crate::upstream::attempt::{Balance, Exchanger};
use crate::upstream::deadline::{Deadline, DeadlineLayer};
use crate::upstream::retry::{Retry, RetryLayer};

/// The stack's type.
pub type Stack = Telemetry<Normalize<RouteStage<Filters<Router<Deadline<Retry<Attempts>>>>>>>;

/// What makes one attempt.
pub type Attempts = Balance<Exchanger>;

/// The stack. Cloning or making it costs nothing: no stage has state.
#[must_use]
pub fn stack() -> Stack {
    ServiceBuilder::new()
        // First in, last out: counts every request, and what became of it.
        .layer(TelemetryLayer)
        // One request, one spelling, before any policy looks at it.
        .layer(NormalizeLayer)
        // The route brings every policy below with it, so it is found before them.
        .layer(RouteLayer)
        // Authorization, faults and the like, in the order of the configuration; they also judge requests without a route.
        .layer(FiltersLayer)
        // Redirects, direct responses, 404; what goes on gets its final head.
        .layer(RouterLayer)
        // Over all attempts and the pauses between them.
        .layer(DeadlineLayer)
        // One attempt after the other, until one is final.
        .layer(RetryLayer)
        .service(attempts())
}

/// A host is picked, then the exchange happens on one of its connections. Circuit breakers stand in the pool, where it is known whether
/// a connection has to be made.
#[must_use]
pub const fn attempts() -> Attempts {
    Balance::new(Exchanger)
}
