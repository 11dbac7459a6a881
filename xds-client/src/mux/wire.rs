//! Responses as they come, taken apart without copying: resources stay slices of the message that brought them.
//!
//! The field numbers are those of `envoy.service.discovery.v3`; what a client has no use for is left out. A response of an unknown type costs
//! its slices and nothing else.

use bytes::Bytes;
use outrigger_xds_api::envoy::config::core::v3::ControlPlane;
use outrigger_xds_api::envoy::service::discovery::v3::{ResourceError, ResourceName};
use outrigger_xds_api::google::protobuf::Duration;
use prost::{DecodeError, Message};

use super::Mode;

/// (envoy: service.discovery.v3.DiscoveryResponse)
#[derive(Clone, PartialEq, Message)]
struct Sotw {
    #[prost(string, tag = "1")]
    version_info: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    resources: Vec<Bytes>,
    #[prost(string, tag = "4")]
    type_url: String,
    #[prost(string, tag = "5")]
    nonce: String,
    #[prost(message, optional, tag = "6")]
    control_plane: Option<ControlPlane>,
    #[prost(message, repeated, tag = "7")]
    resource_errors: Vec<ResourceError>,
}

/// (envoy: service.discovery.v3.DeltaDiscoveryResponse)
#[derive(Clone, PartialEq, Message)]
struct Delta {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    resources: Vec<Bytes>,
    #[prost(string, tag = "4")]
    type_url: String,
    #[prost(string, tag = "5")]
    nonce: String,
    #[prost(string, repeated, tag = "6")]
    removed_resources: Vec<String>,
    #[prost(message, optional, tag = "7")]
    control_plane: Option<ControlPlane>,
    #[prost(message, repeated, tag = "8")]
    removed_resource_names: Vec<ResourceName>,
    #[prost(message, repeated, tag = "9")]
    resource_errors: Vec<ResourceError>,
}

/// (envoy: service.discovery.v3.Resource)
#[derive(Clone, PartialEq, Message)]
pub(super) struct Wrapper {
    #[prost(string, tag = "1")]
    pub(super) version: String,
    #[prost(message, optional, tag = "2")]
    pub(super) resource: Option<Any>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) aliases: Vec<String>,
    #[prost(message, optional, tag = "6")]
    pub(super) ttl: Option<Duration>,
    #[prost(message, optional, tag = "8")]
    pub(super) resource_name: Option<ResourceName>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}

/// What both protocols say, in one form.
pub(super) struct Response {
    pub(super) type_url: String,
    pub(super) nonce: String,
    /// Of the whole. Empty with delta, where it is for people only.
    pub(super) version: String,
    /// Each an `Any`, or with delta a [`Wrapper`].
    pub(super) elements: Vec<Bytes>,
    /// Names that are gone.
    pub(super) removed: Vec<String>,
    pub(super) errors: Vec<ResourceError>,
    /// What the server calls itself.
    pub(super) control_plane: Option<String>,
}

impl Response {
    /// Takes a message apart.
    ///
    /// # Errors
    /// If it is no response.
    pub(super) fn decode(mode: Mode, message: Bytes) -> Result<Self, DecodeError> {
        let identifier = |plane: Option<ControlPlane>| plane.map(|plane| plane.identifier);
        Ok(match mode {
            Mode::Sotw => {
                let response = Sotw::decode(message)?;
                Self {
                    type_url: response.type_url,
                    nonce: response.nonce,
                    version: response.version_info,
                    elements: response.resources,
                    removed: Vec::new(),
                    errors: response.resource_errors,
                    control_plane: identifier(response.control_plane),
                }
            }
            Mode::Delta => {
                let response = Delta::decode(message)?;
                let mut removed = response.removed_resources;
                removed.extend(response.removed_resource_names.into_iter().map(|name| name.name));
                Self {
                    type_url: response.type_url,
                    nonce: response.nonce,
                    version: String::new(),
                    elements: response.resources,
                    removed,
                    errors: response.resource_errors,
                    control_plane: identifier(response.control_plane),
                }
            }
        })
    }
}
