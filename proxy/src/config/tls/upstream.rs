//! The client's side. (envoy: extensions.transport_sockets.tls.v3.UpstreamTlsContext)

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;

use super::context::{self, Side};
use crate::config::common::{Translated, u32_or};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::tls::{ClientSpec, ClientTls};
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
    if auto_sni_san_validation && !has_roots && common.missing.is_none() {
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
    // What is there is compiled even if something is missing, so that a mistake shows at once.
    let tls = ClientTls::new(&spec).map_err(|error| at.error(error))?;
    Ok(common.missing.map_or(Transport::Tls(tls), Transport::Missing))
}
