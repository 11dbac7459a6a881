//! What both sides have. (envoy: extensions.transport_sockets.tls.v3.CommonTlsContext)

use std::sync::Arc;

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::CommonTlsContext;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};

use super::certificate::certificate;
use super::parameters::parameters;
use super::secret;
use super::validation::{partial, validation};
use crate::config::common::{Translated, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::tls::{CommonSpec, SecretCell, Validation};

/// Which side is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// We serve.
    Server,
    /// We connect.
    Client,
}

/// What is known, and the places of what will be.
#[derive(Debug)]
pub(super) struct Context {
    /// What is known.
    pub(super) spec: CommonSpec,
    /// Certificates that are discovered.
    pub(super) certificates: Vec<Arc<SecretCell>>,
    /// A validation, or the rest of one, that is discovered.
    pub(super) validation: Option<Arc<SecretCell>>,
}

impl Context {
    /// True if nothing may be compiled before secrets arrive.
    pub(super) const fn is_discovered(&self) -> bool {
        !self.certificates.is_empty() || self.validation.is_some()
    }
}

pub(super) fn context(
    message: CommonTlsContext,
    at: &At<'_>,
    cx: &Cx<'_>,
    side: Side,
) -> Translated<Context> {
    fields!(cx, at, message => CommonTlsContext {
        used: tls_params, tls_certificates, tls_certificate_sds_secret_configs, alpn_protocols,
            validation_context_type;
        refused:
            tls_certificate_provider_instance = "a certificate provider",
            custom_tls_certificate_selector = "another choice of certificates",
            tls_certificate_certificate_provider = "a certificate provider",
            tls_certificate_certificate_provider_instance = "a certificate provider",
            custom_handshaker = "another handshaker",
            key_log = "writing the keys of connections to a file";
    });
    let inline_at = at.field("tls_certificates");
    let sds_at = at.field("tls_certificate_sds_secret_configs");
    match (side, tls_certificates.len(), tls_certificate_sds_secret_configs.len()) {
        (Side::Server, 0, 0) => {
            return Err(inline_at.error("a server needs a certificate"));
        }
        (Side::Server, 1.., 1..) => {
            return Err(sds_at.error("is set besides tls_certificates"));
        }
        (Side::Client, inline, sds) if inline + sds > 1 => {
            return Err(at.error("a client has one certificate at most"));
        }
        _ => {}
    }
    let each = |(index, message)| secret::cell(message, &sds_at.index(index), cx);
    let discovered = tls_certificate_sds_secret_configs.into_iter().enumerate().map(each);
    let discovered = discovered.collect::<Translated<_>>()?;
    let mut cell = None;
    let each = |(index, message)| certificate(message, &inline_at.index(index), cx);
    let certificates: Vec<_> =
        tls_certificates.into_iter().enumerate().map(each).collect::<Translated<_>>()?;
    let validation = match validation_context_type {
        None => None,
        Some(ValidationContextType::ValidationContext(message)) => {
            Some(validation(message, &at.field("validation_context"), cx, side)?)
        }
        Some(ValidationContextType::ValidationContextSdsSecretConfig(message)) => {
            let at = at.field("validation_context_sds_secret_config");
            cell = Some(secret::cell(message, &at, cx)?);
            None
        }
        Some(ValidationContextType::CombinedValidationContext(message)) => {
            let at = at.field("combined_validation_context");
            let (secret, validation) = combined(message, &at, cx, side)?;
            cell = Some(secret);
            Some(validation)
        }
        Some(ValidationContextType::ValidationContextCertificateProvider(_)) => {
            let at = at.field("validation_context_certificate_provider");
            return Err(at.unsupported("a certificate provider"));
        }
        Some(ValidationContextType::ValidationContextCertificateProviderInstance(_)) => {
            let at = at.field("validation_context_certificate_provider_instance");
            return Err(at.unsupported("a certificate provider"));
        }
    };
    let spec = CommonSpec {
        certificates,
        validation,
        alpn: alpn(&alpn_protocols, &at.field("alpn_protocols"))?,
        parameters: parameters(tls_params.unwrap_or_default(), &at.field("tls_params"), cx, side)?,
    };
    Ok(Context { spec, certificates: discovered, validation: cell })
}

/// A secret, and what is configured beside it. Both together are checked when the secret is there.
fn combined(
    message: CombinedCertificateValidationContext,
    at: &At<'_>,
    cx: &Cx<'_>,
    side: Side,
) -> Translated<(Arc<SecretCell>, Validation)> {
    fields!(cx, at, message => CombinedCertificateValidationContext {
        used: default_validation_context, validation_context_sds_secret_config;
        refused:
            validation_context_certificate_provider = "a certificate provider",
            validation_context_certificate_provider_instance = "a certificate provider";
    });
    let sds_at = at.field("validation_context_sds_secret_config");
    let secret =
        secret::cell(required(validation_context_sds_secret_config, &sds_at)?, &sds_at, cx)?;
    let at = at.field("default_validation_context");
    let default = required(default_validation_context, &at)?;
    Ok((secret, partial(default, &at, cx, side)?))
}

/// Protocols, each of 1 to 255 bytes; Envoy splits them at commas.
fn alpn(protocols: &[String], at: &At<'_>) -> Translated<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for (index, text) in protocols.iter().enumerate() {
        for name in text.split(',') {
            if !(1..=255).contains(&name.len()) {
                return Err(at.index(index).error("must have 1 to 255 bytes"));
            }
            names.push(name.as_bytes().to_vec());
        }
    }
    Ok(names)
}
