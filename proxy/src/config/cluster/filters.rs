//! Filters of upstream connections. (envoy: config.cluster.v3.Filter)

use std::sync::Arc;

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::cluster::v3::Filter;

use crate::config::common::{Translated, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::filters::peer_metadata;
use crate::config::typed_struct;
use crate::listener::network::PeerExchange;

/// The exchange of metadata: the one filter that there is.
pub(super) fn peer_exchange(
    messages: Vec<Filter>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<Arc<PeerExchange>>> {
    let mut exchange = None;
    for (index, message) in messages.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => Filter {
            used: name, typed_config;
            refused: config_discovery = "discovery of a filter of upstream connections";
        });
        non_empty(name, &at.field("name"))?;
        let at = at.field("typed_config");
        let config = required(typed_config, &at)?;
        match typed_struct::unwrap(&config, &at)? {
            Some((type_url, members)) if any::type_name(&type_url) == Some(peer_metadata::TCP) => {
                exchange = Some(peer_metadata::exchange(members, &at, cx)?);
            }
            inner => {
                let type_url = inner.map_or(config.type_url, |(type_url, _)| type_url);
                let what = format_args!("the filter {type_url} of upstream connections");
                return Err(at.unsupported(what));
            }
        }
    }
    Ok(exchange)
}
