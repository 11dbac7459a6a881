//! stub
use super::common::Translated;
use super::cx::Cx;
use crate::upstream::host_set::Assignment;
use crate::upstream::transport::Transports;
use outrigger_xds::Resource;
/// x
pub fn from_resource(_: &Resource, _: &Transports, _: &Cx<'_>) -> Translated<Assignment> {
    unimplemented!()
}
