//! The bootstraps that exchanges are counted with: `benches/exchange/*.yaml`, with their words filled in.

use std::path::Path;

/// What stands between client and backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// A router.
    Plain,
    /// All that Istio puts into an inbound sidecar but TLS, and a JSON log.
    Sidecar,
}

/// Which HTTP both sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one connection kept alive.
    Http1,
    /// HTTP/2, one stream after the other.
    Http2,
}

/// Ports on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The listener's.
    pub proxy: u16,
    /// The cluster's.
    pub backend: u16,
}

/// A bootstrap.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    /// What it has the proxy do.
    pub chain: Chain,
    /// What it speaks to the backend.
    pub protocol: Protocol,
}

impl Bootstrap {
    /// As YAML; the access log is `access.log` in `folder`.
    #[must_use]
    pub fn text(self, folder: &Path, ports: Ports) -> String {
        let upstream = match self.protocol {
            Protocol::Http1 => "http_protocol_options",
            Protocol::Http2 => "http2_protocol_options",
        };
        let file = match self.chain {
            Chain::Plain => include_str!("../../exchange/plain.yaml"),
            Chain::Sidecar => include_str!("../../exchange/sidecar.yaml"),
        };
        file.replace("$PROXY", &ports.proxy.to_string())
            .replace("$BACKEND", &ports.backend.to_string())
            .replace("$UPSTREAM", upstream)
            .replace("$RUN", &folder.display().to_string())
    }
}
