//! `x-forwarded-client-cert`: what of it is passed on, and what of the client's certificate is added.
//! (envoy: HttpConnectionManager.forward_client_cert_details)

use outrigger_policy::head::{Headers, Id};

use crate::listener::Connection;
use crate::tls::TlsInfo;

/// What happens to the header that a client sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is removed.
    #[default]
    Sanitize,
    /// On mTLS connections it is passed on.
    ForwardOnly,
    /// On mTLS connections our element is appended.
    AppendForward,
    /// On mTLS connections it is replaced by our element.
    SanitizeSet,
    /// It is passed on.
    AlwaysForwardOnly,
}

/// The mode, and what our element says of the client's certificate.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of SetCurrentClientCertDetails")]
pub struct Xfcc {
    /// The mode.
    pub mode: Mode,
    /// Its subject.
    pub subject: bool,
    /// The certificate.
    pub cert: bool,
    /// The certificate and its chain.
    pub chain: bool,
    /// Its DNS names.
    pub dns: bool,
    /// Its URIs.
    pub uri: bool,
}

impl Xfcc {
    /// Rewrites the header of a request.
    pub fn apply(self, headers: &mut Headers, connection: &Connection) {
        let peer = connection.tls.as_ref().filter(|tls| tls.peer.is_some());
        match (self.mode, peer) {
            (Mode::AlwaysForwardOnly, _) | (Mode::ForwardOnly, Some(_)) => {}
            (Mode::AppendForward, Some(tls)) => {
                let mut value = Vec::new();
                for line in headers.get_all_id(Id::X_FORWARDED_CLIENT_CERT) {
                    value.extend_from_slice(line);
                    value.push(b',');
                }
                self.write(&mut value, tls);
                headers.set(Id::X_FORWARDED_CLIENT_CERT, &value);
            }
            (Mode::SanitizeSet, Some(tls)) => {
                let mut value = Vec::new();
                self.write(&mut value, tls);
                headers.set(Id::X_FORWARDED_CLIENT_CERT, &value);
            }
            (Mode::Sanitize, _) | (_, None) => {
                headers.remove(Id::X_FORWARDED_CLIENT_CERT);
            }
        }
    }

    fn write(self, out: &mut Vec<u8>, tls: &TlsInfo) {
        let Some(peer) = &tls.peer else { return };
        let start = out.len();
        let mut pair = |key: &str, value: &str, quote: &str| {
            if out.len() > start {
                out.push(b';');
            }
            for part in [key, "=", quote, value, quote] {
                out.extend_from_slice(part.as_bytes());
            }
        };
        for uri in tls.local_uris.iter().take(1) {
            pair("By", uri, "");
        }
        pair("Hash", &peer.sha256, "");
        if self.cert {
            pair("Cert", &peer.pem_url_encoded(), "\"");
        }
        if self.chain {
            pair("Chain", &peer.chain_url_encoded(), "\"");
        }
        if self.subject {
            pair("Subject", &peer.subject, "\"");
        }
        if self.uri {
            if peer.identity.uri_sans.is_empty() {
                pair("URI", "", "");
            }
            for uri in &peer.identity.uri_sans {
                pair("URI", uri, "");
            }
        }
        if self.dns {
            for name in &peer.identity.dns_sans {
                pair("DNS", name, "");
            }
        }
    }
}
