//! Which servers a client trusts, and which certificate and protocol a server answers with.

use super::pki::{Authority, Issued, expired, host, workload};
use super::*;

const NAME: &str = "a.example.com";

fn server(certificates: &[&Issued], alpn: &[&str]) -> ServerTls {
    let common = CommonSpec {
        certificates: certificates.iter().map(|issued| issued.certificate.clone()).collect(),
        alpn: alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(),
        ..CommonSpec::default()
    };
    ServerTls::new(&ServerSpec { common, ..ServerSpec::default() }).unwrap()
}

fn client(spec: ClientSpec) -> ClientTls {
    ClientTls::new(&spec).unwrap()
}

fn trusting(ca: &Authority) -> ClientSpec {
    let validation = Validation { roots: Some(ca.roots()), ..Validation::default() };
    let common = CommonSpec { validation: Some(validation), ..CommonSpec::default() };
    ClientSpec { common, sni: NAME.into(), ..ClientSpec::default() }
}

#[tokio::test]
async fn a_server_is_trusted_only_with_a_certificate_that_passes_every_check() {
    use VerifyFailure::{Chain, San};
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let good = ca.issue(host(NAME));
    let wildcard = ca.issue(host("*.example.com"));
    let other = stranger.issue(host(NAME));
    let blind = ClientSpec::default();
    let mut forgiving = trusting(&ca);
    forgiving.common.validation.as_mut().unwrap().accepts_untrusted = true;
    let by_sni = ClientSpec { validates_sni: true, ..trusting(&ca) };
    let of_address = ClientSpec { sni: "10.0.0.1".into(), ..by_sni.clone() };
    let nameless = ClientSpec { sni: "".into(), ..by_sni.clone() };
    let rows = [
        ("trusted", &good, trusting(&ca), None),
        ("no name is wanted", &ca.issue(host("b.test")), trusting(&ca), None),
        ("a stranger's", &other, trusting(&ca), Some(Chain)),
        ("expired", &ca.issue(expired(host(NAME))), trusting(&ca), Some(Chain)),
        ("nothing is checked", &other, blind, None),
        ("everything is forgiven", &other, forgiving, None),
        ("the name asked for", &good, by_sni.clone(), None),
        ("a wildcard", &wildcard, by_sni.clone(), None),
        ("another name", &ca.issue(host("b.example.com")), by_sni.clone(), Some(San)),
        ("a wildcard above", &ca.issue(host("*.com")), by_sni, Some(San)),
        ("an address asked for", &good, of_address, Some(San)),
        ("no name asked for", &good, nameless, Some(San)),
    ];
    for (name, shown, spec, expected) in rows {
        let handshake = shake(&server(&[shown], &[]), &client(spec), PeerName::default()).await;
        assert_eq!(handshake.refused_by_client(), expected, "{name}");
        assert_eq!(handshake.client.is_ok(), expected.is_none(), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_a_request_brings_is_asked_for_and_checked_besides() {
    let ca = Authority::new("ca");
    let shown = server(&[&ca.issue(host("b.test"))], &[]);
    let requested = |name| PeerName { requested: Some(name), hostname: "" };
    let client = client(ClientSpec { validates_requested: true, ..trusting(&ca) });
    assert!(shake(&shown, &client, requested("b.test")).await.client.is_ok());
    let handshake = shake(&shown, &client, requested("c.test")).await;
    assert_eq!(handshake.refused_by_client(), Some(VerifyFailure::San));
    let long = "a".repeat(300);
    let error = shake(&shown, &client, requested(&long)).await.client.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn protocols_are_agreed_on_or_gone_without() {
    let own = Authority::new("ca").issue(host(NAME));
    for (ours, theirs, expected) in [
        (&["h2", "http/1.1"][..], &["http/1.1", "h2"][..], Some("h2")),
        (&["h2", "http/1.1"], &["http/1.1"], Some("http/1.1")),
        (&["h2"], &["istio"], None),
        (&["h2"], &[], None),
        (&[], &["h2"], None),
    ] {
        let mut spec = ClientSpec::default();
        spec.common.alpn = theirs.iter().map(|name| name.as_bytes().to_vec()).collect();
        let handshake = shake(&server(&[&own], ours), &client(spec), PeerName::default()).await;
        assert_eq!(handshake.info().alpn.as_deref(), expected, "{ours:?} {theirs:?}");
    }
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name_then_by_key() {
    let ca = Authority::new("ca");
    let (first, second) = (ca.issue(host("first.test")), ca.issue(host("second.test")));
    let wildcard = ca.issue(host("*.test"));
    let (rsa, curve) = (ca.issue_rsa(host(NAME)), ca.issue(host(NAME)));
    let rows: [(&str, &[&Issued], &str, usize); 6] = [
        ("exact", &[&first, &second], "second.test", 1),
        ("case", &[&first, &second], "SECOND.test", 1),
        ("exact before wildcard", &[&wildcard, &second], "second.test", 1),
        ("wildcard", &[&rsa, &wildcard], "x.test", 1),
        ("nobody's name", &[&first, &second], "x.example.org", 0),
        ("curves first", &[&rsa, &curve], NAME, 1),
    ];
    for (name, certificates, sni, expected) in rows {
        let server = server(certificates, &[]);
        let mut spec = ClientSpec { sni: sni.into(), ..ClientSpec::default() };
        let hashes = vec![certificates[expected].hash];
        spec.common.validation = Some(Validation { hashes, ..Validation::default() });
        let handshake = shake(&server, &client(spec), PeerName::default()).await;
        assert!(handshake.client.is_ok(), "{name}: {:?}", handshake.client.err());
    }
}

#[tokio::test]
async fn versions_are_held_to() {
    let own = Authority::new("ca").issue(workload("spiffe://td/a"));
    for (ours, theirs, expected) in [
        (Version::V12, Version::V12, Some("TLSv1.2")),
        (Version::V13, Version::V13, Some("TLSv1.3")),
        (Version::V12, Version::V13, None),
        (Version::V13, Version::V12, None),
    ] {
        let certificates = vec![own.certificate.clone()];
        let common = CommonSpec { certificates, parameters: only(ours), ..CommonSpec::default() };
        let server = ServerTls::new(&ServerSpec { common, ..ServerSpec::default() }).unwrap();
        let mut spec = ClientSpec::default();
        spec.common.parameters = only(theirs);
        let handshake = shake(&server, &client(spec), PeerName::default()).await;
        let version = handshake.server.ok().map(|(_, info)| info.version);
        assert_eq!(version, expected, "{ours:?} {theirs:?}");
    }
}
