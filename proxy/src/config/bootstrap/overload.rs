//! The overload manager: of its monitors, the one that counts downstream connections.
//! (envoy: config.overload.v3.OverloadManager)

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::overload::v3::resource_monitor::ConfigType;
use outrigger_xds_api::envoy::config::overload::v3::{OverloadManager, ResourceMonitor};
use outrigger_xds_api::envoy::extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig;

use crate::config::common::{Translated, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

/// The limit of downstream connections, if there is one.
pub(super) fn overload(
    message: OverloadManager,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<u64>> {
    fields!(cx, at, message => OverloadManager {
        used: resource_monitors;
        ignored:
            refresh_interval = "connections are counted exactly, not at intervals",
            buffer_factory_config = "buffers have limits of their own";
        refused:
            actions = "an overload action",
            loadshed_points = "a load shed point";
    });
    let mut limit = None;
    let at = at.field("resource_monitors");
    for (index, message) in resource_monitors.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => ResourceMonitor {
            used: name, config_type;
        });
        // The type of the configuration says what it is.
        drop(name);
        let at = at.field("typed_config");
        let ConfigType::TypedConfig(config) = required(config_type, &at)?;
        if any::type_name(&config.type_url)
            != Some(
                "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            )
        {
            return Err(at.unsupported(format_args!("the resource monitor {}", config.type_url)));
        }
        let message: DownstreamConnectionsConfig = any::decode(&config).map_err(|e| at.error(e))?;
        fields!(cx, at, message => DownstreamConnectionsConfig {
            used: max_active_downstream_connections;
        });
        let at = at.field("max_active_downstream_connections");
        match u64::try_from(max_active_downstream_connections) {
            Ok(most @ 1..) => limit = Some(most),
            _ => return Err(at.error("must be greater than 0")),
        }
    }
    Ok(limit)
}
