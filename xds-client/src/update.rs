//! What a source says about the resources of one type.

use std::sync::Arc;

use crate::resource::{Resource, ResourceType};

/// What becomes of the resources that an update does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// They are gone, if the type is one whose absence removes.
    Everything,
    /// They stay.
    Some,
}

/// A change of the resources of one type.
#[derive(Clone, Debug)]
pub struct Update {
    /// The type.
    pub kind: ResourceType,
    /// The version of the whole, for people: opaque, and no change detector.
    pub version: Arc<str>,
    /// Resources that are new, changed, or said again.
    pub resources: Vec<Resource>,
    /// Names that are gone.
    pub removed: Vec<Arc<str>>,
    /// What the update says about others.
    pub extent: Extent,
}
