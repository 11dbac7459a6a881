//! Responses as they come, taken apart without copying: resources stay slices of the message that brought them.
//!
//! The field numbers are those of `envoy.service.discovery.v3`; what a client has no use for is left out, and with it what a hostile server could fill
//! memory with: two bytes that begin an empty message cost many when it is decoded. A response of an unknown type costs its slices and
//! nothing else.

use bytes::Bytes;
use outrigger_xds_api::envoy::config::core::v3::ControlPlane;
use outrigger_xds_api::google::protobuf::Duration;
use prost::encoding::{self, DecodeContext};
use prost::{DecodeError, Message};

use super::Mode;

/// Resources, names and errors that one response may hold. Some 60 bytes are decoded for each; a mesh of fifty thousand services has a tenth.
const FIELDS_MAX: usize = 1_000_000;

/// Why a message is no response.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MessageError {
    /// It cannot be decoded.
    #[error("not a discovery response: {0}")]
    Bytes(#[from] DecodeError),
    /// It says more than anybody should.
    #[error("a response of more than {FIELDS_MAX} fields")]
    Fields,
}

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
    #[prost(string, tag = "1")]
    system_version_info: String,
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

/// (envoy: service.discovery.v3.Resource) Texts of resources are bytes here, which are not copied; who reads them checks them.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Wrapper {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) version: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) resource: Option<Any>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) name: Bytes,
    /// The last one.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(super) alias: Option<Bytes>,
    #[prost(message, optional, tag = "6")]
    pub(super) ttl: Option<Duration>,
    #[prost(message, optional, tag = "8")]
    pub(super) resource_name: Option<ResourceName>,
}

/// (envoy: service.discovery.v3.ResourceName)
#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceName {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) type_url: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}

/// (envoy: service.discovery.v3.ResourceError)
#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceError {
    #[prost(message, optional, tag = "1")]
    pub(super) resource_name: Option<ResourceName>,
    #[prost(message, optional, tag = "2")]
    pub(super) error_detail: Option<ErrorDetail>,
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorDetail {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

impl ResourceName {
    /// The name; a text that is none names nothing that exists.
    pub(super) fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// What both protocols say, in one form.
pub(super) struct Response {
    pub(super) type_url: String,
    pub(super) nonce: String,
    /// Of the whole. Empty with delta.
    pub(super) version: String,
    /// The same for people: nothing is made of it.
    pub(super) shown_version: String,
    /// Each an [`Any`], or with delta a [`Wrapper`].
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
    pub(super) fn decode(mode: Mode, message: Bytes) -> Result<Self, MessageError> {
        count(message.clone())?;
        let identifier = |plane: Option<ControlPlane>| plane.map(|plane| plane.identifier);
        Ok(match mode {
            Mode::Sotw => {
                let response = Sotw::decode(message)?;
                Self {
                    type_url: response.type_url,
                    nonce: response.nonce,
                    shown_version: response.version_info.clone(),
                    version: response.version_info,
                    elements: response.resources,
                    removed: Vec::new(),
                    errors: response.resource_errors,
                    control_plane: identifier(response.control_plane),
                }
            }
            Mode::Delta => {
                let response = Delta::decode(message)?;
                let named = response.removed_resource_names.iter().map(ResourceName::lossy);
                let mut removed = response.removed_resources;
                removed.extend(named);
                Self {
                    type_url: response.type_url,
                    nonce: response.nonce,
                    version: String::new(),
                    shown_version: response.system_version_info,
                    elements: response.resources,
                    removed,
                    errors: response.resource_errors,
                    control_plane: identifier(response.control_plane),
                }
            }
        })
    }
}

/// Refuses a message of too many fields before anything is made of them.
fn count(mut message: Bytes) -> Result<(), MessageError> {
    for _ in 0..FIELDS_MAX {
        if message.is_empty() {
            return Ok(());
        }
        let (tag, wire_type) = encoding::decode_key(&mut message)?;
        encoding::skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
    }
    if message.is_empty() { Ok(()) } else { Err(MessageError::Fields) }
}
