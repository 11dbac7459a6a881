//! Envoy's messages, and their YAML and JSON form.
//!
//! The messages are those of the crate `envoy-types`, under the names of their packages:
//! [`envoy::config::cluster::v3::Cluster`] is `envoy.config.cluster.v3.Cluster`. The few that it lacks
//! and istiod sends are ours: [`udpa`], [`xds`], [`istio`].
//!
//! - [`any`] opens an `Any` whose type is known; [`TypedStruct`] the JSON in one.
//! - [`Document`] reads a bootstrap or any other file, and knows the line of everything in it.
//! - [`mod@write`] shows a message as `/config_dump` does.
//! - [`unknown`] finds what a message has and Envoy's API of this version does not.
//! - [`Pool`] holds the descriptors that the last two need. Load it, use it, drop it.
//!
//! Deliberately absent: what a field means, which values are allowed and everything else that a proxy
//! knows; and the xDS protocol.

pub mod any;
mod document;
mod error;
pub mod istio;
mod path;
mod read;
mod reflect;
mod schema;
mod tree;
mod typed_struct;
pub mod unknown;
mod well_known;
pub mod write;

pub use document::{Document, Location};
pub use envoy_types::pb::{cel, envoy, google, opentelemetry, ratelimit};
pub use error::ReadError;
pub use read::Unknown;
pub use reflect::Pool;
pub use typed_struct::TypedStruct;

/// Packages under `udpa`.
pub mod udpa {
    /// Packages under `udpa.type`.
    pub mod r#type {
        /// Package `udpa.type.v1`.
        pub mod v1 {
            pub use crate::typed_struct::TypedStruct;
        }
    }
}

/// Packages under `xds`.
pub mod xds {
    pub use envoy_types::pb::xds::core;

    /// Packages under `xds.type`.
    pub mod r#type {
        pub use envoy_types::pb::xds::r#type::matcher;

        /// Package `xds.type.v3`.
        pub mod v3 {
            pub use crate::typed_struct::Xds as TypedStruct;
            pub use envoy_types::pb::xds::r#type::v3::*;
        }
    }
}
