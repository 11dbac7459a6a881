//! A name in the configuration and what is held under it.

use std::sync::Arc;
use std::time::SystemTime;

use outrigger_xds::Resource;

use super::cx::Need;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The bootstrap; nothing can replace it.
    Static,
    /// A control plane.
    Dynamic,
}

/// A resource that was accepted.
#[derive(Debug)]
pub struct Version<T> {
    /// As it came.
    pub resource: Resource,
    /// When.
    pub since: SystemTime,
    /// What became of it.
    pub value: Arc<T>,
    /// What it cannot do without.
    pub needs: Vec<Need>,
}

/// A resource that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// As it came.
    pub resource: Resource,
    /// When.
    pub at: SystemTime,
    /// Why.
    pub reason: String,
}

/// What is held under a name: the version in force, the one that waits for what it needs, and the last that was refused.
#[derive(Debug)]
pub struct Slot<T> {
    /// Who said it.
    pub origin: Origin,
    /// In force.
    pub active: Option<Version<T>>,
    /// Waiting.
    pub warming: Option<Version<T>>,
    /// Refused since.
    pub refused: Option<Refused>,
}

impl<T> Slot<T> {
    /// Nothing is held yet.
    #[must_use]
    pub const fn new(origin: Origin) -> Self {
        Self { origin, active: None, warming: None, refused: None }
    }

    /// The versions that are held, the one in force first.
    pub fn versions(&self) -> impl Iterator<Item = &Version<T>> {
        self.active.iter().chain(&self.warming)
    }

    /// True if the newest version that is held came with these bytes.
    #[must_use]
    pub fn holds(&self, resource: &Resource) -> bool {
        let newest = self.warming.as_ref().or(self.active.as_ref());
        newest.is_some_and(|version| version.resource.body == resource.body)
    }

    /// True if nothing but a refusal is held.
    #[must_use]
    pub const fn is_vacant(&self) -> bool {
        self.active.is_none() && self.warming.is_none()
    }
}
