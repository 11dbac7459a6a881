//! (envoy: config.bootstrap.v3.LayeredRuntime)

use outrigger_xds_api::envoy::config::bootstrap::v3::runtime_layer::{AdminLayer, LayerSpecifier};
use outrigger_xds_api::envoy::config::bootstrap::v3::{LayeredRuntime, RuntimeLayer};
use outrigger_xds_api::google::protobuf::Struct;

use crate::config::common::{Translated, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::runtime::Runtime;

pub(super) fn runtime(message: LayeredRuntime, at: &At<'_>, cx: &Cx<'_>) -> Translated<Runtime> {
    fields!(cx, at, message => LayeredRuntime { used: layers; });
    let mut runtime = Runtime::default();
    let at = at.field("layers");
    for (index, message) in layers.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => RuntimeLayer { used: name, layer_specifier; });
        let name = non_empty(name, &at.field("name"))?;
        if runtime.layers().iter().any(|known| **known == *name) {
            return Err(at.field("name").error(format_args!("Duplicate layer name: {name}")));
        }
        let layer = match required(layer_specifier, &at)? {
            LayerSpecifier::StaticLayer(layer) => layer,
            LayerSpecifier::AdminLayer(AdminLayer {}) => Struct::default(),
            LayerSpecifier::DiskLayer(_) => {
                return Err(at.field("disk_layer").unsupported("a layer on disk"));
            }
            LayerSpecifier::RtdsLayer(_) => {
                return Err(at.field("rtds_layer").unsupported("a layer by discovery"));
            }
        };
        runtime.push(&name, layer).map_err(|reason| at.field("static_layer").error(reason))?;
    }
    Ok(runtime)
}
