//! The client's side: TLS towards upstream hosts. (envoy: UpstreamTlsContext)

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::certificate::{Certificate, TlsError};
use super::info::settled;
use super::verify::{NameCheck, Verifier};
use super::{CommonSpec, InUse, PeerCertificate};
use crate::net::{Io, Stream};
use crate::telemetry::UpstreamTls;
use crate::telemetry::metrics::Settled;

/// Hosts whose sessions are kept for a quick second handshake.
const SESSIONS: usize = 64;

/// A client's side, as configured.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of Envoy's messages")]
pub struct ClientSpec {
    /// What both sides have. Without a validation every certificate is accepted, as in Envoy.
    pub common: CommonSpec,
    /// The server name to ask for; empty for none. (envoy: sni)
    pub sni: Box<str>,
    /// The endpoint's name is asked for instead, if it has one. (envoy: auto_host_sni)
    pub sni_from_hostname: bool,
    /// The certificate must have the name that is asked for; other names do not matter.
    /// (envoy: auto_sni_san_validation)
    pub validates_sni: bool,
    /// The certificate must have the name that a request brings.
    /// (envoy: UpstreamHttpProtocolOptions.auto_san_validation)
    pub validates_requested: bool,
    /// Sessions are resumed. (envoy: max_session_keys)
    pub resumes: bool,
}

impl Default for ClientSpec {
    fn default() -> Self {
        Self {
            common: CommonSpec::default(),
            sni: Box::default(),
            sni_from_hostname: false,
            validates_sni: false,
            validates_requested: false,
            resumes: true,
        }
    }
}

/// What is known of the server that a connection is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerName<'a> {
    /// The host that the request is for, if the cluster wants it to be the server's name.
    /// (envoy: UpstreamHttpProtocolOptions.auto_sni)
    pub requested: Option<&'a str>,
    /// The endpoint's name; empty if it has none.
    pub hostname: &'a str,
}

/// What will be spoken through TLS, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Protocols that are offered in place of those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alpn(Vec<Vec<u8>>);

impl Alpn {
    /// These protocols, in this order.
    #[must_use]
    pub const fn new(protocols: Vec<Vec<u8>>) -> Self {
        Self(protocols)
    }
}

/// A client's side, compiled.
#[derive(Debug)]
pub struct ClientTls {
    in_use: InUse,
    config: Arc<ClientConfig>,
    /// For connections whose name a request brings, if that is checked.
    requested: Option<Arc<ClientConfig>>,
    /// The same with ALPN of the protocol that will be spoken, where the configuration names none: plain, then requested, for HTTP/1 and
    /// HTTP/2.
    with_alpn: [[OnceLock<Arc<ClientConfig>>; 2]; 2],
    sni: Option<ServerName<'static>>,
    sni_from_hostname: bool,
}

