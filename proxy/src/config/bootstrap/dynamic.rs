//! (envoy: config.bootstrap.v3.Bootstrap.DynamicResources)

use outrigger_xds_api::envoy::config::bootstrap::v3::bootstrap::DynamicResources as Message;

use crate::config::common::Translated;
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::source::{ConfigSource, Source, config_source};

/// What a control plane says.
#[derive(Debug, Default)]
pub struct DynamicResources {
    /// Where all clusters come from.
    pub clusters: Option<ConfigSource>,
    /// Where all listeners come from.
    pub listeners: Option<ConfigSource>,
}

pub(super) fn dynamic(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<DynamicResources> {
    fields!(cx, at, message => Message {
        used: lds_config, cds_config;
        ignored: ads_config = "streams of a control plane are not opened yet";
        refused:
            lds_resources_locator = "a federated name",
            cds_resources_locator = "a federated name";
    });
    let ads_at = at.field("ads_config");
    let source = |message: Option<_>, at: At<'_>| {
        let Some(message) = message else { return Ok(None) };
        let source = config_source(message, &at, cx)?;
        if source.source == Source::Ads && ads_config.is_none() {
            return Err(ads_at.error("is required: a subscription asks for it"));
        }
        Ok(Some(source))
    };
    Ok(DynamicResources {
        clusters: source(cds_config, at.field("cds_config"))?,
        listeners: source(lds_config, at.field("lds_config"))?,
    })
}

impl DynamicResources {
    /// True if a subscription of the bootstrap needs the aggregated stream.
    #[must_use]
    pub fn uses_ads(&self) -> bool {
        let is_ads = |source: &ConfigSource| source.source == Source::Ads;
        self.clusters.iter().chain(&self.listeners).any(is_ads)
    }
}
