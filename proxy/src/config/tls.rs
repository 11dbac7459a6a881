//! stub
use super::common::Translated;
use super::cx::Cx;
use super::error::At;
use crate::listener::ServerTransport;
use outrigger_xds_api::envoy::config::core::v3::TransportSocket;
/// x
pub fn server_transport(
    _: Option<TransportSocket>,
    _: &At<'_>,
    _: &Cx<'_>,
) -> Translated<ServerTransport> {
    unimplemented!()
}
