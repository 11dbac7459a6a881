//! Ways to connect that the labels of hosts select. (envoy: Cluster.transport_socket_matches)

use std::sync::Arc;

use outrigger_xds_api::envoy::config::cluster::v3::cluster::TransportSocketMatch;
use outrigger_xds_api::google::protobuf::value::Kind;

use crate::config::common::{Translated, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::tls::client_transport;
use crate::upstream::transport::{Labels, Transport};

pub(super) fn matches(
    messages: Vec<TransportSocketMatch>,
    validates_requested: bool,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Vec<(Labels, Arc<Transport>)>> {
    let each = |(index, message)| {
        let at = at.index(index);
        fields!(cx, at, message => TransportSocketMatch {
            used: name, r#match, transport_socket;
        });
        non_empty(name, &at.field("name"))?;
        let match_at = at.field("match");
        let wanted = r#match.unwrap_or_default().fields;
        let labels = wanted.into_iter().map(|(key, value)| match value.kind {
            Some(Kind::StringValue(text)) => Ok((key.into(), text.into())),
            _ => Err(match_at.key(&key).unsupported("a value that is no text")),
        });
        let labels = labels.collect::<Translated<Labels>>()?;
        let socket_at = at.field("transport_socket");
        let socket = required(transport_socket, &socket_at)?;
        let transport = client_transport(Some(socket), validates_requested, &socket_at, cx)?;
        Ok((labels, Arc::new(transport)))
    };
    messages.into_iter().enumerate().map(each).collect()
}
