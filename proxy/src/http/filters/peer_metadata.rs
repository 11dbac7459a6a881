//! Two proxies of a mesh tell each other who they are, in header lines of requests and responses. (istio: `istio.metadata_exchange` of HTTP)
//!
//! The client's says it with every request; the server's answers only those who did. What was said never reaches an application.

use std::sync::Arc;

use outrigger_policy::head::{Headers, Id};

use super::{FilterOverride, Step};
use crate::exchange::Exchange;
use crate::peer::cache;
use crate::telemetry::Told;

/// The filter.
#[derive(Debug)]
pub struct PeerMetadataFilter {
    /// Clients are listened to.
    pub discovers_downstream: bool,
    /// Upstreams are listened to.
    pub discovers_upstream: bool,
    /// What clients are told.
    pub tells_downstream: Option<Propagation>,
    /// What upstreams are told.
    pub tells_upstream: Option<Propagation>,
}

/// What is said of us.
#[derive(Clone, Debug)]
pub struct Propagation {
    /// Our id.
    pub id: Arc<[u8]>,
    /// Our metadata.
    pub value: Arc<[u8]>,
    /// Not to clusters outside of the mesh. (istio: `skip_external_clusters`)
    pub skips_external: bool,
}

/// What the client has sent of the two lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    has_id: bool,
    has_value: bool,
}

impl PeerMetadataFilter {
    pub(super) fn on_request(&self, exchange: &mut Exchange, _: Option<&FilterOverride>) -> Step {
        if self.discovers_downstream {
            let headers = &exchange.request.headers;
            let has = |id| headers.contains(id);
            let (has_id, has_value) =
                (has(Id::X_ENVOY_PEER_METADATA_ID), has(Id::X_ENVOY_PEER_METADATA));
            exchange.filters.peer_metadata = State { has_id, has_value };
            exchange.info.downstream_peer = told(headers);
            if has_id || has_value {
                remove(&mut exchange.request_mut().headers);
            }
        }
        if let Some(tells) = &self.tells_upstream
            && tells.applies_to(exchange)
        {
            let headers = &mut exchange.request_mut().headers;
            headers.set(Id::X_ENVOY_PEER_METADATA_ID, &tells.id);
            headers.set(Id::X_ENVOY_PEER_METADATA, &tells.value);
        }
        Step::Continue
    }

    pub(super) fn on_response(&self, exchange: &mut Exchange) {
        if self.discovers_upstream {
            let peer = told(&exchange.response.headers);
            exchange.info.upstream.borrow_mut().peer = peer;
            remove(&mut exchange.response.headers);
        }
        let State { has_id, has_value } = exchange.filters.peer_metadata;
        if let Some(tells) = &self.tells_downstream
            && (has_id || has_value)
            && tells.applies_to(exchange)
        {
            let headers = &mut exchange.response.headers;
            if has_id {
                headers.set(Id::X_ENVOY_PEER_METADATA_ID, &tells.id);
            }
            if has_value {
                headers.set(Id::X_ENVOY_PEER_METADATA, &tells.value);
            }
        }
    }
}

impl Propagation {
    fn applies_to(&self, exchange: &Exchange) -> bool {
        let Some(cluster) = exchange.chosen_cluster() else { return true };
        let mesh = &cluster.settings.mesh;
        let is_external = mesh.is_external || *cluster.name == *"PassthroughCluster";
        !(mesh.disables_exchange || self.skips_external && is_external)
    }
}

/// Who the lines describe.
fn told(headers: &Headers) -> Told {
    let value = headers.get(Id::X_ENVOY_PEER_METADATA).filter(|value| !value.is_empty());
    let id = headers.get(Id::X_ENVOY_PEER_METADATA_ID).unwrap_or_default();
    value.and_then(|value| cache::of_header(id, value)).map_or(Told::Nothing, Told::Peer)
}

fn remove(headers: &mut Headers) {
    headers.remove(Id::X_ENVOY_PEER_METADATA_ID);
    headers.remove(Id::X_ENVOY_PEER_METADATA);
}
