//! (envoy: config.core.v3.Node)

use std::collections::BTreeMap;

use outrigger_xds::Identity;
use outrigger_xds_api::envoy::config::core::v3::Node as Message;
use outrigger_xds_api::google::protobuf::value::Kind;
use outrigger_xds_api::google::protobuf::{Struct, Value};
use prost::Message as _;

use crate::config::common::{self, Translated};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::peer::{Own, Peer};
use crate::upstream::host::Locality;

/// What of the protocol is understood. (envoy: `LocalInfo`; xDS: "client features")
const FEATURES: [&str; 4] = [
    "envoy.config.supports-resource-ttl",
    "envoy.config.resource-in-sotw",
    "xds.config.supports-resource-ttl",
    "xds.config.supports-resource-in-sotw",
];

/// Who this proxy is.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name; unique.
    pub id: String,
    /// The service that it belongs to.
    pub cluster: String,
    /// Where it is.
    pub locality: Locality,
    /// What other proxies of the mesh are told of it.
    pub own: Own,
    /// The message, encoded: what control planes are told.
    pub original: Vec<u8>,
}

impl Node {
    /// What management servers are told.
    #[must_use]
    pub fn identity(&self, on_first_message_only: bool) -> Identity {
        // It was encoded by this process.
        let mut node = Message::decode(&*self.original).unwrap_or_default();
        if node.user_agent_name.is_empty() {
            node.user_agent_name = "envoy".into();
        }
        for feature in FEATURES {
            if !node.client_features.iter().any(|known| known == feature) {
                node.client_features.push(feature.into());
            }
        }
        Identity { node, on_first_message_only }
    }
}

pub(super) fn node(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<Node> {
    let original = message.encode_to_vec();
    fields!(cx, at, message => Message {
        used: id, cluster, metadata, dynamic_parameters, locality, user_agent_name,
            user_agent_version_type, extensions, client_features, listening_addresses;
    });
    // Only passed on, in `original`.
    let _ = (dynamic_parameters, user_agent_name, user_agent_version_type);
    let _ = (extensions, client_features, listening_addresses);
    let locality = common::locality(locality.unwrap_or_default(), &at.field("locality"), cx);
    let own = own(&id, metadata.unwrap_or_default(), &locality);
    Ok(Node { id, cluster, locality, own, original })
}

/// Who Istio's agent says that we are.
fn own(id: &str, metadata: Struct, locality: &Locality) -> Own {
    let texts = |message: Struct| -> BTreeMap<Box<str>, Box<str>> {
        let text = |(key, value): (String, Value)| match value.kind? {
            Kind::StringValue(text) => Some((key.into(), text.into())),
            _ => None,
        };
        message.fields.into_iter().filter_map(text).collect()
    };
    let labels = metadata.fields.get("LABELS").and_then(|value| match &value.kind {
        Some(Kind::StructValue(labels)) => Some(texts(labels.clone())),
        _ => None,
    });
    let labels = labels.unwrap_or_default();
    let metadata = texts(metadata);
    let said = |key: &str| metadata.get(key).cloned().unwrap_or_default();
    let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
    let peer = Peer {
        id: 0,
        workload: said("WORKLOAD_NAME"),
        namespace: said("NAMESPACE"),
        cluster: said("CLUSTER_ID"),
        identity: said("IDENTITY"),
        canonical_name: label("service.istio.io/canonical-name"),
        canonical_revision: label("service.istio.io/canonical-revision"),
        app: label("app"),
        version: label("version"),
    };
    Own {
        peer,
        node_id: id.into(),
        instance: said("NAME"),
        owner: said("OWNER"),
        locality: [locality.region.clone(), locality.zone.clone()],
        istio_version: said("ISTIO_VERSION"),
        labels,
    }
}
