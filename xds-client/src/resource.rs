//! Resources: decoded in two steps, the name first, so that every error can tell which resource it is about.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use outrigger_xds_api::any::{self, DecodeError};
use outrigger_xds_api::envoy::service::discovery::v3::Resource as Wrapper;
use outrigger_xds_api::google::protobuf::Any;
use prost::encoding::{self, DecodeContext, WireType};

/// The types of resources that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceType {
    /// `envoy.config.cluster.v3.Cluster`
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`
    Endpoints,
    /// `envoy.config.listener.v3.Listener`
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`
    Routes,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`
    Secret,
}

impl ResourceType {
    /// All types, in the order in which a server should send them.
    pub const ALL: [Self; 5] =
        [Self::Cluster, Self::Endpoints, Self::Listener, Self::Routes, Self::Secret];

    /// The full name of the message.
    #[must_use]
    pub const fn message_name(self) -> &'static str {
        match self {
            Self::Cluster => "envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "envoy.config.listener.v3.Listener",
            Self::Routes => "envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// The type URL that requests and responses carry.
    #[must_use]
    pub fn type_url(self) -> String {
        format!("type.googleapis.com/{}", self.message_name())
    }

    /// The type of this URL.
    #[must_use]
    pub fn of_url(type_url: &str) -> Option<Self> {
        let name = any::type_name(type_url)?;
        Self::ALL.into_iter().find(|kind| kind.message_name() == name)
    }

    /// True if a response that lacks a resource says that the resource is gone. (xDS: state of the world, "deleting resources")
    #[must_use]
    pub const fn absence_removes(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// What people call a resource of this type.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints of cluster",
            Self::Listener => "listener",
            Self::Routes => "route configuration",
            Self::Secret => "secret",
        }
    }
}

/// A resource as it came. Its bytes are kept: equal bytes are how an update that changes nothing is recognised, and dumps show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: Arc<str>,
    /// Its version, or that of the response; opaque.
    pub version: Arc<str>,
    /// The encoded message.
    pub body: Bytes,
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.kind.noun(), self.name, self.body.len())
    }
}

/// Why something in a response is no resource of the response's type.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ResourceError {
    /// It is of another type. (xDS: such a response is rejected whole)
    #[error("unexpected type URL {found}, expected {}", .expected.type_url())]
    Type {
        /// The type of the response.
        expected: ResourceType,
        /// The URL that was found.
        found: String,
    },
    /// The wrapper around it cannot be read.
    #[error("{0}")]
    Wrapper(#[from] DecodeError),
    /// It has no name.
    #[error("a {} without a name", .0.noun())]
    Unnamed(ResourceType),
    /// Not even its name can be read.
    #[error("not a message {}: {reason}", .kind.message_name())]
    Bytes {
        /// The type of the response.
        kind: ResourceType,
        /// What the decoder said.
        reason: String,
    },
}

impl Resource {
    /// The resource in an element of a response; `version` is that of the response.
    ///
    /// # Errors
    /// If the element is something else, or has no name.
    pub fn open(
        kind: ResourceType,
        version: &Arc<str>,
        element: Any,
    ) -> Result<Self, ResourceError> {
        let (element, version) =
            if any::type_name(&element.type_url) == Some("envoy.service.discovery.v3.Resource") {
                let wrapper: Wrapper = any::decode(&element)?;
                let version = if wrapper.version.is_empty() {
                    version.clone()
                } else {
                    wrapper.version.as_str().into()
                };
                (wrapper.resource.unwrap_or_default(), version)
            } else {
                (element, version.clone())
            };
        if ResourceType::of_url(&element.type_url) != Some(kind) {
            return Err(ResourceError::Type { expected: kind, found: element.type_url });
        }
        let body = Bytes::from(element.value);
        let name = name_of(&body)
            .map_err(|reason| ResourceError::Bytes { kind, reason: reason.to_string() })?;
        if name.is_empty() {
            return Err(ResourceError::Unnamed(kind));
        }
        Ok(Self { kind, name: name.into(), version, body })
    }
}

/// Field 1 of a message, which is the name in each of our types, without decoding the rest of it.
fn name_of(body: &Bytes) -> Result<String, prost::DecodeError> {
    let mut rest = body.clone();
    let mut name = String::new();
    while !rest.is_empty() {
        let (tag, wire_type) = encoding::decode_key(&mut rest)?;
        if tag == 1 && wire_type == WireType::LengthDelimited {
            encoding::string::merge(wire_type, &mut name, &mut rest, DecodeContext::default())?;
        } else {
            encoding::skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use outrigger_xds_api::envoy::config::cluster::v3::Cluster;
    use outrigger_xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
    use prost::Message;

    use super::*;

    fn version() -> Arc<str> {
        "7".into()
    }

    #[test]
    fn a_resource_keeps_its_bytes_and_is_named_before_it_is_decoded() {
        let cluster =
            Cluster { name: "up".into(), alt_stat_name: "x".into(), ..Cluster::default() };
        let resource =
            Resource::open(ResourceType::Cluster, &version(), any::encode(&cluster)).unwrap();
        assert_eq!((&*resource.name, &*resource.version), ("up", "7"));
        assert_eq!(Cluster::decode(resource.body), Ok(cluster));

        let mut broken = any::encode(&ClusterLoadAssignment {
            cluster_name: "c".into(),
            ..ClusterLoadAssignment::default()
        });
        // Field 2, an endpoint, that is none: the name is found all the same.
        broken.value.extend([0x12, 2, 0xff, 0xff]);
        let resource = Resource::open(ResourceType::Endpoints, &version(), broken).unwrap();
        assert_eq!(&*resource.name, "c");
    }

    #[test]
    fn a_wrapper_brings_its_own_version() {
        let cluster = Cluster { name: "up".into(), ..Cluster::default() };
        let wrapped = |version: &str| {
            any::encode(&Wrapper {
                version: version.into(),
                resource: Some(any::encode(&cluster)),
                ..Wrapper::default()
            })
        };
        for (own, expected) in [("9", "9"), ("", "7")] {
            let resource = Resource::open(ResourceType::Cluster, &version(), wrapped(own)).unwrap();
            assert_eq!(&*resource.version, expected);
        }
    }

    #[test]
    fn what_is_no_resource_of_the_type_is_refused() {
        let open = |any| Resource::open(ResourceType::Cluster, &version(), any);
        let other = any::encode(&ClusterLoadAssignment::default());
        assert!(matches!(open(other), Err(ResourceError::Type { .. })));
        assert_eq!(
            open(any::encode(&Cluster::default())),
            Err(ResourceError::Unnamed(ResourceType::Cluster))
        );
        let url = ResourceType::Cluster.type_url();
        let cut = Any { type_url: url, value: vec![0x0a, 9] };
        assert!(matches!(open(cut), Err(ResourceError::Bytes { .. })));
        assert!(matches!(open(any::encode(&Wrapper::default())), Err(ResourceError::Type { .. })));
    }
}
