//! What a mesh adds to a request: a peer's word in its header lines, read, taken out and answered, and the report to Istio's metrics when it
//! is over.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use outrigger::exchange::Exchange;
use outrigger::http::HttpConnectionManager;
use outrigger::peer::{Own, Peer};
use outrigger::telemetry::istio;
use outrigger::tls::{PeerCertificate, TlsInfo};
use outrigger_policy::authz::PeerIdentity;

use super::filters::Filters;
use super::stream::{self, Sidecar};

/// What Istio gives an inbound sidecar to measure with.
const BOOTSTRAP: &str = r#"
node:
  id: sidecar~10.0.0.1~items-0.shop~shop.svc.cluster.local
  metadata:
    NAME: items-0
    NAMESPACE: shop
    WORKLOAD_NAME: items-v1
    CLUSTER_ID: Kubernetes
    LABELS: {app: items, version: v1, service.istio.io/canonical-name: items, service.istio.io/canonical-revision: v1}
static_resources:
  clusters:
  - name: up
    type: STATIC
    metadata: {filter_metadata: {istio: {services: [{host: items.shop.svc.cluster.local, name: items, namespace: shop}]}}}
    load_assignment: {cluster_name: up, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 2}}}}]}]}
  listeners:
  - name: in
    traffic_direction: INBOUND
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up}}]}]}
          http_filters:
          - name: istio.metadata_exchange
            typed_config:
              "@type": type.googleapis.com/udpa.type.v1.TypedStruct
              type_url: type.googleapis.com/io.istio.http.peer_metadata.Config
              value: {downstream_discovery: [{istio_headers: {}}], downstream_propagation: [{istio_headers: {}}]}
          - name: istio.stats
            typed_config:
              "@type": type.googleapis.com/stats.PluginConfig
              disable_host_header_fallback: true
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

/// The filters of a mesh, and an exchange that has passed them and is over.
pub struct Mesh {
    filters: Filters,
    manager: Arc<HttpConnectionManager>,
    said: String,
    over: Box<Exchange>,
}

impl Mesh {
    /// The client has been heard before, and such an exchange was reported.
    ///
    /// # Errors
    /// If the bootstrap is refused.
    pub fn new() -> Result<Self> {
        let Sidecar { manager, cluster, .. } =
            Sidecar::of(BOOTSTRAP.to_owned(), tempfile::tempdir()?)?;
        let mut filters = Filters::of(manager.clone());
        let said = client().header(&[]);
        let mut over =
            filters.pass(exchange(&manager, &said)).context("a filter waits for something")?;
        let info = &mut over.info;
        info.response_code = 200;
        (info.wire_received, info.wire_sent) = (300, 900);
        info.timing.end = Some(info.start);
        info.upstream.borrow_mut().cluster = Some(cluster);
        let mesh = Self { filters, manager, said, over };
        mesh.report();
        Ok(mesh)
    }

    /// A request that comes to the filters, as the client's proxy sends it.
    #[must_use]
    pub fn exchange(&self) -> Box<Exchange> {
        exchange(&self.manager, &self.said)
    }

    /// The request after the filters and its response.
    pub fn pass(&mut self, exchange: Box<Exchange>) -> Option<Box<Exchange>> {
        self.filters.pass(exchange)
    }

    /// Reports the exchange.
    pub fn report(&self) {
        istio::report(&self.over);
    }
}

fn client() -> Own {
    let peer = Peer {
        workload: "shopper-v2".into(),
        namespace: "shop".into(),
        cluster: "Kubernetes".into(),
        canonical_name: "shopper".into(),
        canonical_revision: "v2".into(),
        app: "shopper".into(),
        version: "v2".into(),
        ..Peer::default()
    };
    Own { peer, instance: "shopper-0".into(), ..Own::default() }
}

fn exchange(manager: &Arc<HttpConnectionManager>, said: &str) -> Box<Exchange> {
    let mut exchange = stream::exchange(manager);
    let headers = &mut exchange.request_mut().headers;
    headers.append(b"x-envoy-peer-metadata-id", b"sidecar~10.0.0.2~shopper-0.shop~shop.svc");
    headers.append(b"x-envoy-peer-metadata", said.as_bytes());
    if let Some(connection) = Rc::get_mut(&mut exchange.info.connection) {
        connection.tls = Some(tls());
    }
    exchange
}

fn tls() -> TlsInfo {
    let uris = |account: &str| [format!("spiffe://cluster.local/ns/shop/sa/{account}").into()];
    let identity = PeerIdentity { uri_sans: uris("shopper").into(), ..PeerIdentity::default() };
    let peer = Some(PeerCertificate { identity, ..PeerCertificate::default() });
    TlsInfo { local_uris: uris("items").into(), peer, ..TlsInfo::default() }
}

#[cfg(test)]
mod tests {
    use outrigger_policy::head::Id;

    use super::*;

    #[test]
    fn the_client_is_heard_and_answered_and_the_exchange_counted() {
        let mut mesh = Mesh::new().unwrap();
        let exchange = mesh.exchange();
        let passed = mesh.pass(exchange).unwrap();
        let peer = passed.info.downstream_peer.peer().unwrap();
        assert_eq!(&*peer.workload, "shopper-v2");
        assert!(passed.request.headers.get(Id::X_ENVOY_PEER_METADATA).is_none());
        assert!(passed.response.headers.get(Id::X_ENVOY_PEER_METADATA).is_some());
        mesh.report();
    }
}
