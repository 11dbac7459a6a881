//! Handshakes of both sides over a socket pair.

mod clients;
mod pki;
mod servers;
mod sessions;

use std::time::Duration;

use tokio::net::UnixStream;

use super::*;
use crate::net::{Io, Stream};

/// How both ends see a handshake.
struct Handshake {
    server: std::io::Result<(Io, TlsInfo)>,
    client: std::io::Result<Io>,
}

async fn shake(server: &ServerTls, client: &ClientTls, peer: PeerName<'_>) -> Handshake {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (server, client) = tokio::join!(
        server.accept(Stream::from(ours)),
        client.connect(Stream::from(theirs), peer, None, None, Duration::from_secs(5)),
    );
    Handshake { server, client: client.map(|(io, ..)| io) }
}

impl Handshake {
    /// What the server was told; the handshake was good on its side.
    fn info(self) -> TlsInfo {
        self.server.unwrap().1
    }

    /// Why the server refused the client's certificate.
    fn refused_by_server(&self) -> Option<VerifyFailure> {
        verify_failure(self.server.as_ref().err()?)
    }

    /// Why the client refused the server's certificate.
    fn refused_by_client(&self) -> Option<VerifyFailure> {
        verify_failure(self.client.as_ref().err()?)
    }
}

fn only(version: Version) -> Parameters {
    Parameters { min: version, max: version, ..Parameters::default() }
}
