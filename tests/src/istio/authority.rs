//! Certificates of a run: the mesh's authority, which istiod gets as its own, the first identity of each agent, and those
//! of a world outside the mesh for gateways.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub root: String,
}

impl Authority {
    /// A new one of this name.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "cluster.local");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let root = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), root })
    }

    /// Writes the files that istiod takes its authority from.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir)?;
        for name in ["ca-cert.pem", "root-cert.pem", "cert-chain.pem"] {
            fs::write(dir.join(name), &self.root)?;
        }
        fs::write(dir.join("ca-key.pem"), self.issuer.key().serialize_pem())?;
        Ok(())
    }

    /// A certificate for these names, `spiffe://` ones as URIs, and its key, as PEM.
    ///
    /// # Errors
    /// When a name is none.
    pub fn sign(&self, names: &[&str]) -> Result<(String, String)> {
        let mut params = CertificateParams::default();
        for name in names {
            params.subject_alt_names.push(if name.starts_with("spiffe://") {
                SanType::URI((*name).try_into()?)
            } else {
                SanType::DnsName((*name).try_into()?)
            });
        }
        params.distinguished_name.push(DnType::OrganizationName, "pod");
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

/// What is known of the world outside, as files of one directory: `ca.crt`, and `NAME.crt` and `NAME.key` of servers and of a client.
#[derive(Debug)]
pub struct Outside {
    pub dir: PathBuf,
    authority: Authority,
}

/// The account whose identity `member.crt` has: a client outside of every pod that the mesh believes all the same.
const MEMBER: &str = "spiffe://cluster.local/ns/default/sa/sleep";

const OUTSIDE: [&str; 6] = [
    "shop.example.com",
    "mtls.example.com",
    "pass.example.com",
    "late.example.com",
    "client.example.com",
    "ext.example.com",
];

impl Outside {
    /// With a certificate of the mesh among them, for a client that has one without a proxy.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub fn new(dir: PathBuf, mesh: &Authority) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let authority = Authority::new("Outside CA")?;
        fs::write(dir.join("ca.crt"), &authority.root)?;
        let write = |file: &str, signer: &Authority, name: &str| -> Result<()> {
            let (certificate, key) = signer.sign(&[name])?;
            fs::write(dir.join(format!("{file}.crt")), certificate)?;
            Ok(fs::write(dir.join(format!("{file}.key")), key)?)
        };
        for name in OUTSIDE {
            write(name, &authority, name)?;
        }
        // Signed by nobody that is known.
        write("stranger", &Authority::new("Nobody")?, "client.example.com")?;
        write("member", mesh, MEMBER)?;
        Ok(Self { dir, authority })
    }

    /// A Secret of Kubernetes with the certificate of `name`, as YAML; with `demands` also what clients must show.
    ///
    /// # Errors
    /// When there is no such certificate.
    pub fn secret(&self, secret: &str, name: &str, demands: bool) -> Result<String> {
        let text = |end: &str| fs::read_to_string(self.dir.join(format!("{name}.{end}")));
        let mut strings = serde_json::json!({ "tls.crt": text("crt")?, "tls.key": text("key")? });
        if demands && let Some(strings) = strings.as_object_mut() {
            strings.insert("ca.crt".into(), self.authority.root.clone().into());
        }
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": secret, "namespace": "default" }, "stringData": strings,
        });
        Ok(serde_json::to_string_pretty(&object)?)
    }
}
