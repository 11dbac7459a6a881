//! What the translators say of one resource, standing alone: nothing comes into force. For tests on recorded configuration and for fuzzing.

use outrigger_xds::{Resource, ResourceType};

use super::cx::{Cx, Ignored};
use super::error::ConfigError;
use super::{cluster, endpoints, listener, route};
use crate::upstream::transport::Transports;

/// Translates a resource and forgets the result. Returns the fields that are set and have no effect.
///
/// # Errors
/// The first thing in it that cannot be done. A secret is always accepted here: only who uses it can tell.
pub fn verdict(resource: &Resource, cx: &Cx<'_>) -> Result<Vec<Ignored>, ConfigError> {
    match resource.kind {
        ResourceType::Cluster => drop(cluster::from_resource(resource, cx)?),
        ResourceType::Endpoints => {
            drop(endpoints::from_resource(resource, &Transports::plain(), cx)?);
        }
        ResourceType::Listener => drop(listener::from_resource(resource, cx)?),
        ResourceType::Routes => drop(route::from_resource(resource, cx)?),
        ResourceType::Secret => {}
    }
    Ok(cx.take_ignored())
}