impl ClientTls {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// If the versions leave nothing, or the server name is none.
    pub fn new(spec: &ClientSpec) -> Result<Self, TlsError> {
        let common = &spec.common;
        let provider = common.parameters.provider();
        let resolver = Arc::new(OwnCertificates(common.certificates.clone()));
        let compile = |name_check| -> Result<_, TlsError> {
            let validation = common.validation.clone().unwrap_or_default();
            let verifier = Verifier::of_servers(validation, name_check, provider.clone());
            let mut config = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&common.parameters.versions()?)?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_client_cert_resolver(resolver.clone());
            config.alpn_protocols.clone_from(&common.alpn);
            config.resumption = if spec.resumes {
                Resumption::in_memory_sessions(SESSIONS)
            } else {
                Resumption::disabled()
            };
            Ok(Arc::new(config))
        };
        let check = if spec.validates_sni { NameCheck::Instead } else { NameCheck::None };
        let requested = spec.validates_requested && !spec.validates_sni;
        let sni =
            match &*spec.sni {
                "" => None,
                name => Some(server_name(name).ok_or_else(|| {
                    TlsError(format!("'{}' is no server name", name.escape_debug()))
                })?),
            };
        Ok(Self {
            in_use: common.in_use(),
            config: compile(check)?,
            requested: if requested { Some(compile(NameCheck::Also)?) } else { None },
            with_alpn: Default::default(),
            sni,
            sni_from_hostname: spec.sni_from_hostname,
        })
    }

    /// The certificates in use.
    #[must_use]
    pub const fn in_use(&self) -> &InUse {
        &self.in_use
    }

    /// Performs the handshake within `timeout`. With the connection comes what logs tell of it, and what is counted.
    ///
    /// # Errors
    /// Whatever ends the handshake. A requested name that no server can have is `InvalidInput`.
    pub async fn connect(
        &self,
        stream: Stream,
        peer: PeerName<'_>,
        spoken: Option<Spoken>,
        alpn: Option<&Alpn>,
        timeout: Duration,
    ) -> io::Result<(Io, UpstreamTls, Settled)> {
        let (name, config) = match peer.requested {
            Some(name) => {
                let name = server_name(name).ok_or_else(|| {
                    let text = format!("'{}' is no server name", name.escape_debug());
                    io::Error::new(io::ErrorKind::InvalidInput, text)
                })?;
                (Some(name), self.requested.as_ref().unwrap_or(&self.config))
            }
            None => (self.configured_name(peer.hostname), &self.config),
        };
        let name = name.unwrap_or_else(unnamed);
        let config = match alpn {
            Some(Alpn(protocols)) => {
                let mut config = (**config).clone();
                config.alpn_protocols.clone_from(protocols);
                Arc::new(config)
            }
            None => self.offering(config, peer.requested.is_some(), spoken).clone(),
        };
        let handshake = TlsConnector::from(config).connect(name, stream);
        let tls = tokio::time::timeout(timeout, handshake)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let session = tls.get_ref().1;
        let (told, settled) = (self.told(session), settled(session));
        Ok((Io::ClientTls(Box::new(tls)), told, settled))
    }

    /// What the handshake has told, for telemetry.
    fn told(&self, session: &rustls::ClientConnection) -> UpstreamTls {
        let peer = session.peer_certificates().and_then(PeerCertificate::read);
        let peer_uri = peer.and_then(|peer| peer.identity.uri_sans.first().cloned());
        let own = self.in_use.certificates.first();
        UpstreamTls {
            peer_uri: peer_uri.unwrap_or_default(),
            local_uri: own.and_then(|own| own.local.uris.first().cloned()).unwrap_or_default(),
            alpn: session.alpn_protocol().map(|alpn| String::from_utf8_lossy(alpn).into()),
        }
    }

    /// The configuration with ALPN for what will be spoken, unless it has its own. (envoy: `fallbackApplicationProtocols`)
    fn offering<'a>(
        &'a self,
        config: &'a Arc<ClientConfig>,
        is_requested: bool,
        spoken: Option<Spoken>,
    ) -> &'a Arc<ClientConfig> {
        let Some(spoken) = spoken.filter(|_| config.alpn_protocols.is_empty()) else {
            return config;
        };
        let [plain, requested] = &self.with_alpn;
        let [http1, http2] = if is_requested { requested } else { plain };
        let (place, protocol) = match spoken {
            Spoken::Http1 => (http1, b"http/1.1".as_slice()),
            Spoken::Http2 => (http2, b"h2".as_slice()),
        };
        place.get_or_init(|| {
            let mut config = (**config).clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        })
    }

    fn configured_name(&self, hostname: &str) -> Option<ServerName<'static>> {
        let named = Some(hostname).filter(|name| self.sni_from_hostname && !name.is_empty());
        named.and_then(server_name).or_else(|| self.sni.clone())
    }
}

/// Istio's names like `outbound_.80_._.reviews.default.svc.cluster.local` hold underscores, which are allowed here. An IP address is
/// checked like a name, but not sent. (RFC 6066 §3)
fn server_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

/// rustls wants a name for its session cache even where none is sent.
fn unnamed() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into())
}

/// The first of our certificates that the server can check.
#[derive(Debug)]
struct OwnCertificates(Vec<Certificate>);

impl ResolvesClientCert for OwnCertificates {
    fn resolve(
        &self,
        _: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let mut keys = self.0.iter().map(|certificate| &certificate.key);
        keys.find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
