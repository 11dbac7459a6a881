//! Configuration: the only place where messages become types of ours.
//!
//! One translator per message. A translator takes its message apart completely (`fields`), says where it stands (`At`), and answers with a compiled type or a
//! [`ConfigError`] that names the field.

pub mod access_log;
mod common;
mod cx;
mod error;
mod fields;
mod matcher;
mod snapshot;

pub use cx::{Cx, Ignored};
pub use error::{At, ConfigError};
pub use fields::{Documented, Fate};
pub use snapshot::{ClusterHandle, Snapshot};
