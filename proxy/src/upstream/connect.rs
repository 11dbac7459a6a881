//! Makes a connection to a host: socket, options, TLS, all within `connect_timeout`.

use std::io;
use std::rc::Rc;

use outrigger_policy::verdict::{Cause, CauseCode};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::dial::dial;
use super::host::Host;
use super::transport::Transport;
use crate::failure::{Failure, FailureKind};
use crate::net::{Address, Io, Stream};
use crate::telemetry::UpstreamTls;
use crate::telemetry::metrics::{ClusterStat, TlsFactoryStat, TlsStat};
use crate::tls::{Alpn, PeerName, Spoken, VerifyFailure, verify_failure};

/// A connection that is up.
#[derive(Debug)]
pub struct Connected {
    /// The stream.
    pub io: Io,
    /// Our end of it.
    pub local: Address,
    /// What the handshake has told.
    pub tls: Option<Rc<UpstreamTls>>,
}

/// Connects to `host`; `requested` is the server name that a request brings, in a cluster that wants it, and `alpn` what is offered in place
/// of what the cluster says.
///
/// # Errors
/// A [`Failure`] that is safe to retry: nothing of any request was sent.
pub async fn connect(
    cluster: &Cluster,
    host: &Host,
    requested: Option<&str>,
    spoken: Option<Spoken>,
    alpn: Option<&Alpn>,
) -> Result<Connected, Failure> {
    let timeout = cluster.settings.connect_timeout;
    let deadline = Instant::now() + timeout;
    let discovered;
    let tls = match &*host.transport {
        Transport::Plain => None,
        Transport::Tls(tls) => Some(tls),
        Transport::Discovered(tls) => match tls.tls() {
            Ok(tls) => {
                discovered = tls;
                Some(&*discovered)
            }
            Err(error) => {
                tls.stats().inc(TlsFactoryStat::upstream_context_secrets_not_ready);
                return Err(missing(&error.to_string()));
            }
        },
    };
    let socket = match tokio::time::timeout_at(deadline, dial(&cluster.settings, host)).await {
        Err(_) => {
            cluster.counters.stats.inc(ClusterStat::upstream_cx_connect_timeout);
            return Err(too_late(host));
        }
        Ok(Err(error)) => {
            let code = match error.kind() {
                io::ErrorKind::ConnectionRefused => CauseCode::ConnectRefused,
                _ => CauseCode::ConnectFailed,
            };
            return Err(failure(code, host, connect_error(&error)));
        }
        Ok(Ok(stream)) => stream,
    };
    let local = local_address(&socket);
    let (io, told) = match tls {
        None => (Io::Plain(socket), None),
        Some(tls) => {
            let left = deadline.saturating_duration_since(Instant::now());
            let peer = PeerName { requested, hostname: &host.hostname };
            match tls.connect(socket, peer, spoken, alpn, left).await {
                Ok((io, told, settled)) => {
                    cluster.counters.tls().shaken(&settled);
                    (io, Some(Rc::new(told)))
                }
                Err(error) => return Err(tls_failure(cluster, host, &error)),
            }
        }
    };
    Ok(Connected { io, local, tls: told })
}

fn local_address(stream: &Stream) -> Address {
    match stream.tcp().map(TcpStream::local_addr) {
        Some(Ok(address)) => address.into(),
        _ => Address::Pipe("".into()),
    }
}

fn failure(code: CauseCode, host: &Host, transport: String) -> Failure {
    let cause = Cause::about(code, &host.address.to_string());
    Failure::new(FailureKind::ConnectFailure, cause).unsent().with_transport(transport)
}

fn missing(secret: &str) -> Failure {
    let cause = Cause::about(CauseCode::MissingSecret, secret);
    let failure = Failure::new(FailureKind::ConnectFailure, cause).unsent();
    failure.with_transport("TLS_error:_Secret_is_not_supplied_by_SDS")
}

fn too_late(host: &Host) -> Failure {
    let cause = Cause::about(CauseCode::ConnectTimeout, &host.address.to_string());
    Failure::new(FailureKind::ConnectTimeout, cause).unsent()
}

/// `delayed connect error: Connection refused`, as Envoy says it.
fn connect_error(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("delayed connect error: {text}")
}

fn tls_failure(cluster: &Cluster, host: &Host, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::TimedOut {
        cluster.counters.stats.inc(ClusterStat::upstream_cx_connect_timeout);
        return too_late(host);
    }
    cluster.counters.tls().inc(match verify_failure(error) {
        Some(VerifyFailure::San) => TlsStat::fail_verify_san,
        Some(VerifyFailure::Hash) => TlsStat::fail_verify_cert_hash,
        Some(VerifyFailure::Chain) => TlsStat::fail_verify_error,
        Some(VerifyFailure::Missing) | None => TlsStat::connection_error,
    });
    let text = format!("TLS error: {error}");
    failure(CauseCode::UpstreamTls, host, text)
}
