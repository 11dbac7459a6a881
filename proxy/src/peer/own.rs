//! What this proxy says of itself: the node's metadata, as other proxies of the mesh are told it.
//! (envoy: `convertWorkloadMetadataToStruct`)

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Peer;
use super::wire::{self, Value};

/// What `OWNER` begins with.
const OWNER: &str = "kubernetes://apis/apps/v1/namespaces/";

/// The kinds of workload that an owner may have, in its plural.
const KINDS: [&str; 4] = ["deployments", "cronjobs", "jobs", "pods"];

/// This proxy's workload. Made from the bootstrap's node.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// The workload, as a peer would see it.
    pub peer: Peer,
    /// The node's id.
    pub node_id: Box<str>,
    /// (`NAME`)
    pub instance: Box<str>,
    /// (`OWNER`)
    pub owner: Box<str>,
    /// All labels of the workload. (`LABELS`)
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Where it runs: region and zone.
    pub locality: [Box<str>; 2],
    /// (`ISTIO_VERSION`)
    pub istio_version: Box<str>,
}

impl Own {
    /// The metadata as a `Struct`, encoded; `additional` labels are told besides those that always are. Other proxies are told the
    /// locality in headers only, as in Envoy.
    #[must_use]
    pub fn encode(&self, additional: &[String], with_locality: bool) -> Vec<u8> {
        let peer = &self.peer;
        let mut labels = BTreeMap::new();
        for (key, value) in [
            ("service.istio.io/canonical-name", &peer.canonical_name),
            ("service.istio.io/canonical-revision", &peer.canonical_revision),
            ("app", &peer.app),
            ("version", &peer.version),
        ] {
            insert(&mut labels, key, value);
        }
        for key in additional {
            if let Some(value) = self.labels.get(key.as_str()) {
                labels.entry(key).or_insert_with(|| Value::Text(value.to_string()));
            }
        }
        let mut entries = BTreeMap::from([("LABELS", Value::Struct(wire::write(&labels)))]);
        for (key, value) in [
            ("NAME", &self.instance),
            ("NAMESPACE", &peer.namespace),
            ("WORKLOAD_NAME", &peer.workload),
            ("CLUSTER_ID", &peer.cluster),
            ("IDENTITY", &peer.identity),
        ] {
            insert(&mut entries, key, value);
        }
        if let Some(kind) = self.kind() {
            let owner = format!("{OWNER}{}/{kind}/{}", peer.namespace, peer.workload);
            entries.insert("OWNER", Value::Text(owner));
        }
        if with_locality {
            let [region, zone] = &self.locality;
            insert(&mut entries, "REGION", region);
            insert(&mut entries, "AVAILABILITY_ZONE", zone);
        }
        wire::write(&entries)
    }

    /// The value of `x-envoy-peer-metadata`.
    #[must_use]
    pub fn header(&self, additional: &[String]) -> String {
        STANDARD.encode(self.encode(additional, true))
    }

    /// What kind of workload the owner is: the part before its name. (envoy: `parseOwner`)
    fn kind(&self) -> Option<&'static str> {
        let owner = self.owner.strip_suffix(&*self.peer.workload)?.strip_suffix('/')?;
        let last = owner.rsplit('/').next()?;
        KINDS.into_iter().find(|kind| *kind == last)
    }
}

fn insert<'a>(entries: &mut BTreeMap<&'a str, Value>, key: &'a str, value: &str) {
    if !value.is_empty() {
        entries.insert(key, Value::Text(value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_reads_what_we_say() {
        let peer = Peer {
            workload: "reviews-v1".into(),
            namespace: "default".into(),
            cluster: "Kubernetes".into(),
            canonical_name: "reviews".into(),
            canonical_revision: "v1".into(),
            app: "reviews".into(),
            ..Peer::default()
        };
        let own = Own {
            peer: peer.clone(),
            owner: "kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v1".into(),
            labels: BTreeMap::from([("role".into(), "x".into()), ("not".into(), "told".into())]),
            locality: ["r".into(), Box::default()],
            ..Own::default()
        };
        let bytes = own.encode(&["role".to_owned(), "none".to_owned()], true);
        assert_eq!(wire::read(&bytes), Ok(peer));
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("role") && !text.contains("told"), "{text}");
        assert!(text.contains("namespaces/default/deployments/reviews-v1"), "{text}");
        assert!(text.contains("REGION") && !text.contains("ZONE"), "{text}");
        assert!(!String::from_utf8_lossy(&own.encode(&[], false)).contains("REGION"));
    }
}
