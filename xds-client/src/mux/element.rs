//! The elements of a response: resources, signs of life of resources, and word that a name means nothing.
//!
//! A body that is byte for byte what is held already is not copied: the held one is handed on, and whoever compares finds the same bytes. Any
//! other is copied out of the message, so that a small resource does not keep a large response alive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use outrigger_xds_api::google::protobuf as google;
use prost::Message;

use super::Mode;
use super::interest::Interest;
use super::wire::{Any, Wrapper};
use crate::resource::{self, Resource, ResourceError, ResourceType};

/// What is held of a type.
pub(super) type Held = HashMap<Arc<str>, Resource>;

/// Why a response is rejected whole: nothing of it is applied. The words are Envoy's where it has any.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// A resource of another type than the response's.
    #[error("{}", mistyped(*.mode, .found, *.expected))]
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

fn mistyped(mode: Mode, found: &str, expected: ResourceType) -> String {
    let expected = expected.type_url();
    match mode {
        Mode::Sotw => format!(
            "{found} does not match the message-wide type URL {expected} in DiscoveryResponse"
        ),
        Mode::Delta => format!(
            "type URL {found} embedded in an individual Any does not match the message-wide type URL {expected} in \
             DeltaDiscoveryResponse"
        ),
    }
}

/// What a response says of the names that were asked for; each with the time at which it expires.
#[derive(Default)]
pub(super) struct Sorted {
    /// As they are now.
    pub(super) resources: Vec<(Resource, Option<Instant>)>,
    /// Still as they are held.
    pub(super) alive: Vec<(Arc<str>, Option<Instant>)>,
}

/// What an element says.
enum Said {
    /// This is the resource.
    Resource(Resource),
    /// It is as it was.
    Alive(Arc<str>),
}

/// Reads the elements of one response.
pub(super) struct Reader<'a> {
    pub(super) kind: ResourceType,
    pub(super) mode: Mode,
    /// Of the response: that of every resource which has none of its own.
    pub(super) version: &'a Arc<str>,
    pub(super) interest: &'a Interest,
    pub(super) held: &'a Held,
}

