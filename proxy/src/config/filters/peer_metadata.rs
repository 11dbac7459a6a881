//! How proxies of a mesh tell each other who they are: in header lines, and before the bytes of a TCP connection.
//! (istio: `io.istio.http.peer_metadata.Config`, `envoy.tcp.metadataexchange.config.MetadataExchange`)

use std::sync::Arc;

use crate::config::common::Translated;
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::typed_struct::Members;
use crate::http::filters::{PeerMetadataFilter, Propagation};
use crate::listener::network::PeerExchange;
use crate::peer::exchange::frame;

/// Type of the HTTP filter's configuration.
pub(in crate::config) const HTTP: &str = "io.istio.http.peer_metadata.Config";
/// Type of the configuration of the filter of TCP connections, both ways.
pub(in crate::config) const TCP: &str = "envoy.tcp.metadataexchange.config.MetadataExchange";
/// What ALPN chooses where nothing else is said.
const PROTOCOL: &str = "istio-peer-exchange";

pub(super) fn http(
    mut config: Members,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<PeerMetadataFilter> {
    if config.flag("shared_with_upstream", at)? {
        cx.note_ignored(&at.field("shared_with_upstream"), "there are no filters of attempts");
    }
    let labels = config.texts("additional_labels", at)?;
    let filter = PeerMetadataFilter {
        discovers_downstream: discovers(&mut config, "downstream_discovery", at, cx)?,
        discovers_upstream: discovers(&mut config, "upstream_discovery", at, cx)?,
        tells_downstream: tells(&mut config, "downstream_propagation", &labels, at, cx)?,
        tells_upstream: tells(&mut config, "upstream_propagation", &labels, at, cx)?,
    };
    config.finish(at, cx);
    Ok(filter)
}

/// True if the other side's header lines are read.
fn discovers(config: &mut Members, name: &str, at: &At<'_>, cx: &Cx<'_>) -> Translated<bool> {
    let mut discovers = false;
    let list_at = at.field(name);
    for (index, mut method) in config.list_of_members(name, at)?.into_iter().enumerate() {
        let at = list_at.index(index);
        if let Some(headers) = method.members("istio_headers", &at)? {
            headers.finish(&at.field("istio_headers"), cx);
            discovers = true;
        }
        if method.members("workload_discovery", &at)?.is_some() {
            let reason = "nobody tells which workload has which address";
            cx.note_ignored(&at.field("workload_discovery"), reason);
        }
        for (other, what) in [
            ("baggage", "a peer that tells itself in baggage"),
            ("upstream_filter_state", "a peer that the state of another filter describes"),
        ] {
            if method.members(other, &at)?.is_some() {
                return Err(at.field(other).unsupported(what));
            }
        }
        method.finish(&at, cx);
    }
    Ok(discovers)
}

/// What the other side is told.
fn tells(
    config: &mut Members,
    name: &str,
    labels: &[String],
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<Propagation>> {
    let mut tells = None;
    let list_at = at.field(name);
    for (index, mut method) in config.list_of_members(name, at)?.into_iter().enumerate() {
        let at = list_at.index(index);
        if let Some(mut headers) = method.members("istio_headers", &at)? {
            let headers_at = at.field("istio_headers");
            let skips_external = headers.flag("skip_external_clusters", &headers_at)?;
            headers.finish(&headers_at, cx);
            let own = cx.own();
            let id: Arc<[u8]> = own.node_id.as_bytes().into();
            if !id.iter().all(|byte| outrigger_policy::head::is_value_byte(*byte)) {
                return Err(headers_at.error("the node's id holds a control character"));
            }
            let value = own.header(labels).into_bytes().into();
            tells = Some(Propagation { id, value, skips_external });
        }
        if method.members("baggage", &at)?.is_some() {
            return Err(at.field("baggage").unsupported("telling ourselves in baggage"));
        }
        method.finish(&at, cx);
    }
    Ok(tells)
}

/// The filter of TCP connections, both ways.
pub(in crate::config) fn exchange(
    config: Members,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Arc<PeerExchange>> {
    let mut config = config;
    let protocol = config.text("protocol", at)?;
    if config.flag("enable_discovery", at)? {
        let reason = "nobody tells which workload has which address";
        cx.note_ignored(&at.field("enable_discovery"), reason);
    }
    let labels = config.texts("additional_labels", at)?;
    config.finish(at, cx);
    Ok(Arc::new(PeerExchange {
        protocol: if protocol.is_empty() { PROTOCOL.into() } else { protocol.into() },
        frame: frame(&cx.own(), &labels).into(),
        stats: cx.registry.stats("metadata_exchange."),
    }))
}
