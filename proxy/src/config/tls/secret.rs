//! Secrets that are named and not written out. (envoy: extensions.transport_sockets.tls.v3.SdsSecretConfig)

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;

use crate::config::common::{Translated, non_empty};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

/// The name of a secret that is discovered.
pub(super) fn name(message: SdsSecretConfig, at: &At<'_>, cx: &Cx<'_>) -> Translated<Box<str>> {
    fields!(cx, at, message => SdsSecretConfig { used: name, sds_config; });
    let name = non_empty(name, &at.field("name"))?;
    if sds_config.is_none() {
        return Err(at.field("name").unsupported(format_args!("'{name}', a static secret")));
    }
    Ok(name.into())
}

/// The name of a secret that has not arrived, as none does yet: its users connect nobody.
pub(super) fn missing(message: SdsSecretConfig, at: &At<'_>, cx: &Cx<'_>) -> Translated<Box<str>> {
    let name = name(message, at, cx)?;
    cx.note_ignored(
        &at.field("sds_config"),
        "secrets are not discovered yet: no connection is made",
    );
    Ok(name)
}
