//! What the control runtime does when a control plane with thousands of services pushes: from the bytes of a response to the next snapshot, and
//! the answer.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use outrigger::config::{Environment, Runtime, Store};
use outrigger::telemetry::metrics::{Registry, StatsSpec};
use outrigger_xds::{Identity, Mode, Mux, Received, ResourceType, Subject};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::cluster::v3::Cluster;
use outrigger_xds_api::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use outrigger_xds_api::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use outrigger_xds_api::envoy::config::core::v3::{AggregatedConfigSource, ConfigSource, Node};
use outrigger_xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use outrigger_xds_api::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
use outrigger_xds_api::google::protobuf::Duration;
use prost::{Message, Name};

/// A proxy that knows many clusters, and responses for it.
pub struct Pushes {
    store: Store,
    mux: Mux,
    equal: Bytes,
    /// One cluster in one form and in another.
    changed: [Bytes; 2],
    turn: usize,
}

impl Pushes {
    /// A proxy with `count` clusters whose endpoints are known, none of them in use.
    ///
    /// # Errors
    /// If they are refused.
    pub fn new(count: usize) -> Result<Self> {
        let registry = Registry::new(StatsSpec::default(), 1)?;
        let environment = Environment::new(registry, Runtime::default());
        let store = Store::new(Arc::new(environment), Arc::default());
        let identity = Identity { node: Node::default(), on_first_message_only: true };
        let mut mux = Mux::new(Mode::Delta, identity);
        mux.on_stream_open();
        mux.subscribe(ResourceType::Cluster, &[Subject::All]);
        let names: Vec<_> = (0..count).map(name).collect();
        let subjects: Vec<_> =
            names.iter().map(|name| Subject::Name(name.as_str().into())).collect();
        mux.subscribe(ResourceType::Endpoints, &subjects);
        let endpoints = names.iter().map(|name| {
            let cluster_name = name.clone();
            (name, ClusterLoadAssignment { cluster_name, ..ClusterLoadAssignment::default() })
        });
        let endpoints = response(ResourceType::Endpoints, endpoints);
        let equal =
            response(ResourceType::Cluster, names.iter().map(|name| (name, cluster(name, 1))));
        let middle = names.get(count / 2).context("no clusters")?;
        let changed = [2, 3].map(|seconds| {
            response(ResourceType::Cluster, [(middle, cluster(middle, seconds))].into_iter())
        });
        let mut pushes = Self { store, mux, equal: equal.clone(), changed, turn: 0 };
        for message in [equal, endpoints] {
            pushes.take(message)?;
        }
        if pushes.clusters() != count {
            bail!("{} of {count} clusters are in force", pushes.clusters());
        }
        Ok(pushes)
    }

    /// The same as before.
    ///
    /// # Errors
    /// If it is refused.
    pub fn equal(&mut self) -> Result<()> {
        self.take(self.equal.clone())
    }

    /// One cluster in its other form.
    ///
    /// # Errors
    /// If it is refused.
    pub fn one(&mut self) -> Result<()> {
        self.turn = 1 - self.turn;
        let message = self.changed.get(self.turn).context("no such turn")?.clone();
        self.take(message)
    }

    fn take(&mut self, message: Bytes) -> Result<()> {
        let Received::Delivery(delivery) = self.mux.on_message(message, Instant::now())? else {
            bail!("nothing is delivered");
        };
        let rejections = self.store.apply(delivery.update);
        if let Some(rejection) = rejections.first() {
            bail!("{}: {}", rejection.name, rejection.error);
        }
        self.store.settle(true);
        self.store.take_touched();
        self.mux.on_applied(delivery.receipt, &[]);
        while self.mux.next_request().is_some() {}
        Ok(())
    }

    /// Clusters in force.
    #[must_use]
    pub fn clusters(&self) -> usize {
        self.store.snapshot.load().clusters.len()
    }

    /// Grows with everything that is brought into force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.store.snapshot.load().generation
    }
}

fn name(index: usize) -> String {
    format!("outbound|80||service-{index}.namespace-{}.svc.cluster.local", index % 50)
}

fn cluster(name: &str, timeout_seconds: i64) -> Cluster {
    let ads = ConfigSourceSpecifier::Ads(AggregatedConfigSource {});
    Cluster {
        name: name.to_owned(),
        connect_timeout: Some(Duration { seconds: timeout_seconds, nanos: 0 }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(ConfigSource {
                config_source_specifier: Some(ads),
                ..ConfigSource::default()
            }),
            ..EdsClusterConfig::default()
        }),
        ..Cluster::default()
    }
}

fn response<'a, M: Message + Name>(
    kind: ResourceType,
    resources: impl Iterator<Item = (&'a String, M)>,
) -> Bytes {
    let resources = resources.map(|(name, message)| Resource {
        name: name.clone(),
        resource: Some(any::encode(&message)),
        ..Resource::default()
    });
    let response = DeltaDiscoveryResponse {
        type_url: kind.type_url(),
        nonce: "1".to_owned(),
        resources: resources.collect(),
        ..DeltaDiscoveryResponse::default()
    };
    response.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_brought_into_force() {
        let mut pushes = Pushes::new(100).unwrap();
        let before = pushes.generation();
        pushes.equal().unwrap();
        assert_eq!(pushes.generation(), before);
        pushes.one().unwrap();
        pushes.one().unwrap();
        assert_eq!((pushes.clusters(), pushes.generation()), (100, before + 2));
    }
}
