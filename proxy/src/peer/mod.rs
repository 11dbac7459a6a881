//! Who is at the other end: the workload that another proxy of the mesh says it stands before.
//!
//! A peer tells itself in header lines of a request or response ([`cache::of_header`]), or in front of the bytes of a
//! TCP connection ([`exchange`]). Read by telemetry alone: nobody has proven what is said here, so nothing that decides may look at it.
//! (envoy: contrib/istio, `WorkloadMetadataObject`)

pub mod cache;
pub mod exchange;
mod own;
pub mod wire;

pub use own::Own;

/// A workload, as its proxy describes it. Empty means that nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Tells the peers of this worker apart; 0 for one that stands in no cache.
    pub id: u64,
    /// Name of the workload. (`WORKLOAD_NAME`)
    pub workload: Box<str>,
    /// Its namespace. (`NAMESPACE`)
    pub namespace: Box<str>,
    /// Name of the mesh's cluster that it runs in. (`CLUSTER_ID`)
    pub cluster: Box<str>,
    /// Its principal. (`IDENTITY`)
    pub identity: Box<str>,
    /// (label `service.istio.io/canonical-name`)
    pub canonical_name: Box<str>,
    /// (label `service.istio.io/canonical-revision`)
    pub canonical_revision: Box<str>,
    /// (label `app.kubernetes.io/name`, else `app`)
    pub app: Box<str>,
    /// (label `app.kubernetes.io/version`, else `version`)
    pub version: Box<str>,
}

impl Peer {
    /// What the metadata of an endpoint says of its workload: `name;namespace;canonical name;revision;cluster`; `None` if it is not of
    /// this form. (envoy: `convertEndpointMetadata`)
    #[must_use]
    pub fn of_endpoint(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let mut next = || parts.next().map(Box::from);
        Some(Self {
            workload: next()?,
            namespace: next()?,
            canonical_name: next()?,
            canonical_revision: next()?,
            cluster: next()?,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_tells_its_workload_in_five_parts() {
        let peer = Peer::of_endpoint("w;n;s;r;c").unwrap();
        let told = [&*peer.workload, &*peer.namespace, &*peer.canonical_name];
        assert_eq!(told, ["w", "n", "s"]);
        assert_eq!([&*peer.canonical_revision, &*peer.cluster], ["r", "c"]);
        assert_eq!(&*Peer::of_endpoint(";;;;c;more").unwrap().cluster, "c");
        assert_eq!(Peer::of_endpoint("w;n;s;r"), None);
        assert_eq!(Peer::of_endpoint(""), None);
    }
}
