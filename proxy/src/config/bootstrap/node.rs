//! (envoy: config.core.v3.Node)

use outrigger_xds_api::envoy::config::core::v3::Node as Message;
use prost::Message as _;

use crate::config::common::{self, Translated};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::upstream::host::Locality;

/// Who this proxy is.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name; unique.
    pub id: String,
    /// The service that it belongs to.
    pub cluster: String,
    /// Where it is.
    pub locality: Locality,
    /// The message, encoded: what control planes are told.
    pub original: Vec<u8>,
}

pub(super) fn node(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<Node> {
    let original = message.encode_to_vec();
    fields!(cx, at, message => Message {
        used: id, cluster, metadata, dynamic_parameters, locality, user_agent_name,
            user_agent_version_type, extensions, client_features, listening_addresses;
    });
    // Only passed on, in `original`.
    let _ = (metadata, dynamic_parameters, user_agent_name, user_agent_version_type);
    let _ = (extensions, client_features, listening_addresses);
    let locality = common::locality(locality.unwrap_or_default(), &at.field("locality"), cx);
    Ok(Node { id, cluster, locality, original })
}
