//! Certificates of one run: an authority, identities of a mesh, and what must be refused.
//!
//! Both sides use the same files, so hashes and serial numbers in headers are equal on both.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What clients ask for, among them the names that Istio makes of services.
const SERVER: &[&str] = &[
    "a.test",
    "b.test",
    "x.b.test",
    "localhost",
    "upstream.test",
    "outbound_.9080_._.a.default.svc.cluster.local",
    "outbound_.9080_.v2_.a.default.svc.cluster.local",
];

/// The names of the leaf certificates; each is written as `NAME.crt` and `NAME.key`.
/// `stranger` is signed by an authority that nobody trusts, `expired` ended in 2021.
const LEAVES: [(&str, &[&str], &str); 5] = [
    ("server", SERVER, "server"),
    ("other", &["other.test"], "other"),
    ("client", &["client.test"], "client"),
    ("stranger", &["client.test"], "client"),
    ("expired", &["client.test"], "client"),
];

#[derive(Debug)]
pub struct Certs {
    dir: PathBuf,
}

impl Certs {
    /// Makes all of them in `dir`, with the authority as `ca.crt`.
    ///
    /// # Errors
    /// When a key cannot be made or a file not be written.
    pub fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let ca = authority("Parity CA")?;
        let nobody = authority("Nobody")?;
        fs::write(dir.join("ca.crt"), &ca.0)?;
        for (name, dns, account) in LEAVES {
            let issuer = if name == "stranger" { &nobody.1 } else { &ca.1 };
            let key = KeyPair::generate()?;
            let leaf = leaf(name, dns, account)?.signed_by(&key, issuer)?;
            fs::write(dir.join(format!("{name}.crt")), leaf.pem())?;
            fs::write(dir.join(format!("{name}.key")), key.serialize_pem())?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// # Errors
    /// When there is no certificate of this name.
    pub fn chain(&self, name: &str) -> Result<Vec<CertificateDer<'static>>> {
        let path = self.dir.join(format!("{name}.crt"));
        Ok(vec![CertificateDer::from_pem_file(&path).with_context(|| path.display().to_string())?])
    }

    /// # Errors
    /// When there is no key of this name.
    pub fn key(&self, name: &str) -> Result<PrivateKeyDer<'static>> {
        let path = self.dir.join(format!("{name}.key"));
        PrivateKeyDer::from_pem_file(&path).with_context(|| path.display().to_string())
    }

    /// The name of a certificate of ours, for reports.
    pub fn name_of(&self, der: &CertificateDer<'_>) -> &'static str {
        let known = |name: &str| self.chain(name).is_ok_and(|chain| chain.first() == Some(der));
        LEAVES.iter().map(|(name, ..)| *name).find(|name| known(name)).unwrap_or("unknown")
    }
}

fn authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn leaf(name: &str, dns: &[&str], account: &str) -> Result<CertificateParams> {
    let mut params =
        CertificateParams::new(dns.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Parity, Inc.");
    let identity = format!("spiffe://cluster.local/ns/default/sa/{account}");
    params.subject_alt_names.push(SanType::URI(identity.try_into()?));
    if name == "server" {
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    }
    if name == "expired" {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    Ok(params)
}
