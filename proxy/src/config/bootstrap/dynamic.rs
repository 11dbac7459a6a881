//! (envoy: config.bootstrap.v3.Bootstrap.DynamicResources)

use std::sync::Arc;

use outrigger_xds_api::envoy::config::bootstrap::v3::bootstrap::DynamicResources as Message;

use crate::config::common::Translated;
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::management_server::{ManagementServer, management_server};
use crate::config::source::{ConfigSource, Source, config_source};

/// What a control plane says.
#[derive(Debug, Default)]
pub struct DynamicResources {
    /// Where all clusters come from.
    pub clusters: Option<ConfigSource>,
    /// Where all listeners come from.
    pub listeners: Option<ConfigSource>,
    /// The server of the aggregated stream.
    pub ads: Option<Arc<ManagementServer>>,
}

pub(super) fn dynamic(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<DynamicResources> {
    fields!(cx, at, message => Message {
        used: lds_config, cds_config, ads_config;
        refused:
            lds_resources_locator = "a federated name",
            cds_resources_locator = "a federated name";
    });
    let ads_at = at.field("ads_config");
    let ads = ads_config.map(|message| management_server(message, &ads_at, cx)).transpose()?;
    let source = |message: Option<_>, at: At<'_>| {
        let Some(message) = message else { return Ok(None) };
        let source = config_source(message, &at, cx)?;
        if source.source == Source::Ads && ads.is_none() {
            return Err(ads_at.error("is required: a subscription asks for it"));
        }
        Ok(Some(source))
    };
    Ok(DynamicResources {
        clusters: source(cds_config, at.field("cds_config"))?,
        listeners: source(lds_config, at.field("lds_config"))?,
        ads: ads.map(Arc::new),
    })
}
