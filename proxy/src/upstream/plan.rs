//! How a request is forwarded: decided once by the router, followed by the stages after it.

use std::sync::Arc;

use outrigger_policy::head::Protocol;
use outrigger_policy::retry::RetryState;
use outrigger_policy::timeout::Timeouts;

use super::cluster::{Cluster, HttpVersion};
use super::pool;
use super::replay::ReplayBuffer;
use crate::http::route::{ForwardPolicy, Route};

/// See the module.
#[derive(Debug)]
pub struct Plan {
    /// Where the request goes.
    pub cluster: Arc<Cluster>,
    /// The route whose policies hold.
    pub route: Arc<Route>,
    /// Timeouts of the request.
    pub timeouts: Timeouts,
    /// Retries; `None` if nothing is retried.
    pub retry: Option<RetryState>,
    /// The request's body, if somebody may want it twice.
    pub replay: Option<ReplayBuffer>,
    /// The request asks for another protocol on its connection.
    pub is_upgrade: bool,
    /// A timeout is answered 204. (envoy: x-envoy-upstream-rq-timeout-alt-response)
    pub times_out_quietly: bool,
}

impl Plan {
    /// A plan without a kept body.
    #[must_use]
    pub const fn new(
        cluster: Arc<Cluster>,
        route: Arc<Route>,
        timeouts: Timeouts,
        retry: Option<RetryState>,
        is_upgrade: bool,
    ) -> Self {
        Self { cluster, route, timeouts, retry, replay: None, is_upgrade, times_out_quietly: false }
    }

    /// The route's policy.
    #[must_use]
    pub fn policy(&self) -> &ForwardPolicy {
        &self.route.payload.forward
    }

    /// Bytes of the request that may be kept.
    #[must_use]
    pub fn buffer_limit(&self) -> usize {
        self.policy().buffer_limit_bytes.unwrap_or(self.cluster.settings.buffer_limit_bytes)
    }

    /// What is spoken to the cluster on behalf of a client that speaks `downstream`.
    #[must_use]
    pub fn protocol(&self, downstream: Protocol) -> pool::Protocol {
        // An upgrade has its own rules in HTTP/2, which are not spoken here.
        if self.is_upgrade { pool::Protocol::Http1 } else { protocol(&self.cluster, downstream) }
    }
}

/// What is spoken to `cluster` on behalf of a client that speaks `downstream`.
#[must_use]
pub(super) fn protocol(cluster: &Cluster, downstream: Protocol) -> pool::Protocol {
    match (cluster.settings.http.version, downstream) {
        (HttpVersion::Http2, _) | (HttpVersion::Downstream, Protocol::Http2) => {
            pool::Protocol::Http2
        }
        _ => pool::Protocol::Http1,
    }
}
