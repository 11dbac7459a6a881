//! The only unsafe code of the project.
//!
//! What a sidecar needs to start is not what it needs to serve: the command line, YAML, reflection and the translators run once and leave their code and
//! their freed memory behind. This crate gives both back. Every function says why it is sound, and has a test.

mod code;
mod heap;

pub use code::release_code;
pub use heap::release_heap;
