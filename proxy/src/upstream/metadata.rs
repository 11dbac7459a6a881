//! Metadata of a cluster: what its control plane says of it to filters and telemetry. (envoy: config.core.v3.Metadata)

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Values by the name of whom they are for, such as `istio`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(BTreeMap<Box<str>, Map<String, Value>>);

impl Metadata {
    /// True if nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

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

/// What Istio's control plane says of a cluster to filters and telemetry, ready to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mesh {
    /// The first service of the cluster. (istio: `services`)
    pub host: Option<Service>,
    /// It is outside of the mesh.
    pub is_external: bool,
    /// Nobody is told who we are. (istio: `disable_mx`)
    pub disables_exchange: bool,
    /// ALPN is the cluster's own. (istio: `alpn_override` is `"false"`)
    pub keeps_alpn: bool,
}

/// A service of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its host name.
    pub host: Box<str>,
    /// Its name, or the first label of the host name.
    pub name: Box<str>,
    /// Its namespace; empty if it has none.
    pub namespace: Box<str>,
}

impl Mesh {
    /// Reads the metadata of a cluster.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let Some(istio) = metadata.of("istio") else { return Self::default() };
        let is_true = |key| istio.get(key).and_then(Value::as_bool).unwrap_or_default();
        let service = istio.get("services").and_then(|services| services.as_array()?.first());
        Self {
            host: service.and_then(Value::as_object).map(Service::of),
            is_external: is_true("external"),
            disables_exchange: is_true("disable_mx"),
            keeps_alpn: istio.get("alpn_override").and_then(Value::as_str) == Some("false"),
        }
    }
}

impl Service {
    fn of(service: &Map<String, Value>) -> Self {
        let text = |key| service.get(key).and_then(Value::as_str);
        let host = text("host").unwrap_or_default();
        let first = host.split('.').next().unwrap_or_default();
        Self {
            host: host.into(),
            name: text("name").unwrap_or(first).into(),
            namespace: text("namespace").unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mesh(istio: &Value) -> Mesh {
        let istio = istio.as_object().unwrap().clone();
        Mesh::of(&[("istio".into(), istio)].into_iter().collect())
    }

    #[test]
    fn the_first_service_has_a_name_in_any_case() {
        let services = json!([{"host": "a.b.svc", "namespace": "b"}, {"host": "other"}]);
        let host = mesh(&json!({"services": services})).host.unwrap();
        assert_eq!([&*host.host, &*host.name, &*host.namespace], ["a.b.svc", "a", "b"]);
        let named = mesh(&json!({"services": [{"host": "a.b.svc", "name": "n"}]})).host.unwrap();
        assert_eq!([&*named.name, &*named.namespace], ["n", ""]);
        assert_eq!(mesh(&json!({"services": []})), Mesh::default());
        assert_eq!(mesh(&json!({"services": "none"})), Mesh::default());
    }

    #[test]
    fn only_the_right_values_mean_something() {
        let said = mesh(&json!({"external": true, "disable_mx": true, "alpn_override": "false"}));
        assert!(said.is_external && said.disables_exchange && said.keeps_alpn);
        let odd = json!({"external": "true", "disable_mx": 1, "alpn_override": false});
        assert_eq!(mesh(&odd), Mesh::default());
    }
}
