//! Configuration: the only place where messages become types of ours.
//!
//! One translator per message. A translator takes its message apart completely (`fields`), says where it stands (`At`), and answers with a compiled type or a
//! [`ConfigError`] that names the field.

pub mod bootstrap;
mod common;
mod cx;
mod error;
mod fields;
pub mod filters;
mod matcher;
pub mod route;
mod runtime;
mod snapshot;
mod source;

pub use cx::{Cx, Ignored, Need};
pub use error::{At, ConfigError};
pub use fields::{Documented, Fate};
pub use runtime::Runtime;
pub use snapshot::{ClusterHandle, Snapshot};
pub use source::{ConfigSource, Source};
