//! What is offered in TLS to the upstream follows from the protocol of the request. (istio: `istio.alpn`)
//!
//! Servers of the mesh choose their filter chain by it: they learn that they are spoken to by a proxy, and what in.

use std::sync::Arc;

use outrigger_policy::head::Protocol;

use super::{FilterOverride, Step};
use crate::exchange::Exchange;
use crate::tls::Alpn;
use crate::upstream::cluster::HttpVersion;

/// The filter.
#[derive(Debug)]
pub struct AlpnFilter {
    /// For HTTP/1.0, HTTP/1.1 and HTTP/2; `None` leaves what the cluster says.
    pub offers: [Option<Arc<Alpn>>; 3],
}

impl AlpnFilter {
    pub(super) fn on_request(&self, exchange: &mut Exchange, _: Option<&FilterOverride>) -> Step {
        let Some(cluster) = exchange.chosen_cluster() else { return Step::Continue };
        if cluster.settings.mesh.keeps_alpn {
            return Step::Continue;
        }
        let spoken = match (cluster.settings.http.version, exchange.request.protocol) {
            (HttpVersion::Http1, _) => Protocol::Http11,
            (HttpVersion::Http2, _) => Protocol::Http2,
            (HttpVersion::Downstream, protocol) => protocol,
        };
        let [http10, http11, http2] = &self.offers;
        let offer = match spoken {
            Protocol::Http10 => http10,
            Protocol::Http11 => http11,
            Protocol::Http2 => http2,
        };
        exchange.filters.alpn.clone_from(offer);
        Step::Continue
    }

    #[expect(clippy::unused_self, reason = "the form of every filter")]
    pub(super) const fn on_response(&self, _: &mut Exchange) {}
}
