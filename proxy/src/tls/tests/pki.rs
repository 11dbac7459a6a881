//! Certificates for tests.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SanType, date_time_ymd,
};

use crate::tls::{Certificate, Roots};

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::from_pem(self.0.pem().as_bytes()).unwrap()
    }

    /// A certificate of these parameters, and its hashes: of itself, of its public key.
    pub(super) fn issue(&self, params: CertificateParams) -> Issued {
        self.issue_for(params, &KeyPair::generate().unwrap())
    }

    /// One with an RSA key.
    pub(super) fn issue_rsa(&self, params: CertificateParams) -> Issued {
        self.issue_for(params, &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
    }

    fn issue_for(&self, params: CertificateParams, key: &KeyPair) -> Issued {
        let issued = params.signed_by(key, &self.0).unwrap();
        let hash = |bytes: &[u8]| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
            digest.as_ref().try_into().unwrap()
        };
        use rcgen::PublicKeyData;
        let certificate =
            Certificate::from_pem(issued.pem().as_bytes(), key.serialize_pem().as_bytes());
        Issued {
            certificate: certificate.unwrap(),
            hash: hash(issued.der()),
            spki_hash: hash(&key.subject_public_key_info()),
        }
    }
}

/// A certificate that was issued.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) certificate: Certificate,
    pub(super) hash: [u8; 32],
    pub(super) spki_hash: [u8; 32],
}

/// Of a workload: this SPIFFE ID, and nothing else.
pub(super) fn workload(id: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.subject_alt_names.push(SanType::URI(id.try_into().unwrap()));
    params
}

/// Of a host.
pub(super) fn host(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

pub(super) fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

pub(super) fn not_yet(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2090, 1, 1);
    params.not_after = date_time_ymd(2091, 1, 1);
    params
}

pub(super) fn only_for(
    mut params: CertificateParams,
    purpose: ExtendedKeyUsagePurpose,
) -> CertificateParams {
    params.extended_key_usages = vec![purpose];
    params
}

/// Its key may encrypt keys and not sign.
pub(super) fn cannot_sign(mut params: CertificateParams) -> CertificateParams {
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    params
}
