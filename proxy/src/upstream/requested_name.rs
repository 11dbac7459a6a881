//! The server name that a request brings to its connection. (envoy: config.core.v3.UpstreamHttpProtocolOptions.auto_sni)
//!
//! Such a connection serves only requests of the same name: pools are kept apart by it.

use std::net::IpAddr;
use std::sync::Arc;

use outrigger_policy::head::{Name, RequestHead};

/// Where a request's server name stands.
#[derive(Clone, Debug, Default)]
pub struct RequestedName {
    /// A header that has it; without the header, or without that line, it is the host.
    /// (envoy: override_auto_sni_header)
    pub header: Option<Name>,
}

impl RequestedName {
    /// The name, without port, trailing dot and brackets. It may be no name at all, and then no connection comes about.
    #[must_use]
    pub fn of(&self, head: &RequestHead) -> Arc<str> {
        let own = self.header.as_ref().and_then(|name| head.headers.get_name(name));
        let text = own.or_else(|| head.authority()).unwrap_or_default();
        String::from_utf8_lossy(host_of(text)).into()
    }
}

fn host_of(authority: &[u8]) -> &[u8] {
    if let Some(rest) = authority.strip_prefix(b"[") {
        let end = memchr::memchr(b']', rest).unwrap_or(rest.len());
        return rest.get(..end).unwrap_or_default();
    }
    let is_address =
        std::str::from_utf8(authority).is_ok_and(|text| text.parse::<IpAddr>().is_ok());
    let host = match memchr::memrchr(b':', authority) {
        Some(colon) if !is_address => authority.get(..colon).unwrap_or_default(),
        _ => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_brackets_and_last_dot_are_no_part_of_a_name() {
        for (authority, host) in [
            ("foo.com", "foo.com"),
            ("foo.com:8080", "foo.com"),
            ("foo.com.", "foo.com"),
            ("foo.com.:80", "foo.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("[::1", "::1"),
            ("::1", "::1"),
            ("", ""),
            (":80", ""),
        ] {
            assert_eq!(host_of(authority.as_bytes()), host.as_bytes(), "{authority}");
        }
    }
}
