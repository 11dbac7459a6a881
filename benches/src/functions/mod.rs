//! What a request passes on its way, one decision per file: `new` makes the surroundings, and one method is what is measured.
//!
//! `benches/clocks.rs` and `benches/counts.rs` call the same methods, so that a time and a count tell of the same work.

mod filters;
mod log;
mod mesh;
mod pick;
mod push;
mod rbac;
mod routes;
mod snapshot;
mod stream;

pub use filters::Filters;
pub use log::LogLine;
pub use mesh::Mesh;
pub use pick::Hosts;
pub use push::Pushes;
pub use rbac::Policies;
pub use routes::Routes;
pub use snapshot::Worker;
