//! Transport sockets: what stands between a connection and its filters or codec. (envoy: config.core.v3.TransportSocket)
//!
//! Listeners call [`server_transport`] for each filter chain, clusters [`client_transport`] for each of their sockets. Nothing here opens a
//! way that configuration has closed: a secret that has not arrived makes a transport that connects nobody, and what would weaken a check
//! and is not supported is refused.

mod certificate;
mod context;
mod downstream;
mod parameters;
mod secret;
#[cfg(test)]
mod tests;
mod upstream;
mod validation;

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::core::v3::TransportSocket;
use outrigger_xds_api::envoy::config::core::v3::transport_socket::ConfigType;
use outrigger_xds_api::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::{
    DownstreamTlsContext, UpstreamTlsContext,
};
use outrigger_xds_api::google::protobuf::Any;

use super::common::{Translated, decode, non_empty, required};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use crate::listener::ServerTransport;
use crate::upstream::transport::Transport;

pub(super) use self::secret::from_resource as secret;

/// The transport of a filter chain; plain if there is no message.
///
/// # Errors
/// For a socket other than plain or TLS, and for TLS that does not compile.
pub(super) fn server_transport(
    message: Option<TransportSocket>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<ServerTransport> {
    let Some(message) = message else { return Ok(ServerTransport::Plain) };
    let config = typed_config(message, at, cx)?;
    let at = at.field("typed_config");
    match any::type_name(&config.type_url) {
        Some(RAW_BUFFER) => raw_buffer(&config, &at).map(|()| ServerTransport::Plain),
        Some("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext") => {
            downstream::transport(decode::<DownstreamTlsContext>(&config, &at)?, &at, cx)
        }
        _ => Err(unknown(&config, &at)),
    }
}

/// The transport towards a cluster's hosts; plain if there is no message. `validates_requested` if a host's certificate must have the name
/// that a request brings. (envoy: UpstreamHttpProtocolOptions.auto_san_validation)
///
/// # Errors
/// For a socket other than plain or TLS, and for TLS that does not compile.
pub(super) fn client_transport(
    message: Option<TransportSocket>,
    validates_requested: bool,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Transport> {
    let Some(message) = message else { return Ok(Transport::Plain) };
    let config = typed_config(message, at, cx)?;
    let at = at.field("typed_config");
    match any::type_name(&config.type_url) {
        Some(RAW_BUFFER) => raw_buffer(&config, &at).map(|()| Transport::Plain),
        Some("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext") => {
            let message: UpstreamTlsContext = decode(&config, &at)?;
            upstream::transport(message, validates_requested, &at, cx)
        }
        _ => Err(unknown(&config, &at)),
    }
}

const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

fn typed_config(message: TransportSocket, at: &At<'_>, cx: &Cx<'_>) -> Translated<Any> {
    fields!(cx, at, message => TransportSocket { used: name, config_type; });
    // Envoy finds an extension by the type of its configuration; the name is free.
    non_empty(name, &at.field("name"))?;
    let ConfigType::TypedConfig(config) = required(config_type, &at.field("typed_config"))?;
    Ok(config)
}

fn raw_buffer(config: &Any, at: &At<'_>) -> Translated<()> {
    let RawBuffer {} = decode(config, at)?;
    Ok(())
}

fn unknown(config: &Any, at: &At<'_>) -> super::ConfigError {
    let name = any::type_name(&config.type_url).unwrap_or(&config.type_url);
    at.unsupported(format_args!("the transport socket {name}"))
}
