//! Stage: the HTTP filters, in the order that the configuration gives.
//!
//! A filter is a variant of an enum and looks at a request synchronously; one that has to wait says for how long and is asked again. After
//! the response the filters look at it in reverse. To add one: its file, and its line in `filters!`.

mod alpn;
mod compressor;
mod cors;
mod fault;
mod grpc_stats;
mod istio_stats;
mod peer_metadata;
mod rbac;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::local_reply::LocalReply;
use super::timer::Slot;
use crate::exchange::Exchange;
use crate::stage::{Stage, StageFuture};
use crate::tls::Alpn;
use crate::upstream::Cluster;
use crate::worker;

pub use alpn::AlpnFilter;
pub use compressor::CompressorFilter;
pub use cors::CorsFilter;
pub use fault::FaultFilter;
pub use grpc_stats::{CountedMessages, GrpcStatsFilter, Methods};
pub use istio_stats::IstioStatsFilter;
pub use peer_metadata::{PeerMetadataFilter, Propagation};
pub use rbac::{DecisionKeys, RbacConfig, RbacFilter, request_of};

/// What a filter wants to happen with a request.
#[derive(Debug)]
pub enum Step {
    /// The next filter.
    Continue,
    /// This answer, and no further filter.
    Answer(Box<LocalReply>),
    /// A pause; then the same filter is asked again.
    Pause(Duration),
}

macro_rules! filters {
    ($($variant:ident: $Filter:ty = $type_url:literal),+ $(,)?) => {
        /// An HTTP filter.
        #[derive(Debug)]
        pub enum Filter {
            $(#[doc = $type_url] $variant($Filter),)+
        }

        impl Filter {
            /// Types of the messages that configure a filter. The router's is not here: it is a stage of its own.
            pub const TYPES: &[&str] = &[$($type_url),+];

            fn on_request(&self, exchange: &mut Exchange, overrides: Option<&FilterOverride>) -> Step {
                match self { $(Self::$variant(filter) => filter.on_request(exchange, overrides)),+ }
            }

            fn on_response(&self, exchange: &mut Exchange) {
                match self { $(Self::$variant(filter) => filter.on_response(exchange)),+ }
            }
        }

        #[cfg(test)]
        const FILES: &[&str] = &[$(stringify!($variant)),+];
    };
}

filters! {
    Alpn: AlpnFilter = "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    Compressor: CompressorFilter = "envoy.extensions.filters.http.compressor.v3.Compressor",
    Cors: CorsFilter = "envoy.extensions.filters.http.cors.v3.Cors",
    Fault: FaultFilter = "envoy.extensions.filters.http.fault.v3.HTTPFault",
    GrpcStats: GrpcStatsFilter = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
    IstioStats: IstioStatsFilter = "stats.PluginConfig",
    PeerMetadata: PeerMetadataFilter = "io.istio.http.peer_metadata.Config",
    Rbac: RbacFilter = "envoy.extensions.filters.http.rbac.v3.RBAC",
}

/// A filter in its place.
#[derive(Debug)]
pub struct PlacedFilter {
    /// The name by which routes override its settings.
    pub name: Arc<str>,
    /// It does nothing unless a route says otherwise. (envoy: HttpFilter.disabled)
    pub is_disabled: bool,
    /// The filter.
    pub filter: Filter,
}

/// The filters of a connection manager.
#[derive(Debug, Default)]
pub struct FilterChain {
    /// In the order of requests.
    pub filters: Box<[PlacedFilter]>,
}

/// What a route changes for one filter. (envoy: typed_per_filter_config)
#[derive(Clone, Debug)]
pub enum FilterOverride {
    /// It does nothing.
    Disabled,
    /// It does what the connection manager says, even if that disables it.
    Enabled,
    /// Another cross-origin policy.
    Cors(Arc<outrigger_policy::cors::CorsPolicy>),
    /// Other faults.
    Fault(Arc<outrigger_policy::fault::Fault>),
    /// Other rules.
    Rbac(Arc<RbacConfig>),
}

/// What a route changes for all filters, by their names. Few routes change anything, and few filters are named: a search is
/// enough.
#[derive(Clone, Debug, Default)]
pub struct FilterOverrides {
    /// Name and change: all of it, whatever a less specific level says about the filter.
    pub by_name: Vec<(Arc<str>, FilterOverride)>,
    /// What a less specific level changes for filters that are not named here.
    pub inherited: Option<Arc<Self>>,
}

impl FilterOverrides {
    /// What is changed for the filter `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&FilterOverride> {
        let own = self.by_name.iter().find(|(overridden, _)| **overridden == *name);
        match own {
            Some((_, change)) => Some(change),
            None => self.inherited.as_ref().and_then(|less_specific| less_specific.of(name)),
        }
    }
}

/// What filters remember of a request.
#[derive(Debug, Default)]
pub struct FilterState {
    cors: Option<cors::State>,
    fault: Option<fault::State>,
    peer_metadata: peer_metadata::State,
    accepted: compressor::Accepted,
    grpc_stats: Option<grpc_stats::State>,
    /// What is offered in TLS to the upstream, if a filter has said so.
    pub alpn: Option<Arc<Alpn>>,
}

