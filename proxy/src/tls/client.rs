//! The client's side: TLS towards upstream hosts. (envoy: UpstreamTlsContext)

use std::sync::Arc;
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::certificate::{TlsError, certified_key};
use super::{CommonSpec, Validation};
use crate::net::{Io, Stream};

/// Hosts whose sessions are kept for a quick second handshake.
const SESSIONS: usize = 64;

/// A client's side, as configured.
#[derive(Debug, Default)]
pub struct ClientSpec {
    /// What both sides have. Without a validation every certificate is accepted, as in Envoy.
    pub common: CommonSpec,
    /// The server name to ask for; empty for none. (envoy: sni)
    pub sni: Box<str>,
}

/// A client's side, compiled.
#[derive(Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    sni: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// If certificates, keys, roots or the server name cannot be used.
    pub fn new(spec: &ClientSpec) -> Result<Self, TlsError> {
        let common = &spec.common;
        let provider = common.provider();
        let any = Validation::default();
        let validation = common.validation.as_ref().unwrap_or(&any);
        let keys = common
            .certificates
            .iter()
            .map(|certificate| certified_key(certificate, &provider))
            .collect::<Result<Vec<_>, _>>()?;
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&common.parameters.versions())?
            .dangerous()
            .with_custom_certificate_verifier(validation.server_verifier(&provider)?)
            .with_client_cert_resolver(Arc::new(OwnCertificates { keys }));
        config.alpn_protocols.clone_from(&common.alpn);
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        // Envoy tells an upstream that checks ALPN what it offered; an answer outside of it is an error in rustls too.
        let sni = match &*spec.sni {
            "" => None,
            name => {
                Some(server_name(name).ok_or_else(|| TlsError(format!("invalid sni '{name}'")))?)
            }
        };
        config.enable_sni = sni.is_some();
        Ok(Self { config: Arc::new(config), sni })
    }

    /// Performs the handshake within `timeout`; answers with the protocol that ALPN chose.
    ///
    /// # Errors
    /// Whatever ends the handshake.
    pub async fn connect(
        &self,
        stream: Stream,
        timeout: Duration,
    ) -> std::io::Result<(Io, Option<Vec<u8>>)> {
        let name = self.sni.clone().unwrap_or_else(unnamed);
        let handshake = TlsConnector::from(self.config.clone()).connect(name, stream);
        let tls = tokio::time::timeout(timeout, handshake)
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let alpn = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok((Io::ClientTls(Box::new(tls)), alpn))
    }
}

/// Names like `outbound_.80_._.reviews.default.svc.cluster.local` hold underscores, which are no host names but are what Istio sends.
fn server_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

/// rustls wants a name for its session cache even where none is sent.
fn unnamed() -> ServerName<'static> {
    ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
}

#[derive(Debug)]
struct OwnCertificates {
    keys: Vec<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for OwnCertificates {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.keys.is_empty()
    }
}
