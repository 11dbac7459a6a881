//! A proxy under a control plane: a real one, of go-control-plane, whose resources are files that a test writes.
//!
//! [`ControlPlane`] is `tests/peers/controlplane`, built by Go on the way; [`resources`] are the messages of small meshes as JSON; [`World`] has
//! everything together and waits for what is to become true; [`small`] is what most tests start from.

mod peer;
pub mod replay;
pub mod resources;
pub mod small;
pub mod tape;
mod world;

pub use peer::ControlPlane;
pub use world::{Form, World};