/// Makes a [`Filters`].
#[derive(Clone, Copy, Debug)]
pub struct FiltersLayer;

/// The stage.
#[derive(Clone, Copy, Debug)]
pub struct Filters<S> {
    next: S,
}

impl<S> Layer<S> for FiltersLayer {
    type Service = Filters<S>;

    fn layer(&self, next: S) -> Filters<S> {
        Filters { next }
    }
}

impl<S: Stage + Clone> Service<Box<Exchange>> for Filters<S> {
    type Response = Box<Exchange>;
    type Error = Infallible;
    type Future = FiltersFuture<S, S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut exchange: Box<Exchange>) -> Self::Future {
        let chain = exchange.manager.filters.clone();
        let state = match run(&chain, 0, &mut exchange) {
            Run::Passed => State::Next { next: self.next.call(exchange) },
            Run::Answered => State::Answered { exchange: Some(exchange) },
            Run::Paused(position) => State::Paused { exchange: Some(exchange), position },
        };
        FiltersFuture { next: self.next.clone(), chain, state }
    }
}

enum Run {
    Passed,
    Answered,
    /// The filter at this position wants a pause.
    Paused(usize),
}

fn run(chain: &FilterChain, from: usize, exchange: &mut Exchange) -> Run {
    for (position, placed) in chain.filters.iter().enumerate().skip(from) {
        let overrides = exchange.filter_override(&placed.name);
        let is_off = match overrides {
            Some(FilterOverride::Disabled) => true,
            None => placed.is_disabled,
            Some(_) => false,
        };
        if is_off {
            continue;
        }
        match placed.filter.on_request(exchange, overrides.as_ref()) {
            Step::Continue => {}
            Step::Answer(reply) => {
                reply.answer(exchange);
                return Run::Answered;
            }
            Step::Pause(pause) => {
                exchange.progress.set_after(Slot::Pause, Some(pause));
                return Run::Paused(position);
            }
        }
    }
    Run::Passed
}

/// Counts what filters know only when an exchange is over.
pub fn close(exchange: &Exchange) {
    for placed in &exchange.manager.filters.filters {
        if let Filter::GrpcStats(filter) = &placed.filter {
            filter.close(exchange);
        }
    }
}

impl Exchange {
    /// The cluster that the route has chosen, as far as there is one.
    fn chosen_cluster(&self) -> Option<Arc<Cluster>> {
        let name = self.info.cluster_name.as_deref()?;
        worker::snapshot(|snapshot| snapshot.cluster(name))
    }

    /// What the route of this request, or its weighted cluster, changes for the filter `name`.
    fn filter_override(&self, name: &str) -> Option<FilterOverride> {
        let super::route::Routing::Pinned(pinned) = &self.routing else { return None };
        let of_target = pinned.target.as_ref().and_then(|target| target.overrides.of(name));
        of_target.or_else(|| pinned.entry().overrides.of(name)).cloned()
    }
}

pin_project! {
    /// The future of [`Filters`].
    pub struct FiltersFuture<S, F> {
        next: S,
        chain: Arc<FilterChain>,
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Paused { exchange: Option<Box<Exchange>>, position: usize },
        Next { #[pin] next: F },
        Answered { exchange: Option<Box<Exchange>> },
    }
}

impl<S: Stage> Future for FiltersFuture<S, S::Future> {
    type Output = Result<Box<Exchange>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let answered = match this.state.as_mut().project() {
                StateProj::Next { next } => std::task::ready!(next.poll(cx)).ok(),
                StateProj::Answered { exchange } => exchange.take(),
                StateProj::Paused { exchange, position } => {
                    let Some(paused) = exchange else { return Poll::Pending };
                    std::task::ready!(paused.progress.poll(cx, Slot::Pause));
                    paused.progress.set(Slot::Pause, None);
                    let outcome = run(this.chain, *position, paused);
                    if let Run::Paused(at) = outcome {
                        *position = at;
                        continue;
                    }
                    let Some(exchange) = exchange.take() else { return Poll::Pending };
                    let state = match outcome {
                        Run::Passed => State::Next { next: this.next.call(exchange) },
                        _ => State::Answered { exchange: Some(exchange) },
                    };
                    this.state.set(state);
                    continue;
                }
            };
            let Some(mut exchange) = answered else { return Poll::Pending };
            for placed in this.chain.filters.iter().rev() {
                placed.filter.on_response(&mut exchange);
            }
            return Poll::Ready(Ok(exchange));
        }
    }
}

impl<S: Stage> StageFuture for FiltersFuture<S, S::Future> {
    fn abandon(self: Pin<&mut Self>) -> Option<Box<Exchange>> {
        match self.project().state.project() {
            StateProj::Next { next } => next.abandon(),
            StateProj::Answered { exchange } | StateProj::Paused { exchange, .. } => {
                exchange.take()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_this_folder_has_its_line() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/filters");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "mod.rs")
            .map(|name| name.trim_end_matches(".rs").replace('_', ""))
            .collect();
        files.sort();
        let mut listed: Vec<_> = FILES.iter().map(|name| name.to_lowercase()).collect();
        listed.sort();
        assert_eq!(files, listed);
        assert_eq!(Filter::TYPES.len(), FILES.len());
    }
}
