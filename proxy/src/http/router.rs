//! Stage: the router. Answers what is not forwarded, and prepares what is.
//!
//! Runs after all other filters, as in Envoy: redirects, direct responses, 404 and a missing cluster are decided here. A request that
//! goes on gets its timeouts, its retries, its final headers and a [`Plan`].
//! (envoy: `Router::Filter::decodeHeaders`)

use std::task::{Context, Poll};

use outrigger_policy::head::{Id, RequestHead};
use outrigger_policy::route::{self, Action, DirectResponse, PathRedirect};
use outrigger_policy::verdict::{Cause, CauseCode, ResponseFlag};
use tower::{Layer, Service};

use super::local_reply::LocalReply;
use super::normalize::is_upgrade;
use super::route::{ForwardPolicy, NoRoute, Pinned, Routing, apply_request_headers};
use crate::body::Body;
use crate::exchange::Exchange;
use crate::stage::{Pass, Stage};
use crate::telemetry::metrics::{ClusterStat, RouterStat, VirtualClusterStat};
use crate::upstream::{Cluster, Plan, mirror};
use crate::worker;

/// Makes a [`Router`].
#[derive(Clone, Copy, Debug)]
pub struct RouterLayer;

/// The stage.
#[derive(Clone, Copy, Debug)]
pub struct Router<S> {
    next: S,
}

impl<S> Layer<S> for RouterLayer {
    type Service = Router<S>;

    fn layer(&self, next: S) -> Router<S> {
        Router { next }
    }
}

impl<S: Stage> Service<Box<Exchange>> for Router<S> {
    type Response = Box<Exchange>;
    type Error = std::convert::Infallible;
    type Future = Pass<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut exchange: Box<Exchange>) -> Self::Future {
        exchange.manager.router_stats.inc(RouterStat::rq_total);
        match route(&mut exchange) {
            Ok(()) => Pass::on(self.next.call(exchange)),
            Err(answer) => {
                match answer {
                    Answer::Reply(reply) => reply.answer(&mut exchange),
                    Answer::Direct => direct_response(&mut exchange),
                }
                Pass::answered(exchange)
            }
        }
    }
}

/// Why a request is not forwarded.
enum Answer {
    Reply(LocalReply),
    /// The route is a direct response.
    Direct,
}

impl From<LocalReply> for Answer {
    fn from(reply: LocalReply) -> Self {
        Self::Reply(reply)
    }
}

fn route(exchange: &mut Exchange) -> Result<(), Answer> {
    let pinned = match &exchange.routing {
        Routing::Pinned(pinned) => pinned.clone(),
        Routing::None(why) => return Err(no_route(exchange, why).into()),
        Routing::Unknown => {
            return Err(LocalReply::new(500, "route_not_found")
                .because(CauseCode::Internal)
                .into());
        }
    };
    match &pinned.entry().action {
        Action::Forward(_) => Ok(forward(exchange, &pinned)?),
        Action::Redirect(redirect) => {
            exchange.manager.router_stats.inc(RouterStat::rq_direct_response);
            let rule = &pinned.route.matcher.path;
            let reply = LocalReply::new(redirect.code as u16, "direct_response");
            let location = redirect.location(&exchange.request, rule);
            Err(Answer::Reply(match location {
                Some(location) => {
                    if matches!(redirect.path, PathRedirect::Rewrite(_)) {
                        show_new_path(exchange.request_mut(), &location);
                    }
                    reply.with_header(Id::LOCATION, location)
                }
                None => reply,
            }))
        }
        Action::DirectResponse(_) => Err(Answer::Direct),
    }
}

/// What is said of a redirected request is said of its new path, and the old one is kept for logs, as in Envoy.
fn show_new_path(head: &mut RequestHead, location: &[u8]) {
    let Some(scheme) = memchr::memmem::find(location, b"://") else { return };
    let rest = location.get(scheme + 3..).unwrap_or_default();
    let Some(slash) = memchr::memchr(b'/', rest) else { return };
    let path = rest.get(slash..).unwrap_or_default();
    if path != head.path() {
        let old = head.path().to_vec();
        head.headers.set(Id::X_ENVOY_ORIGINAL_PATH, &old);
        head.set_path(path);
    }
}

