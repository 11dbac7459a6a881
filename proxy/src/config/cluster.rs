//! stub
use super::common::Translated;
use super::cx::Cx;
use super::source::ConfigSource;
use crate::telemetry::metrics::Registry;
use crate::upstream::Cluster;
use crate::upstream::host_set::Assignment;
use outrigger_xds::Resource;
use std::sync::Arc;
/// s
pub struct ClusterSpec {
    /// x
    pub name: Arc<str>,
    /// x
    pub discovery: Discovery,
}
/// x
pub enum Discovery {
    /// x
    Static(Assignment),
    /// x
    Dns(()),
    /// x
    Eds {
        /// x
        service_name: Arc<str>,
        /// x
        from: ConfigSource,
    },
}
impl ClusterSpec {
    /// x
    pub fn build(&self, _: &Arc<Registry>) -> Arc<Cluster> {
        unimplemented!()
    }
    /// x
    pub fn stats_prefix(&self) -> String {
        unimplemented!()
    }
    /// x
    pub fn unusable(_: Arc<str>) -> Self {
        unimplemented!()
    }
}
/// x
pub fn from_resource(_: &Resource, _: &Cx<'_>) -> Translated<ClusterSpec> {
    unimplemented!()
}
