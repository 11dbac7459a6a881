//! Which clients a server lets in, and what it learns of them.

use outrigger_policy::matcher::{StringMatcher, StringRule};
use rcgen::ExtendedKeyUsagePurpose;

use super::pki::{Authority, Issued, cannot_sign, expired, host, not_yet, only_for, workload};
use super::*;

const ID: &str = "spiffe://td/ns/a/sa/b";

fn exact(kind: SanKind, text: &str) -> SanMatcher {
    SanMatcher {
        kind,
        matcher: StringMatcher::new(StringRule::Exact(text.as_bytes().into()), false),
    }
}

fn server(own: &Issued, validation: Validation, requires: bool, version: Version) -> ServerTls {
    let common = CommonSpec {
        certificates: vec![own.certificate.clone()],
        validation: Some(validation),
        parameters: only(version),
        ..CommonSpec::default()
    };
    let spec = ServerSpec { common, require_client_certificate: requires, ..ServerSpec::default() };
    ServerTls::new(&spec).unwrap()
}

fn client(own: Option<&Issued>) -> ClientTls {
    let certificates = own.map(|issued| issued.certificate.clone()).into_iter().collect();
    let common = CommonSpec { certificates, ..CommonSpec::default() };
    ClientTls::new(&ClientSpec { common, ..ClientSpec::default() }).unwrap()
}

#[tokio::test]
async fn a_client_is_let_in_only_with_a_certificate_that_passes_every_check() {
    use VerifyFailure::{Chain, Hash, Missing, San};
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let own = ca.issue(host("a.example.com"));
    let good = ca.issue(workload(ID));
    let trusting = Validation { roots: Some(ca.roots()), ..Validation::default() };
    let named = |san| Validation { sans: vec![san], ..trusting.clone() };
    let hashed = |hash| Validation { hashes: vec![[0; 32], hash], ..trusting.clone() };
    let pinned = |hash| Validation { spki_hashes: vec![hash], ..trusting.clone() };
    let by_hash_alone =
        Validation { roots: None, hashes: vec![good.hash], ..Validation::default() };
    let with_nul = ca.issue(workload(&format!("{ID}\0evil")));
    let id_as_dns = ca.issue(host(ID));
    let other = Some(stranger.issue(workload(ID)));
    let for_servers = only_for(workload(ID), ExtendedKeyUsagePurpose::ServerAuth);
    let for_clients = only_for(workload(ID), ExtendedKeyUsagePurpose::ClientAuth);
    let good = Some(good);
    let (hash, spki_hash) = good.as_ref().map(|good| (good.hash, good.spki_hash)).unwrap();
    let rows = [
        ("trusted", good.clone(), trusting.clone(), None),
        ("none", None, trusting.clone(), Some(Missing)),
        ("a stranger's", other.clone(), trusting.clone(), Some(Chain)),
        ("expired", Some(ca.issue(expired(workload(ID)))), trusting.clone(), Some(Chain)),
        ("not valid yet", Some(ca.issue(not_yet(workload(ID)))), trusting.clone(), Some(Chain)),
        ("for servers", Some(ca.issue(for_servers)), trusting.clone(), Some(Chain)),
        ("for clients", Some(ca.issue(for_clients)), trusting.clone(), None),
        ("not to sign", Some(ca.issue(cannot_sign(workload(ID)))), trusting.clone(), Some(Chain)),
        ("its name", good.clone(), named(exact(SanKind::Uri, ID)), None),
        ("another name", good.clone(), named(exact(SanKind::Uri, "spiffe://td/x")), Some(San)),
        ("its name as DNS", good.clone(), named(exact(SanKind::Dns, ID)), Some(San)),
        ("DNS as its name", Some(id_as_dns), named(exact(SanKind::Uri, ID)), Some(San)),
        ("a name cut at NUL", Some(with_nul), named(exact(SanKind::Uri, ID)), Some(San)),
        ("a stranger's name", other.clone(), named(exact(SanKind::Uri, ID)), Some(Chain)),
        ("its hash", good.clone(), hashed(hash), None),
        ("another hash", good.clone(), hashed([1; 32]), Some(Hash)),
        ("its key", good.clone(), pinned(spki_hash), None),
        ("another key", good.clone(), pinned(hash), Some(Hash)),
        ("its hash alone", good.clone(), by_hash_alone.clone(), None),
        ("another's hash alone", other.clone(), by_hash_alone, Some(Hash)),
        ("depth", good.clone(), Validation { max_depth: Some(1), ..trusting.clone() }, None),
        ("no depth", good, Validation { max_depth: Some(0), ..trusting }, Some(Chain)),
    ];
    for version in [Version::V12, Version::V13] {
        for (name, shown, validation, expected) in &rows {
            let server = server(&own, validation.clone(), true, version);
            let mut client_spec = ClientSpec::default();
            client_spec.common.parameters = only(version);
            client_spec.common.certificates.extend(shown.iter().map(|it| it.certificate.clone()));
            let client = ClientTls::new(&client_spec).unwrap();
            let handshake = shake(&server, &client, PeerName::default()).await;
            assert_eq!(handshake.refused_by_server(), *expected, "{name} {version:?}");
            assert_eq!(handshake.server.is_ok(), expected.is_none(), "{name} {version:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_optional_is_checked_if_it_is_shown() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let own = ca.issue(host("a.example.com"));
    let validation = Validation { roots: Some(ca.roots()), ..Validation::default() };
    let server = server(&own, validation, false, Version::V13);
    let info = shake(&server, &client(None), PeerName::default()).await.info();
    assert!(info.peer.is_none());
    let shown = stranger.issue(workload(ID));
    let handshake = shake(&server, &client(Some(&shown)), PeerName::default()).await;
    assert_eq!(handshake.refused_by_server(), Some(VerifyFailure::Chain));
}

#[tokio::test]
async fn the_server_learns_who_the_client_is() {
    let ca = Authority::new("ca");
    let own = ca.issue(host("a.example.com"));
    let shown = ca.issue(workload(ID));
    let validation = Validation { roots: Some(ca.roots()), ..Validation::default() };
    let server = server(&own, validation, true, Version::V13);
    let info = shake(&server, &client(Some(&shown)), PeerName::default()).await.info();
    assert_eq!(info.version, "TLSv1.3");
    assert_eq!(&*info.local_dns, ["a.example.com".into()]);
    let peer = info.peer.unwrap();
    assert_eq!(&*peer.identity.uri_sans, [ID.into()]);
    assert!(peer.identity.dns_sans.is_empty());
    let hash: String = shown.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(&*peer.sha256, hash);
    assert!(peer.pem_url_encoded().starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"));
}

#[test]
fn a_server_that_would_take_certificates_unchecked_does_not_compile() {
    let own = Authority::new("ca").issue(host("a.example.com"));
    let spec = |validation| {
        let certificates = vec![own.certificate.clone()];
        let common = CommonSpec { certificates, validation, ..CommonSpec::default() };
        ServerSpec { common, require_client_certificate: true, ..ServerSpec::default() }
    };
    assert!(ServerTls::new(&spec(None)).is_err());
    assert!(ServerTls::new(&spec(Some(Validation::default()))).is_err());
    assert!(ServerTls::new(&ServerSpec::default()).is_err(), "without a certificate");
    let untrusted = Validation { accepts_untrusted: true, ..Validation::default() };
    assert!(ServerTls::new(&spec(Some(untrusted))).is_err());
}