fn no_route(exchange: &Exchange, why: &NoRoute) -> LocalReply {
    let stats = &exchange.manager.router_stats;
    let not_found = |cause: Cause| {
        stats.inc(RouterStat::no_route);
        LocalReply::new(404, "route_not_found").with_flag(ResponseFlag::NoRouteFound).because(cause)
    };
    match why {
        NoRoute::TlsRequired => {
            stats.inc(RouterStat::rq_direct_response);
            let reply = LocalReply::new(301, "direct_response");
            match route::https_location(&exchange.request) {
                Some(location) => reply.with_header(Id::LOCATION, location),
                None => reply,
            }
        }
        NoRoute::NoTable(name) => not_found(Cause::about(CauseCode::NoRouteConfig, name)),
        NoRoute::NoMatch(host) => not_found(Cause::about(CauseCode::NoRoute, host)),
        NoRoute::NoVirtualHost => {
            let authority = exchange.request.authority().unwrap_or_default();
            let authority = String::from_utf8_lossy(authority);
            not_found(Cause::about(CauseCode::NoVirtualHost, &authority))
        }
    }
}

fn direct_response(exchange: &mut Exchange) {
    exchange.manager.router_stats.inc(RouterStat::rq_direct_response);
    let Routing::Pinned(pinned) = exchange.routing.clone() else { return };
    let Action::DirectResponse(response) = &pinned.entry().action else { return };
    let mut reply = LocalReply::new(response.status(), "direct_response");
    if let Some(location) = location_of(response, exchange) {
        reply = reply.with_header(Id::LOCATION, location);
    }
    // A body of configuration is bytes, and a local reply's is text: it is put in afterwards.
    if exchange.request.is_grpc() {
        reply = reply.with_body(String::from_utf8_lossy(response.body()).into_owned());
    }
    reply.answer(exchange);
    if !response.body().is_empty() && !exchange.request.is_grpc() {
        let headers = &mut exchange.response.headers;
        headers
            .set(Id::CONTENT_LENGTH, itoa::Buffer::new().format(response.body().len()).as_bytes());
        if !headers.contains(Id::CONTENT_TYPE) {
            headers.set(Id::CONTENT_TYPE, b"text/plain");
        }
        if !exchange.request.is_head() {
            exchange.response_body = Body::Full(response.body().to_vec().into());
        }
    }
}

fn location_of(response: &DirectResponse, exchange: &Exchange) -> Option<Vec<u8>> {
    response.location(&exchange.request)
}

fn forward(exchange: &mut Exchange, pinned: &Pinned) -> Result<(), LocalReply> {
    let policy = &pinned.entry().forward;
    let name = pinned.target.as_ref().map(|target| target.name.clone()).unwrap_or_default();
    let Some(cluster) = worker::snapshot(|snapshot| snapshot.cluster(&name)) else {
        exchange.manager.router_stats.inc(RouterStat::no_cluster);
        return Err(LocalReply::new(policy.cluster_not_found_status, "cluster_not_found")
            .with_flag(ResponseFlag::NoClusterFound)
            .because(Cause::about(CauseCode::ClusterNotFound, &name)));
    };
    if cluster.settings.maintenance.is_some_and(|share| share.holds(exchange.random)) {
        return Err(maintenance(&cluster));
    }
    if let Some(stats) = &pinned.entry().stats {
        stats.requests.inc(VirtualClusterStat::upstream_rq_total);
    }
    let options = exchange.manager.router;
    let timeouts = policy.timeouts.resolve(exchange.request_mut(), options);
    let retry = policy.retry.begin(exchange.request_mut());
    exchange.progress.set_route_timeout(timeouts.route());
    let headers = &mut exchange.request_mut().headers;
    headers.remove(Id::X_ENVOY_UPSTREAM_ALT_STAT_NAME);
    let times_out_quietly = headers.remove(Id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE);
    apply_request_headers(exchange);
    rewrite(exchange.request_mut(), pinned, policy);
    let is_upgrade = is_upgrade(&exchange.request);
    let mut plan = Plan::new(cluster, pinned.route.clone(), timeouts, retry, is_upgrade);
    plan.times_out_quietly = times_out_quietly;
    if policy.attempt_count_in_request && !policy.mirrors.is_empty() {
        exchange.request_mut().headers.set(Id::X_ENVOY_ATTEMPT_COUNT, b"1");
    }
    mirror::start(exchange, &mut plan, &policy.mirrors);
    exchange.plan = Some(Box::new(plan));
    Ok(())
}

fn maintenance(cluster: &Cluster) -> LocalReply {
    let stats = &cluster.counters.stats;
    stats.inc(ClusterStat::upstream_rq_maintenance_mode);
    stats.completed(503);
    LocalReply::new(503, "maintenance_mode")
        .with_body("maintenance mode")
        .with_header(Id::X_ENVOY_OVERLOADED, b"true".as_slice())
        .with_flag(ResponseFlag::UpstreamOverflow)
        .because(Cause::about(CauseCode::Maintenance, &cluster.name))
}

