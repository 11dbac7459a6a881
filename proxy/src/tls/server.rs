//! The server's side: terminates TLS of clients. (envoy: DownstreamTlsContext)

use std::sync::Arc;
use std::time::Duration;

use rustls::server::Acceptor;
use rustls::sign::SingleCertAndKey;
use rustls::{ProtocolVersion, ServerConfig, SupportedCipherSuite};
use tokio::io::AsyncReadExt;
use tokio_rustls::LazyConfigAcceptor;

use super::certificate::TlsError;
use super::info::{PeerCertificate, settled};
use super::parameters::name_of;
use super::verify::Verifier;
use super::{CommonSpec, InUse, TlsInfo, choice, tickets};
use crate::net::{Io, Stream};

/// The type of the first record. (RFC 8446 §5.1)
const HANDSHAKE_RECORD: u8 = 22;

/// A server's side, as configured.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// What both sides have.
    pub common: CommonSpec,
    /// A client must present a certificate. (envoy: require_client_certificate)
    pub require_client_certificate: bool,
    /// How long a session may be resumed; `None` for never.
    /// (envoy: session_timeout, disable_stateless_session_resumption)
    pub session_lifetime: Option<Duration>,
    /// A client that asks for a name that no certificate has may be shown any.
    /// (envoy: full_scan_certs_on_sni_mismatch)
    pub scans_all_certificates: bool,
    /// Of the suites that both have, the client's first is taken. (envoy: prefer_client_ciphers)
    pub prefers_client_suites: bool,
}

impl Default for ServerSpec {
    fn default() -> Self {
        Self {
            common: CommonSpec::default(),
            require_client_certificate: false,
            session_lifetime: Some(tickets::DEFAULT_LIFETIME),
            scans_all_certificates: false,
            prefers_client_suites: false,
        }
    }
}

/// A server's side, compiled.
#[derive(Debug)]
pub struct ServerTls {
    in_use: InUse,
    /// For each certificate.
    configs: Vec<Configs>,
    suites: Vec<SupportedCipherSuite>,
    scans_all_certificates: bool,
}

#[derive(Debug)]
struct Configs {
    with_alpn: Arc<ServerConfig>,
    /// For clients who offer none of our protocols: Envoy goes on without one, rustls would refuse them.
    without_alpn: Arc<ServerConfig>,
}

impl ServerTls {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// If it holds no certificate, contradicts itself, or would take client certificates that nobody has checked.
    pub fn new(spec: &ServerSpec) -> Result<Self, TlsError> {
        let common = &spec.common;
        let error = |text: &str| Err(TlsError(text.to_owned()));
        if common.certificates.is_empty() {
            return error("no certificate");
        }
        let validation = common.validation.as_ref().filter(|validation| !validation.is_empty());
        if validation.is_none() && spec.require_client_certificate {
            return error("require_client_certificate without anything to verify it by");
        }
        if common.validation.as_ref().is_some_and(|validation| validation.accepts_untrusted) {
            return error("client certificates that are not verified are not supported");
        }
        let provider = common.parameters.provider();
        let configs = common.certificates.iter().map(|certificate| {
            let builder = ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&common.parameters.versions()?)?;
            let builder = match validation.cloned() {
                Some(validation) => builder.with_client_cert_verifier(Verifier::of_clients(
                    validation,
                    spec.require_client_certificate,
                    provider.clone(),
                )),
                None => builder.with_no_client_auth(),
            };
            let resolver = SingleCertAndKey::from(certificate.key.clone());
            let mut config = builder.with_cert_resolver(Arc::new(resolver));
            config.max_early_data_size = 0;
            config.ignore_client_order =
                common.parameters.suites.is_some() && !spec.prefers_client_suites;
            tickets::issue(&mut config, spec.session_lifetime.unwrap_or_default())?;
            let without_alpn = Arc::new(config.clone());
            config.alpn_protocols.clone_from(&common.alpn);
            Ok(Configs { with_alpn: Arc::new(config), without_alpn })
        });
        Ok(Self {
            configs: configs.collect::<Result<_, TlsError>>()?,
            in_use: common.in_use(),
            suites: provider.cipher_suites.clone(),
            scans_all_certificates: spec.scans_all_certificates,
        })
    }

    /// The certificates in use.
    #[must_use]
    pub const fn in_use(&self) -> &InUse {
        &self.in_use
    }

    /// Performs the handshake.
    ///
    /// # Errors
    /// Whatever ends the handshake; rustls' reason is inside the error.
    pub async fn accept(&self, mut stream: Stream) -> std::io::Result<(Io, TlsInfo)> {
        expect_handshake(&mut stream).await?;
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let chosen = choice::choose(
            &self.in_use.certificates,
            &self.suites,
            &hello,
            self.scans_all_certificates,
        );
        let (Some(configs), Some(certificate)) =
            (self.configs.get(chosen), self.in_use.certificates.get(chosen))
        else {
            return Err(std::io::ErrorKind::InvalidInput.into());
        };
        let ours = &configs.with_alpn.alpn_protocols;
        let has_common = hello.alpn().is_none_or(|mut offered| {
            offered.any(|protocol| ours.iter().any(|our| our == protocol))
        });
        let config = if has_common { &configs.with_alpn } else { &configs.without_alpn };
        let tls = start.into_stream(config.clone()).await?;
        let session = tls.get_ref().1;
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
        let local = certificate.local.clone();
        let info = TlsInfo {
            version,
            cipher: suite.map_or("", name_of),
            settled: settled(session),
            alpn: session.alpn_protocol().map(|alpn| String::from_utf8_lossy(alpn).into()),
            local_uris: local.uris,
            local_dns: local.dns,
            local_ips: local.ips,
            local_subject: local.subject,
            peer: session.peer_certificates().and_then(PeerCertificate::read),
        };
        Ok((Io::ServerTls(Box::new(tls)), info))
    }
}

/// Turns away what does not begin as TLS does, without a word of TLS.
async fn expect_handshake(stream: &mut Stream) -> std::io::Result<()> {
    let first = stream.read_u8().await?;
    if first != HANDSHAKE_RECORD {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    stream.unread(&[first]);
    Ok(())
}
