//! Sessions are resumed where they were made, and nowhere else.

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::pki::{Authority, Issued, host};
use super::*;

fn server(own: &Issued, lifetime: Option<Duration>, version: Version) -> ServerTls {
    let certificates = vec![own.certificate.clone()];
    let common = CommonSpec { certificates, parameters: only(version), ..CommonSpec::default() };
    let spec = ServerSpec { common, session_lifetime: lifetime, ..ServerSpec::default() };
    ServerTls::new(&spec).unwrap()
}

/// Whether the handshake was full, seen from the client, who then reads until it has the server's tickets.
async fn is_resumed(server: &ServerTls, client: &ClientTls) -> bool {
    let handshake = shake(server, client, PeerName::default()).await;
    let (mut ours, info) = handshake.server.unwrap();
    let mut theirs = handshake.client.unwrap();
    ours.write_all(b"x").await.unwrap();
    ours.flush().await.unwrap();
    theirs.read_exact(&mut [0]).await.unwrap();
    let Io::ClientTls(tls) = theirs else { panic!("a client's end is {theirs:?}") };
    let resumed = tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    assert_eq!(info.settled.resumed, resumed, "as it is counted");
    resumed
}

#[tokio::test]
async fn a_session_is_resumed_by_its_server_and_by_no_other() {
    let own = Authority::new("ca").issue(host("a.test"));
    for version in [Version::V12, Version::V13] {
        let mut spec = ClientSpec { sni: "a.test".into(), ..ClientSpec::default() };
        spec.common.parameters = only(version);
        let client = ClientTls::new(&spec).unwrap();
        let lifetime = ServerSpec::default().session_lifetime;
        let (first, second) = (server(&own, lifetime, version), server(&own, lifetime, version));
        assert!(!is_resumed(&first, &client).await, "{version:?}");
        assert!(is_resumed(&first, &client).await, "{version:?}");
        assert!(!is_resumed(&second, &client).await, "a ticket of another configuration");

        let client = ClientTls::new(&spec).unwrap();
        let forgetful = server(&own, None, version);
        assert!(!is_resumed(&forgetful, &client).await);
        assert!(!is_resumed(&forgetful, &client).await, "a server without tickets, {version:?}");

        let client = ClientTls::new(&ClientSpec { resumes: false, ..spec }).unwrap();
        assert!(!is_resumed(&first, &client).await);
        assert!(!is_resumed(&first, &client).await, "a client that keeps none, {version:?}");
    }
}