impl Reader<'_> {
    /// What all elements say; `removed` is what else the response names.
    ///
    /// # Errors
    /// Why the response is of no use.
    pub(super) fn read_all(
        &self,
        elements: Vec<Bytes>,
        removed: &[String],
        now: Instant,
    ) -> Result<Sorted, Malformed> {
        let mut sorted = Sorted::default();
        for element in elements {
            let Some((said, ttl)) = self.read(element)? else { continue };
            let at = ttl.and_then(|ttl| now.checked_add(ttl));
            match said {
                Said::Resource(resource) => sorted.resources.push((resource, at)),
                Said::Alive(name) => sorted.alive.push((name, at)),
            }
        }
        // State of the world leaves it to the owner what a name said twice means.
        if self.mode == Mode::Delta {
            sorted.check_unique(removed)?;
        }
        Ok(sorted)
    }

    /// What an element says, and how long that holds if not until it is removed. Nothing if nobody asked.
    ///
    /// # Errors
    /// If it is of another type, or has no name.
    fn read(&self, element: Bytes) -> Result<Option<(Said, Option<Duration>)>, Malformed> {
        let Wrapper { version, resource, name, alias, ttl, resource_name } =
            self.unwrap(element)?;
        let mut name = if name.is_empty() { resource_name.unwrap_or_default().name } else { name };
        let body = match resource {
            None => None,
            Some(Any { type_url, value }) => {
                self.check(&type_url)?;
                // What is held under this name has it already.
                if !self.holds(&name, &value) {
                    let inner = resource::name_of(&value).map_err(|reason| self.broken(&reason))?;
                    if name.is_empty() {
                        name = inner;
                    } else if name != inner {
                        let [wrapper, inner] =
                            [name, inner].map(|n| String::from_utf8_lossy(&n).into());
                        return Err(Malformed::Renamed { kind: self.kind, wrapper, inner });
                    }
                }
                Some(value)
            }
        };
        let name = std::str::from_utf8(&name).map_err(|error| self.broken(&error))?;
        if name.is_empty() {
            return Err(ResourceError::Unnamed(self.kind).into());
        }
        if !self.interest.covers(name) {
            return Ok(None);
        }
        let version = std::str::from_utf8(&version).map_err(|error| self.broken(&error))?;
        let version = if version.is_empty() { self.version } else { version };
        let said = match body {
            Some(body) => Said::Resource(self.intern(name, version, &body)),
            // An alias that leads nowhere. (envoy: VHDS)
            None if alias.is_some() => return Ok(None),
            None => match self.held.get_key_value(name) {
                Some((name, held)) if *held.version == *version => Said::Alive(name.clone()),
                _ => return Err(self.mistyped(String::new())),
            },
        };
        Ok(Some((said, ttl.and_then(lifetime))))
    }

    /// True if a resource of this name is held with these bytes.
    fn holds(&self, name: &Bytes, body: &Bytes) -> bool {
        let name = std::str::from_utf8(name).ok();
        name.and_then(|name| self.held.get(name)).is_some_and(|held| held.body == *body)
    }

    fn unwrap(&self, element: Bytes) -> Result<Wrapper, Malformed> {
        if self.mode == Mode::Delta {
            return self.decode(element);
        }
        let any: Any = self.decode(element)?;
        if type_name(&any.type_url) == Some(b"envoy.service.discovery.v3.Resource") {
            self.decode(any.value)
        } else {
            Ok(Wrapper { resource: Some(any), ..Wrapper::default() })
        }
    }

    /// The resource, sharing name, version and bytes with what is held if they are equal.
    fn intern(&self, name: &str, version: &str, body: &Bytes) -> Resource {
        let (name, held) = match self.held.get_key_value(name) {
            Some((name, held)) => (name.clone(), Some(held)),
            None => (name.into(), None),
        };
        let body = match held {
            Some(held) if held.body == *body => held.body.clone(),
            _ => Bytes::copy_from_slice(body),
        };
        let version = match held {
            _ if *version == **self.version => self.version.clone(),
            Some(held) if *held.version == *version => held.version.clone(),
            _ => version.into(),
        };
        Resource { kind: self.kind, name, version, body }
    }

    fn check(&self, type_url: &Bytes) -> Result<(), Malformed> {
        if type_name(type_url) == Some(self.kind.message_name().as_bytes()) {
            return Ok(());
        }
        Err(self.mistyped(String::from_utf8_lossy(type_url).into_owned()))
    }

    fn mistyped(&self, found: String) -> Malformed {
        Malformed::Type { expected: self.kind, found, mode: self.mode }
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> Malformed {
        ResourceError::Bytes { kind: self.kind, reason: reason.to_string() }.into()
    }

    fn decode<M: Message + Default>(&self, bytes: Bytes) -> Result<M, Malformed> {
        M::decode(bytes).map_err(|error| self.broken(&error))
    }
}

impl Sorted {
    /// A delta response says each name once.
    fn check_unique(&self, removed: &[String]) -> Result<(), Malformed> {
        let mut names = HashSet::with_capacity(self.resources.len() + removed.len());
        let resources = self.resources.iter().map(|(resource, _)| &resource.name);
        for name in resources.chain(self.alive.iter().map(|(name, _)| name)) {
            if !names.insert(&**name) {
                return Err(Malformed::Duplicate(name.to_string()));
            }
        }
        for name in removed {
            if !names.insert(name) {
                return Err(Malformed::AddedAndRemoved(name.clone()));
            }
        }
        Ok(())
    }
}

/// The name of a message in a type URL.
fn type_name(type_url: &[u8]) -> Option<&[u8]> {
    let slash = type_url.iter().rposition(|byte| *byte == b'/')?;
    type_url.get(slash + 1..)
}

/// A lifetime that is none, such as a negative one, is not taken for a short one.
fn lifetime(ttl: google::Duration) -> Option<Duration> {
    Some(Duration::new(ttl.seconds.try_into().ok()?, ttl.nanos.try_into().ok()?))
}
