//! What is offered in TLS by the protocol of the request. (istio: `istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig`)

use std::sync::Arc;

use outrigger_xds_api::istio::alpn::{AlpnOverride, FilterConfig as Message, Protocol};

use crate::config::common::{Translated, enumeration};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::filters::AlpnFilter;
use crate::tls::Alpn;

pub(super) fn filter(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<AlpnFilter> {
    fields!(cx, at, message => Message { used: alpn_override; });
    let mut offers = [None, None, None];
    let list_at = at.field("alpn_override");
    for (index, message) in alpn_override.into_iter().enumerate() {
        let at = list_at.index(index);
        fields!(cx, at, message => AlpnOverride { used: upstream_protocol, alpn_override; });
        let protocols_at = at.field("alpn_override");
        if alpn_override.iter().any(|name| !(1..=255).contains(&name.len())) {
            return Err(protocols_at.error("a name must have between 1 and 255 bytes"));
        }
        let names: Vec<_> = alpn_override.into_iter().map(String::into_bytes).collect();
        let place = match enumeration(upstream_protocol, &at.field("upstream_protocol"))? {
            Protocol::Http10 => 0,
            Protocol::Http11 => 1,
            Protocol::Http2 => 2,
        };
        // The first for a protocol counts, as in Istio.
        if let Some(offer @ None) = offers.get_mut(place) {
            *offer = (!names.is_empty()).then(|| Arc::new(Alpn::new(names)));
        }
    }
    Ok(AlpnFilter { offers })
}
