//! Metadata of a cluster: what its control plane says of it to filters and telemetry. (envoy: config.core.v3.Metadata)

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Values by the name of whom they are for, such as `istio`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(BTreeMap<Box<str>, Map<String, Value>>);

impl Metadata {
    /// What is said to `filter`.
    #[must_use]
    pub fn of(&self, filter: &str) -> Option<&Map<String, Value>> {
        self.0.get(filter)
    }
}

impl FromIterator<(Box<str>, Map<String, Value>)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Map<String, Value>)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}
