//! Resources of a control plane, as bytes: a response of it is taken in, brought into force and built.
//!
//! What is checked: nothing hangs; a refusal says why, and says it again; and a resource that is said again changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outrigger::config::{Environment, Store};
use outrigger::telemetry::metrics::{Registry, StatsSpec};
use outrigger_xds::{Extent, Resource, ResourceType, Update};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::bootstrap::v3::Bootstrap;
use outrigger_xds_api::envoy::service::discovery::v3::DiscoveryResponse;
use outrigger_xds_api::google::protobuf::Any;
use outrigger_xds_api::{Document, ReadError, Unknown};
use prost::Message;

use crate::bootstrap::{POOL, is_asked_twice, opens_files, translated};

/// Time that any input may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The input that a response of a control plane stands for, which `yaml` describes.
///
/// # Errors
/// If it is no such response.
pub fn encode(yaml: &[u8]) -> Result<Vec<u8>, ReadError> {
    let response: DiscoveryResponse = Document::yaml("seed", yaml)?.read(&POOL, Unknown::Refuse)?;
    Ok(response.encode_to_vec())
}

/// `data` is an encoded `DiscoveryResponse`; unlike a real one it may hold several types, and bootstraps.
pub fn resources(data: &[u8]) {
    let Ok(response) = DiscoveryResponse::decode(data) else { return };
    if opens_files(data) {
        return;
    }
    let started = Instant::now();
    let first = outcome(&response.resources);
    let elapsed = started.elapsed();
    assert!(elapsed < LONGEST, "took {elapsed:?}");
    if is_asked_twice(data) {
        assert_eq!(first, outcome(&response.resources), "another answer the second time");
    }
}

/// What becomes of each resource, in a proxy that knows nothing else.
fn outcome(elements: &[Any]) -> Vec<String> {
    // The defaults are always valid.
    let Ok(registry) = Registry::new(StatsSpec::default(), 1) else { return Vec::new() };
    let environment = Environment::new(registry, Default::default());
    let mut store = Store::new(Arc::new(environment), Arc::default());
    elements.iter().map(|element| take(&mut store, element)).collect()
}

fn take(store: &mut Store, element: &Any) -> String {
    if let Ok(message) = any::decode::<Bootstrap>(element) {
        return translated(message).unwrap_or_else(|(path, reason)| format!("{path}: {reason}"));
    }
    let kind = ResourceType::of_url(&element.type_url).unwrap_or(ResourceType::Cluster);
    let resource = match Resource::open(kind, &Arc::from("1"), element.clone()) {
        Ok(resource) => resource,
        Err(error) => return error.to_string(),
    };
    let update = Update {
        kind,
        version: "1".into(),
        resources: vec![resource],
        removed: Vec::new(),
        extent: Extent::Some,
    };
    let rejections = store.apply(update.clone());
    assert!(rejections.iter().all(|rejection| !rejection.error.reason.is_empty()));
    for handle in store.settle(true).clusters {
        assert_eq!(handle.cluster().name, handle.name);
    }
    assert_eq!(store.apply(update), rejections, "said again, it is refused otherwise");
    let settled = store.settle(true);
    assert!(settled.listeners.is_empty() && settled.clusters.is_empty(), "a repetition is news");
    format!("{rejections:?}")
}
