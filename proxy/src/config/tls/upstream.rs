//! The client's side. (envoy: extensions.transport_sockets.tls.v3.UpstreamTlsContext)

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;

use super::context::{self, Side};
use crate::config::common::{Translated, u32_or};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::tls::{ClientSpec, ClientTls, Discovered};
use crate::upstream::transport::Transport;

/// (envoy: UpstreamTlsContext.sni)
const MAX_SNI_BYTES: usize = 255;

pub(super) fn transport(
    message: UpstreamTlsContext,
    validates_requested: bool,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Transport> {
    fields!(cx, at, message => UpstreamTlsContext {
        used: common_tls_context, sni, auto_host_sni, auto_sni_san_validation, max_session_keys;
        ignored:
            allow_renegotiation = "nothing is ever renegotiated",
            enforce_rsa_key_usage = "the use of a key is always checked, as Envoy does since";
    });
    if sni.len() > MAX_SNI_BYTES {
        return Err(at.field("sni").error("is longer than 255 bytes"));
    }
    let common_at = at.field("common_tls_context");
    let common =
        context::context(common_tls_context.unwrap_or_default(), &common_at, cx, Side::Client)?;
    let has_roots = common.spec.validation.as_ref().is_some_and(|it| it.roots.is_some());
    let is_discovered = common.is_discovered();
    if auto_sni_san_validation && !has_roots && !is_discovered {
        return Err(at
            .field("auto_sni_san_validation")
            .error("proves nothing: trusted_ca is missing"));
    }
    let spec = ClientSpec {
        common: common.spec,
        sni: sni.into(),
        sni_from_hostname: auto_host_sni,
        validates_sni: auto_sni_san_validation,
        validates_requested,
        resumes: u32_or(max_session_keys, 1) > 0,
    };
    // What is there is compiled even if secrets are yet to come, so that a mistake shows at once.
    let tls = ClientTls::new(&spec).map_err(|error| at.error(error))?;
    if !is_discovered {
        return Ok(Transport::Tls(tls));
    }
    let scope = cx.scope("client_ssl_socket_factory.");
    let (certificates, validation) = (common.certificates, common.validation);
    let tls = Discovered::new(spec, certificates, validation, cx.registry, scope);
    Ok(Transport::Discovered(Box::new(tls)))
}
