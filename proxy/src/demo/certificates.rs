//! The certificates of the demonstration, made on the spot: an authority, one leaf per account, and one leaf that somebody else signed.
//!
//! They live in the demo's private directory and die with it.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::error::{DemoError, system};

/// Whose leaves there are; `stranger` claims to be the frontend, and is signed by an authority that nobody trusts.
const LEAVES: [(&str, &str); 4] = [
    ("frontend", "frontend"),
    ("reviews", "reviews"),
    ("intruder", "intruder"),
    ("stranger", "frontend"),
];

/// The SPIFFE id of an account.
pub(super) fn identity(account: &str) -> String {
    format!("spiffe://demo.local/ns/shop/sa/{account}")
}

/// Writes `ca.crt`, and `NAME.crt` and `NAME.key` of every leaf, into `dir`.
pub(super) fn create(dir: &Path) -> Result<(), DemoError> {
    let (ca, issuer) = authority("Outrigger demo")?;
    let (_, nobody) = authority("Nobody")?;
    write(dir, "ca.crt", &ca)?;
    for (name, account) in LEAVES {
        let key = KeyPair::generate()?;
        let issuer = if name == "stranger" { &nobody } else { &issuer };
        let leaf = leaf(account)?.signed_by(&key, issuer)?;
        write(dir, &format!("{name}.crt"), &leaf.pem())?;
        write(dir, &format!("{name}.key"), &key.serialize_pem())?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, pem: &str) -> Result<(), DemoError> {
    fs::write(dir.join(name), pem).map_err(system("the certificates"))
}

fn authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn leaf(account: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, account);
    params.subject_alt_names.push(SanType::URI(identity(account).try_into()?));
    Ok(params)
}
