//! Copies of requests, sent elsewhere and forgotten. (envoy: RouteAction.RequestMirrorPolicy)
//!
//! A copy is sent once the request is complete, so that it never slows the original; a body over the buffer's limit is not copied. The
//! response is read to its end and dropped. No retry, no effect on the client.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use outrigger_policy::head::{Id, RequestHead};
use tower::Service;

use super::attempt::Attempt;
use super::cluster::Cluster;
use super::plan::Plan;
use super::replay::ReplayBuffer;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::http::forwarding::append_element;
use crate::http::progress::Progress;
use crate::http::route::MirrorPolicy;
use crate::http::timer::Slot;
use crate::net::own_address;
use crate::stack;
use crate::telemetry::UpstreamInfo;
use crate::telemetry::metrics::ClusterStat;
use crate::worker;

/// A copy lives no longer than this where the route has no timeout.
const LONGEST: Duration = Duration::from_secs(60);

/// Starts the copies of a request whose head is final.
pub fn start(exchange: &mut Exchange, plan: &mut Plan, policies: &[MirrorPolicy]) {
    for policy in policies {
        let is_picked = || worker::with_rng(rand::Rng::next_u64);
        if policy.fraction.is_some_and(|fraction| !fraction.holds(is_picked())) || plan.is_upgrade {
            continue;
        }
        let Some(cluster) = worker::snapshot(|s| s.cluster(&policy.cluster)) else { continue };
        let body = copy_body(exchange, plan);
        let mut head = (*exchange.request).clone();
        if !policy.keeps_host {
            mark_host(&mut head);
        }
        // A copy comes from us, not from the client.
        head.headers.set(Id::X_ENVOY_INTERNAL, b"true");
        let own = own_address().to_string();
        append_element(&mut head.headers, Id::X_FORWARDED_FOR, own.as_bytes());
        plan.timeouts.tell_upstream(&mut head, Duration::ZERO, false);
        let timeout = plan.timeouts.route().unwrap_or(LONGEST).min(LONGEST);
        let priority = plan.policy().priority;
        let protocol = exchange.request.protocol;
        let destination = exchange.info.connection.original_destination();
        worker::spawn("mirror", async move {
            let Some(body) = body.complete().await else {
                cluster.counters.stats.inc(ClusterStat::retry_or_shadow_abandoned);
                return;
            };
            let progress = Rc::new(Progress::default());
            progress.set_after(Slot::Route, Some(timeout));
            let attempt = Box::new(Attempt {
                protocol: super::plan::protocol(&cluster, protocol),
                cluster,
                head: Rc::new(head),
                body,
                destination,
                priority,
                previous: None,
                selection_attempts: 1,
                auto_host_rewrite: false,
                is_upgrade: false,
                alpn: None,
                per_try_timeout: None,
                passes_interim: false,
                info: Rc::new(RefCell::new(UpstreamInfo::default())),
                progress,
                host: None,
            });
            send(attempt).await;
        });
    }
}

/// Where the copy's body comes from.
enum CopiedBody {
    Empty,
    Buffer(ReplayBuffer),
}

impl CopiedBody {
    /// The body once it is complete; `None` if it is too long or failed.
    async fn complete(self) -> Option<Body> {
        match self {
            Self::Empty => Some(Body::Empty),
            Self::Buffer(buffer) => {
                let is_whole = poll_fn(|cx| buffer.poll_complete(cx)).await;
                is_whole.then(|| Body::Replay(buffer.read()))
            }
        }
    }
}

fn copy_body(exchange: &mut Exchange, plan: &mut Plan) -> CopiedBody {
    if plan.replay.is_none() {
        if exchange.request_body.is_end() {
            return CopiedBody::Empty;
        }
        let body = std::mem::take(&mut exchange.request_body);
        plan.replay = Some(ReplayBuffer::new(body, plan.buffer_limit()));
    }
    match &plan.replay {
        Some(buffer) => CopiedBody::Buffer(buffer.keep()),
        None => CopiedBody::Empty,
    }
}

/// `a.com:80` becomes `a.com-shadow:80`.
fn mark_host(head: &mut RequestHead) {
    let authority = head.authority().unwrap_or_default();
    let colon = memchr::memrchr(b':', authority).filter(|at| {
        authority.get(at + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit))
    });
    let (name, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let marked = [name, b"-shadow", port].concat();
    head.set_authority(&marked);
}

async fn send(attempt: Box<Attempt>) {
    let progress = attempt.progress.clone();
    let cluster: Arc<Cluster> = attempt.cluster.clone();
    let mut exchange = std::pin::pin!(stack::attempts().call(attempt));
    let answered = poll_fn(|cx| {
        if progress.poll(cx, Slot::Route).is_ready() {
            return Poll::Ready(None);
        }
        exchange.as_mut().poll(cx).map(Result::ok)
    })
    .await;
    let Some(mut answered) = answered else { return };
    crate::telemetry::upstream_codes::count_shadow(&cluster, answered.head.status);
    poll_fn(|cx| {
        while let Poll::Ready(frame) = answered.body.poll_frame(cx) {
            if !matches!(frame, Some(Ok(_))) {
                return Poll::Ready(());
            }
        }
        progress.poll(cx, Slot::Route)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_marked_before_its_port() {
        for (host, marked) in [
            ("a.com", "a.com-shadow"),
            ("a.com:80", "a.com-shadow:80"),
            ("[::1]:80", "[::1]-shadow:80"),
        ] {
            let mut head = RequestHead::new(b"GET", host.as_bytes(), b"/");
            mark_host(&mut head);
            assert_eq!(head.authority(), Some(marked.as_bytes()));
        }
    }
}
