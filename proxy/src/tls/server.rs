//! The server's side: terminates TLS of clients. (envoy: DownstreamTlsContext)

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ProtocolVersion, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::{TlsError, certified_key, names_of, own_names, read_peer};
use super::suites::name_of;
use super::{CommonSpec, TlsInfo};
use crate::net::{Io, Stream};

/// A server's side, as configured.
#[derive(Debug, Default)]
pub struct ServerSpec {
    /// What both sides have.
    pub common: CommonSpec,
    /// A client must present a certificate. (envoy: require_client_certificate)
    pub require_client_certificate: bool,
}

/// A server's side, compiled.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    local_uris: Vec<Box<str>>,
    local_subject: Box<str>,
}

impl ServerTls {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// If certificates, keys or roots cannot be used, or none is given.
    pub fn new(spec: &ServerSpec) -> Result<Self, TlsError> {
        let common = &spec.common;
        let provider = common.provider();
        let keys = common
            .certificates
            .iter()
            .map(|certificate| certified_key(certificate, &provider))
            .collect::<Result<Vec<_>, _>>()?;
        let (local_uris, local_subject) = match keys.first() {
            Some(key) => own_names(key),
            None => return Err(TlsError("no certificate".to_owned())),
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&common.parameters.versions())?;
        let builder = match &common.validation {
            Some(validation) => builder.with_client_cert_verifier(
                validation.client_verifier(&provider, spec.require_client_certificate)?,
            ),
            None if spec.require_client_certificate => {
                return Err(TlsError(
                    "require_client_certificate without a validation context".to_owned(),
                ));
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Certificates::new(keys)));
        config.alpn_protocols.clone_from(&common.alpn);
        config.max_early_data_size = 0;
        // Tickets of this configuration only: no session survives a change of certificates or roots.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), local_uris, local_subject })
    }

    /// Performs the handshake.
    ///
    /// # Errors
    /// Whatever ends the handshake; rustls' reason is inside the error.
    pub async fn accept(&self, stream: Stream) -> std::io::Result<(Io, TlsInfo)> {
        let tls = TlsAcceptor::from(self.config.clone()).accept(stream).await?;
        let session = tls.get_ref().1;
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let info = TlsInfo {
            version,
            cipher: session.negotiated_cipher_suite().map_or("", |suite| name_of(suite.suite())),
            alpn: session.alpn_protocol().map(|alpn| String::from_utf8_lossy(alpn).into()),
            local_uris: self.local_uris.clone(),
            local_subject: self.local_subject.clone(),
            peer: session.peer_certificates().and_then(read_peer),
        };
        Ok((Io::ServerTls(Box::new(tls)), info))
    }
}

/// Chooses a certificate by the client's server name and signature schemes.
#[derive(Debug)]
struct Certificates {
    entries: Vec<(Vec<Box<str>>, Arc<CertifiedKey>)>,
}

impl Certificates {
    fn new(keys: Vec<Arc<CertifiedKey>>) -> Self {
        let entries = keys
            .into_iter()
            .map(|key| {
                let names = key
                    .cert
                    .first()
                    .and_then(|leaf| X509Certificate::from_der(leaf).ok())
                    .map(|(_, certificate)| names_of(&certificate).dns)
                    .unwrap_or_default();
                (names, key)
            })
            .collect();
        Self { entries }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let can_sign =
            |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let is_named = |names: &[Box<str>]| {
            hello.server_name().is_some_and(|wanted| {
                names.iter().any(|name| {
                    name.eq_ignore_ascii_case(wanted)
                        || name.strip_prefix("*.").is_some_and(|parent| {
                            wanted
                                .split_once('.')
                                .is_some_and(|(_, r)| r.eq_ignore_ascii_case(parent))
                        })
                })
            })
        };
        let fit = self.entries.iter().filter(|(_, key)| can_sign(key));
        let named = fit.clone().find(|(names, _)| is_named(names));
        let chosen = named.or_else(|| fit.clone().next()).or_else(|| self.entries.first());
        chosen.map(|(_, key)| key.clone())
    }
}
