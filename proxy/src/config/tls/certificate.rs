//! Our certificates. (envoy: extensions.transport_sockets.tls.v3.TlsCertificate)

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::TlsCertificate;

use crate::config::common::{Translated, data_source, data_source_path, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::tls::Certificate;

pub(super) fn certificate(
    message: TlsCertificate,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Certificate> {
    fields!(cx, at, message => TlsCertificate {
        used: certificate_chain, private_key;
        ignored:
            watched_directory = "only secrets by discovery are watched, as in Envoy",
            signed_certificate_timestamp = "it has no effect in Envoy either";
        refused:
            pkcs12 = "PKCS#12",
            private_key_provider = "a private key provider",
            password = "a private key under a password",
            ocsp_staple = "OCSP stapling",
            tls_params = "a choice of parameters for one certificate";
    });
    let chain_at = at.field("certificate_chain");
    let source = required(certificate_chain, &chain_at)?;
    let path = data_source_path(&source);
    let chain = data_source(source, &chain_at, cx)?;
    let key_at = at.field("private_key");
    let key = data_source(required(private_key, &key_at)?, &key_at, cx)?;
    let certificate = Certificate::from_pem(&chain, &key).map_err(|error| at.error(error))?;
    Ok(certificate.from_path(&path))
}
