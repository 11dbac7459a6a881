//! The xDS protocol as a client: what resources are, and where they come from.
//!
//! - [`Resource`]: a named message of one of the [`ResourceType`]s, still encoded; [`Update`]: what a source says about a type
//! - [`Mux`]: the protocol without I/O, for one stream that several types share
//! - [`source`]: files that are watched, and gRPC streams
//!
//! Knows nothing of a proxy: what a resource means, and whether it is accepted, is for who holds the [`Update`].

mod backoff;
mod mux;
mod resource;
pub mod source;
mod update;

pub use backoff::Backoff;
pub use mux::{
    Delivery, Failure, Identity, Malformed, MessageError, Mode, Mux, Receipt, Received, Refusal,
    Request, Subject,
};
pub use resource::{Resource, ResourceError, ResourceType};
pub use update::{Extent, Update};