/// The host is rewritten from the original path, so it comes first. That of a weighted cluster is to the route's rewrite as if the
/// client had asked for it, as in Envoy.
fn rewrite(head: &mut RequestHead, pinned: &Pinned, policy: &ForwardPolicy) {
    let literal = pinned.target.as_ref().and_then(|target| target.host_rewrite.as_ref());
    if let Some(literal) = literal {
        head.set_authority(literal.as_bytes());
    }
    let mut host = Vec::new();
    if policy.host_rewrite.as_ref().is_some_and(|rewrite| rewrite.apply(head, &mut host)) {
        set_host(head, &host, policy.append_x_forwarded_host);
    }
    if let Some(rewrite) = &policy.path_rewrite {
        let mut path = Vec::new();
        if rewrite.apply(head.path(), &pinned.route.matcher.path, &mut path) {
            let original = head.path().to_vec();
            head.headers.set(Id::X_ENVOY_ORIGINAL_PATH, &original);
            head.set_path(&path);
        }
    }
}

/// Gives the request another host, and the upstream a way to learn the first.
pub fn set_host(head: &mut RequestHead, host: &[u8], forwards: bool) {
    let original = head.authority().unwrap_or_default().to_vec();
    if forwards && !original.is_empty() {
        match head.headers.get(Id::X_FORWARDED_HOST) {
            Some(before) => {
                let joined = [before, b",", &original].concat();
                head.headers.set(Id::X_FORWARDED_HOST, &joined);
            }
            None => head.headers.append_id(Id::X_FORWARDED_HOST, &original),
        }
    }
    if original != host {
        head.headers.set(Id::X_ENVOY_ORIGINAL_HOST, &original);
    }
    head.set_authority(host);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use outrigger_policy::route::{
        HostRewrite, PathRewrite, PathRule, PathText, Route, RouteMatch, Target,
    };

    use super::*;
    use crate::http::route::{RouteEntry, TargetCluster};

    /// Observed on Envoy 1.40: what the upstream gets as host, `x-envoy-original-host` and `x-forwarded-host`.
    #[test]
    fn the_rewrite_of_a_weighted_cluster_comes_before_that_of_the_route() {
        let literal = || Some(HostRewrite::Literal(b"route".as_slice().into()));
        for (of_cluster, of_route, expected) in [
            (None, None, ["client", "", ""]),
            (None, literal(), ["route", "client", "client"]),
            (Some("cluster"), None, ["cluster", "", ""]),
            (Some("cluster"), literal(), ["route", "cluster", "cluster"]),
        ] {
            let mut head = RequestHead::new(b"GET", b"client", b"/p/x?q");
            rewritten(&mut head, of_cluster, of_route);
            let header = |id| head.headers.get(id).unwrap_or_default();
            let actual = [
                head.authority().unwrap(),
                header(Id::X_ENVOY_ORIGINAL_HOST),
                header(Id::X_FORWARDED_HOST),
            ];
            assert_eq!(actual, expected.map(str::as_bytes));
            assert_eq!(head.path(), b"/n/x?q");
            assert_eq!(header(Id::X_ENVOY_ORIGINAL_PATH), b"/p/x?q");
        }
    }

    fn rewritten(head: &mut RequestHead, of_cluster: Option<&str>, of_route: Option<HostRewrite>) {
        let target = Arc::new(TargetCluster {
            name: "c".into(),
            header_ops: None,
            host_rewrite: of_cluster.map(Into::into),
            overrides: Arc::default(),
        });
        let entry = RouteEntry {
            name: "r".into(),
            virtual_host: "v".into(),
            action: Action::Forward(Target::Cluster(target.clone())),
            header_ops: Vec::new(),
            most_specific_wins: false,
            overrides: Arc::default(),
            forward: ForwardPolicy {
                host_rewrite: of_route,
                append_x_forwarded_host: true,
                path_rewrite: Some(PathRewrite::Prefix(b"/n".as_slice().into())),
                ..ForwardPolicy::default()
            },
            stats: None,
            operation: None,
            metadata: None,
        };
        let matcher = RouteMatch::on(PathRule::Prefix(PathText::new("/p", true)));
        let route = Arc::new(Route { name: String::new(), matcher, payload: entry });
        let pinned = Pinned { route: route.clone(), target: Some(target) };
        rewrite(head, &pinned, &route.payload.forward);
    }
}
