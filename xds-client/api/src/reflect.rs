//! The descriptors of all messages that configuration can hold, as a pool to look names up in.
//!
//! Built on demand and dropped after use: it takes milliseconds to build and megabytes to keep, and a
//! proxy needs it when it starts and when somebody asks for `/config_dump`. So there is deliberately no
//! static of it.

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

use crate::{any, schema};

/// Envoy's descriptors, stripped to names, numbers and types by `build.rs`.
const ENVOY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Full names of the fields annotated `udpa.annotations.sensitive`, sorted.
const SENSITIVE: &[&str] = include!(concat!(env!("OUT_DIR"), "/sensitive.rs"));

/// The descriptors of every message that can be read or written here.
#[derive(Clone, Debug)]
pub struct Pool(DescriptorPool);

impl Pool {
    /// Builds the pool. Drop it when done.
    #[must_use]
    #[expect(clippy::expect_used, reason = "built into the program, and every test loads it")]
    pub fn load() -> Self {
        let mut pool = DescriptorPool::new();
        pool.decode_file_descriptor_set(ENVOY).expect("the descriptors of Envoy are complete");
        pool.add_file_descriptor_protos(schema::files()).expect("our descriptors are complete");
        Self(pool)
    }

    /// True if messages of this type can be read and written.
    #[must_use]
    pub fn knows(&self, type_url: &str) -> bool {
        self.by_url(type_url).is_some()
    }

    pub(crate) fn message(&self, full_name: &str) -> Option<MessageDescriptor> {
        self.0.get_message_by_name(full_name)
    }

    pub(crate) fn by_url(&self, type_url: &str) -> Option<MessageDescriptor> {
        self.message(any::type_name(type_url)?)
    }
}

/// True if Envoy's API says that the value of this field must not be shown.
/// (udpa: annotations.sensitive)
pub(crate) fn is_sensitive(field: &FieldDescriptor) -> bool {
    SENSITIVE.binary_search(&field.full_name()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_knows_what_configuration_holds_and_no_services() {
        let pool = Pool::load();
        for (name, expected) in [
            ("envoy.config.bootstrap.v3.Bootstrap", true),
            (
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                true,
            ),
            ("envoy.extensions.transport_sockets.tls.v3.Secret", true),
            ("envoy.service.discovery.v3.DiscoveryResponse", true),
            ("envoy.service.runtime.v3.Runtime", true),
            ("envoy.admin.v3.ConfigDump", true),
            ("google.protobuf.Struct", true),
            ("google.protobuf.Empty", true),
            ("stats.PluginConfig", true),
            ("google.protobuf.FileDescriptorSet", false),
            ("envoy.service.auth.v3.CheckRequest", false),
        ] {
            assert_eq!(pool.knows(&format!("type.googleapis.com/{name}")), expected, "{name}");
            assert!(!pool.knows(name), "a type URL has a /");
        }
        assert_eq!(pool.0.services().len(), 0);
    }

    #[test]
    fn sensitive_fields_are_those_of_the_api() {
        assert!(SENSITIVE.is_sorted());
        let pool = Pool::load();
        for name in SENSITIVE {
            let (message, field) = name.rsplit_once('.').unwrap();
            let message = pool.message(message).unwrap_or_else(|| panic!("{name}"));
            assert!(is_sensitive(&message.get_field_by_name(field).unwrap()), "{name}");
        }
        let certificate = "envoy.extensions.transport_sockets.tls.v3.TlsCertificate";
        let certificate = pool.message(certificate).unwrap();
        for (field, expected) in
            [("private_key", true), ("password", true), ("certificate_chain", false)]
        {
            let field = certificate.get_field_by_name(field).unwrap();
            assert_eq!(is_sensitive(&field), expected, "{}", field.name());
        }
    }
}
