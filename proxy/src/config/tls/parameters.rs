//! Versions, cipher suites and curves. (envoy: extensions.transport_sockets.tls.v3.TlsParameters)

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::TlsParameters;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;

use super::context::Side;
use crate::config::common::{Translated, enumeration};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::tls::{Parameters, Version, groups_named, suites_named};

pub(super) fn parameters(
    message: TlsParameters,
    at: &At<'_>,
    cx: &Cx<'_>,
    side: Side,
) -> Translated<Parameters> {
    fields!(cx, at, message => TlsParameters {
        used: tls_minimum_protocol_version, tls_maximum_protocol_version, cipher_suites, ecdh_curves;
        refused:
            signature_algorithms = "a choice of signature algorithms",
            compliance_policies = "a compliance policy";
    });
    let min_at = at.field("tls_minimum_protocol_version");
    let min = match enumeration(tls_minimum_protocol_version, &min_at)? {
        TlsProtocol::TlsAuto | TlsProtocol::TlSv12 => Version::V12,
        TlsProtocol::TlSv10 | TlsProtocol::TlSv11 => {
            cx.note_ignored(&min_at, "no version before TLS 1.2 is spoken");
            Version::V12
        }
        TlsProtocol::TlSv13 => Version::V13,
    };
    let max_at = at.field("tls_maximum_protocol_version");
    let max = match enumeration(tls_maximum_protocol_version, &max_at)? {
        TlsProtocol::TlsAuto => match side {
            Side::Server => Version::V13,
            Side::Client => Version::V12,
        },
        TlsProtocol::TlSv10 | TlsProtocol::TlSv11 => {
            return Err(max_at.unsupported("a version before TLS 1.2"));
        }
        TlsProtocol::TlSv12 => Version::V12,
        TlsProtocol::TlSv13 => Version::V13,
    };
    if max < min {
        return Err(max_at.error("is less than the minimum; unset, it is TLSv1_2 for clients"));
    }
    let suites = match &*cipher_suites {
        [] => None,
        names => Some(suites_named(names).map_err(|error| at.field("cipher_suites").error(error))?),
    };
    if max == Version::V12 && suites.as_ref().is_some_and(Vec::is_empty) {
        return Err(at.field("cipher_suites").error("none of the cipher suites is supported"));
    }
    let groups = match &*ecdh_curves {
        [] => None,
        names => Some(groups_named(names).map_err(|error| at.field("ecdh_curves").error(error))?),
    };
    Ok(Parameters { min, max, suites, groups })
}
