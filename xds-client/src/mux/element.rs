//! One element of a response: a resource, a sign of life of one, or word that a name means nothing.
//!
//! A body that is byte for byte what is held already is not copied: the held one is handed on, and whoever compares finds the same bytes. Any
//! other is copied out of the message, so that a small resource does not keep a large response alive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outrigger_xds_api::any;
use prost::Message;

use super::Mode;
use super::wire::{Any, Wrapper};
use crate::resource::{self, Resource, ResourceError, ResourceType};

/// What is held of a type.
pub(super) type Held = HashMap<Arc<str>, Resource>;

/// Why a response is rejected whole: nothing of it is applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// A resource of another type than the response's.
    #[error("{found} does not match the message-wide type URL {} in {}", .expected.type_url(), .mode.response_name())]
    Type {
        /// The type of the response.
        expected: ResourceType,
        /// The URL that was found.
        found: String,
        /// The protocol.
        mode: Mode,
    },
    /// A name that is said twice. (delta)
    #[error("duplicate name {0} found among added/updated resources")]
    Duplicate(String),
    /// A name that comes and goes at once, or goes twice. (delta)
    #[error("duplicate name {0} found in the union of added+removed resources")]
    AddedAndRemoved(String),
    /// The wrapper says one name, the resource in it another.
    #[error("resource {wrapper} holds a {} of name {inner}", .kind.noun())]
    Renamed {
        /// The type.
        kind: ResourceType,
        /// The name that the protocol knows.
        wrapper: String,
        /// The name in the body.
        inner: String,
    },
    /// Something that is no resource.
    #[error(transparent)]
    Resource(#[from] ResourceError),
}

/// An element that has a name.
pub(super) struct Element {
    pub(super) name: String,
    pub(super) version: String,
    /// How long it lives, if it does not live until it is removed.
    pub(super) ttl: Option<Duration>,
    pub(super) content: Content,
}

/// What an element says of its name.
pub(super) enum Content {
    Body(Bytes),
    /// Nothing: it is as it was, or so the version must tell.
    Absent,
    /// Nothing, and there never was anything: an alias that leads nowhere. (envoy: VHDS)
    Unresolved,
}

impl Element {
    /// Takes an element apart; `version` is that of the response.
    ///
    /// # Errors
    /// If it is of another type, or has no name.
    pub(super) fn decode(
        kind: ResourceType,
        mode: Mode,
        version: &str,
        element: Bytes,
    ) -> Result<Self, Malformed> {
        let wrapper: Wrapper = match mode {
            Mode::Delta => decode(kind, element)?,
            Mode::Sotw => {
                let any: Any = decode(kind, element)?;
                if any::type_name(&any.type_url) == Some("envoy.service.discovery.v3.Resource") {
                    decode(kind, any.value)?
                } else {
                    Wrapper { resource: Some(any), ..Wrapper::default() }
                }
            }
        };
        let Wrapper { version: own, resource, mut name, aliases, ttl, resource_name } = wrapper;
        if let Some(described) = resource_name
            && name.is_empty()
        {
            name = described.name;
        }
        let content = match resource {
            None if aliases.is_empty() => Content::Absent,
            None => Content::Unresolved,
            Some(Any { type_url, value }) => {
                if ResourceType::of_url(&type_url) != Some(kind) {
                    return Err(Malformed::Type { expected: kind, found: type_url, mode });
                }
                let inner = resource::name_of(&value)
                    .map_err(|error| ResourceError::Bytes { kind, reason: error.to_string() })?;
                if name.is_empty() {
                    name = inner;
                } else if name != inner {
                    return Err(Malformed::Renamed { kind, wrapper: name, inner });
                }
                Content::Body(value)
            }
        };
        if name.is_empty() {
            return Err(ResourceError::Unnamed(kind).into());
        }
        // A lifetime that is none, such as a negative one, is not taken for a short one.
        let ttl = ttl.and_then(|ttl| {
            Some(Duration::new(ttl.seconds.try_into().ok()?, ttl.nanos.try_into().ok()?))
        });
        let version = if own.is_empty() { version.to_owned() } else { own };
        Ok(Self { name, version, ttl, content })
    }
}

/// The resource, sharing name and bytes with what is held if they are equal.
pub(super) fn intern(
    kind: ResourceType,
    name: &str,
    version: &str,
    body: &Bytes,
    held: &Held,
) -> Resource {
    let (name, held) = match held.get_key_value(name) {
        Some((name, held)) => (name.clone(), Some(held)),
        None => (name.into(), None),
    };
    let body = match held {
        Some(held) if held.body == *body => held.body.clone(),
        _ => Bytes::copy_from_slice(body),
    };
    let version = match held {
        Some(held) if *held.version == *version => held.version.clone(),
        _ => version.into(),
    };
    Resource { kind, name, version, body }
}

fn decode<M: Message + Default>(kind: ResourceType, bytes: Bytes) -> Result<M, ResourceError> {
    M::decode(bytes).map_err(|error| ResourceError::Bytes { kind, reason: error.to_string() })
}
