//! TLS of the harness' own ends: the recording upstream and the clients of a case.
//!
//! The upstream takes a client certificate from our authority or none and speaks every protocol that a
//! case may ask for. A client presents what its case names, valid or not.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, CommonState, RootCertStore, ServerConfig, crypto};
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client};

use crate::certs::Certs;

/// The TLS part of a client in a case file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTls {
    /// The server name to send; none sends none.
    pub sni: Option<String>,
    pub alpn: Vec<String>,
    /// A name of [`Certs`]; none presents no certificate.
    pub cert: Option<String>,
    /// `1.2` to go no higher.
    pub version: Option<String>,
}

fn provider() -> Arc<crypto::CryptoProvider> {
    Arc::new(crypto::aws_lc_rs::default_provider())
}

fn roots(certs: &Certs) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in certs.chain("ca")? {
        roots.add(authority)?;
    }
    Ok(roots)
}

/// The upstream's side: certificate `server`, client certificates optional.
///
/// # Errors
/// When the certificates do not make a configuration.
pub fn upstream(certs: &Certs) -> Result<Arc<ServerConfig>> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(certs)?), provider())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certs.chain("server")?, certs.key("server")?)?;
    config.alpn_protocols =
        ["h2", "http/1.1", "istio-peer-exchange", "istio"].map(Vec::from).to_vec();
    Ok(Arc::new(config))
}

/// Shakes hands over `stream` as the case wants it.
///
/// # Errors
/// The outer one when the case is wrong, the inner one when the proxy refused.
pub async fn connect(
    stream: TcpStream,
    tls: &ClientTls,
    certs: &Certs,
) -> Result<std::io::Result<client::TlsStream<TcpStream>>> {
    let versions: &[_] = if tls.version.as_deref() == Some("1.2") {
        &[&rustls::version::TLS12]
    } else {
        rustls::ALL_VERSIONS
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_root_certificates(roots(certs)?);
    let mut config = match &tls.cert {
        Some(name) => builder.with_client_auth_cert(certs.chain(name)?, certs.key(name)?)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    // A name of the certificate that is not sent as SNI: its IP address.
    let name = tls.sni.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
    let name = ServerName::try_from(name).context("sni is no server name")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await)
}

/// One line on what a handshake agreed: version, protocol, and whose certificate the peer showed.
pub fn describe(connection: &CommonState, certs: &Certs) -> String {
    let version =
        connection.protocol_version().map_or_else(|| "-".to_owned(), |v| format!("{v:?}"));
    let alpn = connection
        .alpn_protocol()
        .map_or_else(|| "-".into(), |p| String::from_utf8_lossy(p).into_owned());
    let peer = connection.peer_certificates().and_then(|chain| chain.first());
    format!("{version} alpn={alpn} peer={}", peer.map_or("-", |leaf| certs.name_of(leaf)))
}
