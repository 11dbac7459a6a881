//! The xDS protocol as a client: what resources are, and where they come from.
//!
//! - [`Resource`]: a named message of one of the [`ResourceType`]s, still encoded; [`Update`]: what a source says about a type
//! - [`source`]: files that are watched
//!
//! Knows nothing of a proxy: what a resource means, and whether it is accepted, is for who holds the [`Update`].

mod resource;
pub mod source;
mod update;

pub use resource::{Resource, ResourceError, ResourceType};
pub use update::{Extent, Update};
