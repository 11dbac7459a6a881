//! stub
use super::common::Translated;
use super::cx::Cx;
use super::error::At;
use crate::telemetry::access_log::AccessLog as Compiled;
use outrigger_xds_api::envoy::config::accesslog::v3::AccessLog;
/// x
pub fn logs(_: Vec<AccessLog>, _: &At<'_>, _: &Cx<'_>) -> Translated<std::sync::Arc<Compiled>> {
    unimplemented!()
}
