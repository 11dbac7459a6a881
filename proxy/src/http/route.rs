//! Stage: finds the route and pins it, and with it every policy of the request. Refuses upgrades that the route does not serve.
//!
//! The table may be replaced while the request runs; what was pinned stays. A request without a route still passes the filters
//! (authorization may have more to say than 404): the router answers it.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::fraction::Fraction;
use outrigger_policy::head::{Id, RequestHead};
use outrigger_policy::retry::RetryPolicy;
use outrigger_policy::route::{self, Action, Choice, HostRewrite, Lookup, PathRewrite};
use outrigger_policy::timeout::TimeoutPolicy;
use outrigger_policy::verdict::CauseCode;
use tower::{Layer, Service};

use super::filters::FilterOverrides;
use super::header_ops::HeaderOps;
use super::local_reply::LocalReply;
use super::manager::RouteSource;
use super::normalize::is_upgrade;
use super::operation;
use crate::exchange::Exchange;
use crate::stage::{Pass, Stage};
use crate::telemetry::metrics::{CodeStats, VirtualClusterStats};
use crate::upstream::Metadata;
use crate::worker;

/// A compiled route configuration.
pub type RouteTable = route::RouteTable<RouteEntry>;
/// A virtual host of one.
pub type VirtualHost = route::VirtualHost<RouteEntry>;
/// A route of one.
pub type Route = route::Route<RouteEntry>;

/// What a route does, and every policy that goes with it.
#[derive(Debug)]
pub struct RouteEntry {
    /// Name of the route, for logs.
    pub name: Arc<str>,
    /// Name of the virtual host, for logs.
    pub virtual_host: Arc<str>,
    /// What is done.
    pub action: Action<Arc<TargetCluster>>,
    /// Changes to requests and responses, most specific first; a weighted cluster's come before.
    pub header_ops: Vec<Arc<LevelOps>>,
    /// The levels are applied from the least specific one on.
    /// (envoy: RouteConfiguration.most_specific_header_mutations_wins)
    pub most_specific_wins: bool,
    /// Changes to the filters' settings.
    pub overrides: Arc<FilterOverrides>,
    /// Policies of a route that forwards.
    pub forward: ForwardPolicy,
    /// Counters of its own. (envoy: config.route.v3.Route.stat_prefix)
    pub stats: Option<Box<RouteStats>>,
    /// What the other side is told that a request is. (envoy: config.route.v3.Decorator)
    pub operation: Option<Box<[u8]>>,
    /// What the control plane says of it.
    pub metadata: Option<Arc<Metadata>>,
}

/// What a route with a `stat_prefix` counts.
#[derive(Debug)]
pub struct RouteStats {
    /// Its answers and their times.
    pub codes: CodeStats,
    /// Its requests.
    pub requests: VirtualClusterStats,
}

/// What one level of configuration does to heads.
#[derive(Debug, Default)]
pub struct LevelOps {
    /// Requests.
    pub request: HeaderOps,
    /// Responses.
    pub response: HeaderOps,
}

/// A cluster as a route names it.
#[derive(Debug)]
pub struct TargetCluster {
    /// Its name; it need not exist.
    pub name: Arc<str>,
    /// Changes to heads that go with it.
    pub header_ops: Option<Arc<LevelOps>>,
    /// The host that it is asked for, before the route's own rewrite.
    /// (envoy: WeightedCluster.ClusterWeight.host_rewrite_literal)
    pub host_rewrite: Option<Box<str>>,
    /// Changes to the filters' settings that go with it.
    pub overrides: Arc<FilterOverrides>,
}

/// How a request is forwarded. (envoy: config.route.v3.RouteAction)
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of Envoy's message")]
pub struct ForwardPolicy {
    /// Timeouts of the route and its attempts.
    pub timeouts: TimeoutPolicy,
    /// Idle timeout of the stream: zero is none; `None` is the connection manager's.
    /// (envoy: idle_timeout)
    pub idle_timeout: Option<Duration>,
    /// Retries; shared by the routes of a virtual host.
    pub retry: Arc<RetryPolicy>,
    /// The path that the upstream is asked for.
    pub path_rewrite: Option<PathRewrite>,
    /// The host that the upstream is asked for.
    pub host_rewrite: Option<HostRewrite>,
    /// The host of the chosen endpoint. (envoy: auto_host_rewrite)
    pub auto_host_rewrite: bool,
    /// The client's host goes into `x-forwarded-host`. (envoy: append_x_forwarded_host)
    pub append_x_forwarded_host: bool,
    /// Which limits of the cluster's count.
    pub priority: RoutingPriority,
    /// Status where the cluster does not exist. (envoy: cluster_not_found_response_code)
    pub cluster_not_found_status: u16,
    /// Copies of the request that are sent elsewhere; shared as retries are.
    pub mirrors: Arc<[MirrorPolicy]>,
    /// Upgrades that are served here, or not, whatever the connection manager says; in lower case.
    /// (envoy: upgrade_configs)
    pub upgrades: Box<[(Box<str>, bool)]>,
    /// The upstream learns which attempt it is. (envoy: VirtualHost.include_request_attempt_count)
    pub attempt_count_in_request: bool,
    /// The client learns how many attempts there were.
    /// (envoy: VirtualHost.include_attempt_count_in_response)
    pub attempt_count_in_response: bool,
    /// Bytes of a request kept for another attempt, if not the cluster's.
    /// (envoy: VirtualHost.per_request_buffer_limit_bytes)
    pub buffer_limit_bytes: Option<usize>,
}

