//! Secrets that are discovered, and who names them.
//! (envoy: extensions.transport_sockets.tls.v3.Secret, SdsSecretConfig)

use std::sync::Arc;

use outrigger_xds::{Resource, ResourceType};
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::{
    SdsSecretConfig, Secret as Message,
};

use super::certificate::certificate;
use super::context::Side;
use super::validation::partial;
use crate::config::common::{Translated, message_of, non_empty, required};
use crate::config::cx::{Cx, Need};
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::source::{ConfigSource, secret_source};
use crate::tls::{Secret, SecretCell};

/// The secret that a resource holds.
///
/// # Errors
/// For what is no certificate and no validation context, and for one that does not compile.
pub(in crate::config) fn from_resource(resource: &Resource, cx: &Cx<'_>) -> Translated<Secret> {
    let at = At::root("");
    let message: Message = message_of(resource, &at)?;
    fields!(cx, at, message => Message { used: name, r#type; });
    // The resource has it already.
    drop(name);
    match required(r#type, &at.field("type"))? {
        Type::TlsCertificate(message) => {
            certificate(message, &at.field("tls_certificate"), cx).map(Secret::Certificate)
        }
        // Servers and clients use the same one, so what a server may not be told is refused for both.
        Type::ValidationContext(message) => {
            partial(message, &at.field("validation_context"), cx, Side::Server)
                .map(Secret::Validation)
        }
        Type::SessionTicketKeys(_) => {
            Err(at.field("session_ticket_keys").unsupported("sealing tickets with shared keys"))
        }
        Type::GenericSecret(_) => {
            Err(at.field("generic_secret").unsupported("a secret of another kind"))
        }
    }
}

/// The name of a secret that is discovered, and where.
pub(super) fn name(
    message: SdsSecretConfig,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(Arc<str>, ConfigSource)> {
    fields!(cx, at, message => SdsSecretConfig { used: name, sds_config; });
    let name = non_empty(name, &at.field("name"))?;
    let Some(source) = sds_config else {
        return Err(at.field("name").unsupported(format_args!("'{name}', a static secret")));
    };
    Ok((name.into(), secret_source(source, &at.field("sds_config"), cx)?))
}

/// The place of a secret that is needed from now on.
pub(super) fn cell(
    message: SdsSecretConfig,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Arc<SecretCell>> {
    let (name, from) = name(message, at, cx)?;
    let stats_prefix = format!("sds.{name}.");
    cx.need(Need { kind: ResourceType::Secret, name: name.clone(), from, stats_prefix });
    Ok(cx.secret(&name))
}
