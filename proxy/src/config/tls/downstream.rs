//! The server's side. (envoy: extensions.transport_sockets.tls.v3.DownstreamTlsContext)

use std::time::Duration;

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::downstream_tls_context::{
    OcspStaplePolicy, SessionTicketKeysType,
};
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::{
    DownstreamTlsContext, TlsSessionTicketKeys,
};

use super::context::{self, Side};
use super::secret;
use crate::config::common::{Translated, bool_or, data_source, duration, enumeration};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::listener::ServerTransport;
use crate::tls::{Discovered, ServerSpec, ServerTls};

/// Sessions of 2^32 seconds and more are none. (envoy: DownstreamTlsContext.session_timeout)
const SESSION_LIMIT: Duration = Duration::from_secs(1 << 32);
/// Of a ticket key: name, HMAC key and AES key. (envoy: TlsSessionTicketKeys.keys)
const TICKET_KEY_BYTES: usize = 80;

pub(super) fn transport(
    message: DownstreamTlsContext,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<ServerTransport> {
    fields!(cx, at, message => DownstreamTlsContext {
        used: common_tls_context, require_client_certificate, require_sni, session_timeout,
            ocsp_staple_policy, full_scan_certs_on_sni_mismatch, prefer_client_ciphers,
            session_ticket_keys_type;
        ignored: disable_stateful_session_resumption = "the server stores no session";
    });
    if bool_or(require_sni, false) {
        return Err(at.field("require_sni").unsupported("requiring a server name"));
    }
    match enumeration(ocsp_staple_policy, &at.field("ocsp_staple_policy"))? {
        // Without any response, which a certificate cannot bring, both are one.
        OcspStaplePolicy::LenientStapling | OcspStaplePolicy::StrictStapling => {}
        OcspStaplePolicy::MustStaple => {
            return Err(at.field("ocsp_staple_policy").unsupported("OCSP stapling"));
        }
    }
    let default = ServerSpec::default();
    let lifetime = session_lifetime(session_timeout, &at.field("session_timeout"))?;
    let issues_tickets = session_tickets(session_ticket_keys_type, at, cx)?;
    let common_at = at.field("common_tls_context");
    let common =
        context::context(common_tls_context.unwrap_or_default(), &common_at, cx, Side::Server)?;
    let is_discovered = common.is_discovered();
    let spec = ServerSpec {
        common: common.spec,
        require_client_certificate: bool_or(require_client_certificate, false),
        session_lifetime: issues_tickets.then(|| lifetime.or(default.session_lifetime)).flatten(),
        scans_all_certificates: bool_or(full_scan_certs_on_sni_mismatch, false),
        prefers_client_suites: prefer_client_ciphers,
    };
    if is_discovered {
        let scope = cx.scope("server_ssl_socket_factory.");
        let (certificates, validation) = (common.certificates, common.validation);
        let tls = Discovered::new(spec, certificates, validation, cx.registry, scope);
        return Ok(ServerTransport::Discovered(Box::new(tls)));
    }
    let tls = ServerTls::new(&spec).map_err(|error| common_at.error(error))?;
    Ok(ServerTransport::Tls(Box::new(tls)))
}

/// How long sessions live, in whole seconds; zero is the default, as BoringSSL has it.
fn session_lifetime(
    message: Option<outrigger_xds_api::google::protobuf::Duration>,
    at: &At<'_>,
) -> Translated<Option<Duration>> {
    let Some(lifetime) = duration(message, at)? else { return Ok(None) };
    if lifetime >= SESSION_LIMIT {
        return Err(at.error("must be less than 4294967296 s"));
    }
    Ok(Some(Duration::from_secs(lifetime.as_secs())).filter(|lifetime| !lifetime.is_zero()))
}

/// True if clients get tickets. Keys that are shared with other proxies are checked and not used: clients who bring such a ticket shake hands
/// in full.
fn session_tickets(
    message: Option<SessionTicketKeysType>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<bool> {
    const OWN_KEYS: &str = "tickets are sealed with keys that never leave the process";
    match message {
        None => Ok(true),
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(disabled)) => Ok(!disabled),
        Some(SessionTicketKeysType::SessionTicketKeys(message)) => {
            let at = at.field("session_ticket_keys");
            fields!(cx, at, message => TlsSessionTicketKeys { used: keys; });
            let at = at.field("keys");
            if keys.is_empty() {
                return Err(at.error("must not be empty"));
            }
            for (index, key) in keys.into_iter().enumerate() {
                let at = at.index(index);
                if data_source(key, &at, cx)?.len() != TICKET_KEY_BYTES {
                    return Err(at.error(format_args!("must have {TICKET_KEY_BYTES} bytes")));
                }
            }
            cx.note_ignored(&at, OWN_KEYS);
            Ok(true)
        }
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(message)) => {
            let at = at.field("session_ticket_keys_sds_secret_config");
            secret::name(message, &at, cx)?;
            cx.note_ignored(&at, OWN_KEYS);
            Ok(true)
        }
    }
}