/// A copy of a share of requests. (envoy: RouteAction.RequestMirrorPolicy)
#[derive(Debug)]
pub struct MirrorPolicy {
    /// Where it goes.
    pub cluster: Arc<str>,
    /// How many are copied; `None` means all.
    pub fraction: Option<Fraction>,
    /// The host is not marked by `-shadow`. (envoy: disable_shadow_host_suffix_append)
    pub keeps_host: bool,
}

/// A route that a request keeps.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The route.
    pub route: Arc<Route>,
    /// The cluster that was chosen, for routes that forward to a configured one.
    pub target: Option<Arc<TargetCluster>>,
}

impl Pinned {
    /// The route's entry.
    #[must_use]
    pub fn entry(&self) -> &RouteEntry {
        &self.route.payload
    }

    /// Levels of header changes in the order in which they are applied.
    fn levels(&self) -> impl Iterator<Item = &LevelOps> {
        let entry = self.entry();
        let own = self.target.iter().filter_map(|target| target.header_ops.as_deref());
        let levels = own.chain(entry.header_ops.iter().map(|level| &**level));
        let mut levels: smallvec::SmallVec<[&LevelOps; 4]> = levels.collect();
        if entry.most_specific_wins {
            levels.reverse();
        }
        levels.into_iter()
    }
}

/// What is known of the route once it was looked for.
#[derive(Clone, Debug, Default)]
pub enum Routing {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// This one.
    Pinned(Pinned),
    /// None, and why.
    None(NoRoute),
}

/// Why a request has no route.
#[derive(Clone, Debug)]
pub enum NoRoute {
    /// The route configuration of this name has not arrived.
    NoTable(Arc<str>),
    /// No virtual host serves the authority.
    NoVirtualHost,
    /// The virtual host of this name has no route for it.
    NoMatch(Box<str>),
    /// The virtual host demands TLS.
    TlsRequired,
}

/// Makes a [`RouteStage`].
#[derive(Clone, Copy, Debug)]
pub struct RouteLayer;

/// The stage.
#[derive(Clone, Copy, Debug)]
pub struct RouteStage<S> {
    next: S,
}

impl<S> Layer<S> for RouteLayer {
    type Service = RouteStage<S>;

    fn layer(&self, next: S) -> RouteStage<S> {
        RouteStage { next }
    }
}

impl<S: Stage> Service<Box<Exchange>> for RouteStage<S> {
    type Response = Box<Exchange>;
    type Error = std::convert::Infallible;
    type Future = Pass<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut exchange: Box<Exchange>) -> Self::Future {
        let Exchange { manager, request, is_internal, random, .. } = &mut *exchange;
        let mut find = |table: &RouteTable| {
            if !*is_internal {
                remove_internal_only(table, request);
            }
            find_route(table, request, *random)
        };
        let routing = match &manager.routes {
            RouteSource::Inline(table) => find(table),
            RouteSource::Named(name) => match worker::snapshot(|s| s.route_table(name)) {
                Some(table) => find(&table),
                None => Routing::None(NoRoute::NoTable(name.clone())),
            },
        };
        let mut is_served = true;
        if let Routing::Pinned(pinned) = &routing {
            pin(pinned, &mut exchange);
            let of_route = &pinned.entry().forward.upgrades;
            is_served = serves_upgrade(&exchange.request, of_route, &exchange.manager.upgrades);
        }
        exchange.routing = routing;
        if is_served {
            operation::tell_upstream(&mut exchange);
            return Pass::on(self.next.call(exchange));
        }
        exchange.closes_connection = true;
        LocalReply::new(403, "upgrade_failed").because(CauseCode::Refused).answer(&mut exchange);
        Pass::answered(exchange)
    }
}

/// True unless the request asks for an upgrade that neither the route nor, where the route is silent, the
/// connection manager serves.
fn serves_upgrade(
    request: &RequestHead,
    of_route: &[(Box<str>, bool)],
    of_manager: &[Box<str>],
) -> bool {
    if !is_upgrade(request) {
        return true;
    }
    let asked = request.headers.get(Id::UPGRADE).unwrap_or_default();
    let is_asked = |name: &str| asked.eq_ignore_ascii_case(name.as_bytes());
    match of_route.iter().find(|(name, _)| is_asked(name)) {
        Some((_, is_enabled)) => *is_enabled,
        None => of_manager.iter().any(|served| is_asked(served)),
    }
}

