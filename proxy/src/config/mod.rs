//! Configuration: the only place where messages become types of ours.
//!
//! One translator per message. A translator takes its message apart completely (`fields`), says where it stands (`At`), and answers with a compiled type or a
//! [`ConfigError`] that names the field. [`Store`] holds what was said, brings what is complete into force, and publishes it as a [`Snapshot`].

mod access_log;
mod apply;
pub mod bootstrap;
pub mod cluster;
mod cluster_handle;
mod common;
mod cx;
pub mod documented;
mod dump;
mod endpoints;
mod environment;
mod error;
mod fields;
pub mod filters;
mod listener;
mod management_server;
mod matcher;
mod protocol;
mod retired;
pub mod route;
mod runtime;
mod slot;
mod snapshot;
mod source;
mod store;
mod tls;
mod typed_struct;
mod unknown;
mod verdict;
#[cfg(test)]
mod verdict_table;
mod warming;

pub use apply::Rejection;
pub use bootstrap::{DynamicResources, LogFormat};
pub use cluster_handle::ClusterHandle;
pub use cx::{Cx, Ignored, Need};
pub use dump::{DumpQuery, node_json};
pub use environment::{Environment, Mesh};
pub use error::{At, ConfigError};
pub use fields::{Documented, Fate};
pub use management_server::ManagementServer;
pub use runtime::Runtime;
pub use slot::{Origin, Slot};
pub use snapshot::Snapshot;
pub use source::{ConfigSource, Source};
pub use store::Store;
pub use verdict::verdict;
pub use warming::Settled;