/// Takes headers off a request from outside that only those from inside may have.
fn remove_internal_only(table: &RouteTable, request: &mut Rc<RequestHead>) {
    for name in table.internal_only_headers() {
        Rc::make_mut(request).headers.remove_name(name);
    }
}

fn find_route(table: &RouteTable, request: &RequestHead, random: u64) -> Routing {
    match table.find(request, random) {
        Lookup::Matched { route, .. } => {
            let target = match &route.payload.action {
                Action::Forward(target) => match target.choose(request, random) {
                    Choice::Cluster(cluster) => Some(cluster.clone()),
                    Choice::Named(name) => Some(Arc::new(TargetCluster {
                        name: String::from_utf8_lossy(name).into(),
                        header_ops: None,
                        host_rewrite: None,
                        overrides: Arc::default(),
                    })),
                },
                _ => None,
            };
            Routing::Pinned(Pinned { route: route.clone(), target })
        }
        Lookup::TlsRequired { .. } => Routing::None(NoRoute::TlsRequired),
        Lookup::NoRoute { virtual_host } => {
            Routing::None(NoRoute::NoMatch(virtual_host.name().into()))
        }
        Lookup::NoVirtualHost => Routing::None(NoRoute::NoVirtualHost),
    }
}

fn pin(pinned: &Pinned, exchange: &mut Exchange) {
    let entry = pinned.entry();
    exchange.info.route_name = entry.name.clone();
    exchange.info.route_metadata.clone_from(&entry.metadata);
    exchange.info.virtual_host = Some(entry.virtual_host.clone());
    exchange.info.cluster_name = pinned.target.as_ref().map(|target| target.name.clone());
    if matches!(entry.action, Action::Forward(_)) {
        if let Some(idle) = entry.forward.idle_timeout {
            exchange.progress.set_idle_timeout(Some(idle).filter(|idle| !idle.is_zero()));
        }
        let manager_max_ms = exchange.manager.timeouts.max_stream_duration.map(as_millis);
        let limit = entry.forward.timeouts.stream_duration(exchange.request_mut(), manager_max_ms);
        let start = exchange.info.start;
        let deadline = limit.map(|limit| start + limit);
        exchange.progress.set(super::timer::Slot::MaxDuration, deadline);
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Applies what the route adds to and removes from the request.
pub fn apply_request_headers(exchange: &mut Exchange) {
    let Routing::Pinned(pinned) = &exchange.routing else { return };
    let pinned = pinned.clone();
    for level in pinned.levels() {
        level.request.apply_to_request(exchange);
    }
}

/// Applies what the route adds to and removes from the response, be it an upstream's or our own.
pub fn apply_response_headers(exchange: &mut Exchange) {
    // A value may say which code it goes with.
    exchange.info.response_code = exchange.response.status;
    let Routing::Pinned(pinned) = &exchange.routing else { return };
    let pinned = pinned.clone();
    for level in pinned.levels() {
        level.response.apply_to_response(exchange);
    }
}

#[cfg(test)]
mod tests {
    use outrigger_policy::head::{Name, Protocol};
    use outrigger_policy::route::RouteTableSpec;

    use super::*;

    #[test]
    fn a_route_decides_about_upgrades_before_the_connection_manager() {
        let manager: [Box<str>; 2] = ["websocket".into(), "other".into()];
        let route: [(Box<str>, bool); 2] = [("websocket".into(), false), ("third".into(), true)];
        let mut head = RequestHead::new(b"GET", b"a", b"/");
        head.protocol = Protocol::Http11;
        assert!(serves_upgrade(&head, &route, &[]), "it asks for none");
        head.headers.set(Id::CONNECTION, b"upgrade");
        for (asked, is_served) in
            [("WebSocket", false), ("Other", true), ("THIRD", true), ("fourth", false)]
        {
            head.headers.set(Id::UPGRADE, asked.as_bytes());
            assert_eq!(serves_upgrade(&head, &route, &manager), is_served, "{asked}");
        }
    }

    #[test]
    fn headers_of_the_inside_are_taken_off() {
        let table = RouteTable::new(RouteTableSpec {
            name: "t".into(),
            ignore_port_in_host_matching: false,
            internal_only_headers: vec![Name::new("X-Inside")],
            virtual_hosts: Vec::new(),
        });
        let mut head = Rc::new(RequestHead::new(b"GET", b"a", b"/"));
        for name in ["x-inside", "x-outside", "x-inside"] {
            Rc::make_mut(&mut head).headers.append_name(&Name::new(name), b"1");
        }
        remove_internal_only(&table.unwrap(), &mut head);
        let left: Vec<_> = head.headers.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(left, [b"x-outside"]);
    }
}
