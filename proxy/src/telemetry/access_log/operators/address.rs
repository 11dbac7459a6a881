//! Addresses of both connections: whole, without port, or the port alone.
//!
//! The three forms of an address are rows of one macro line; a Unix socket has no port and is its path in both other forms.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::{Row, Wrote, number};
use crate::net::Address;
use crate::telemetry::access_log::Record;

macro_rules! forms {
    ($($with_port:literal, $without_port:literal, $port:literal: |$record:ident| $address:expr;)+) => {
        pub(super) const ROWS: &[Row] = &[$(
            Row::plain($with_port, |$record, out| whole(out, $address)),
            Row::plain($without_port, |$record, out| without_port(out, $address)),
            Row::plain($port, |$record, out| port(out, $address)),
        )+];
    };
}

forms! {
    "DOWNSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_LOCAL_PORT":
        |record| Some(&record.info.connection.local);
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_DIRECT_LOCAL_PORT":
        |record| Some(&record.info.connection.direct_local);
    "DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_PORT":
        |record| Some(&record.info.remote);
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_DIRECT_REMOTE_PORT":
        |record| Some(&record.info.connection.direct_remote);
    "UPSTREAM_LOCAL_ADDRESS", "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "UPSTREAM_LOCAL_PORT":
        |record| record.info.upstream.borrow().local_address.as_ref();
    "UPSTREAM_REMOTE_ADDRESS", "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "UPSTREAM_REMOTE_PORT":
        |record| remote(&record.info.upstream.borrow());
}

/// The host's address, once there is a connection to it.
fn remote(upstream: &crate::telemetry::UpstreamInfo) -> Option<&Address> {
    upstream.local_address.as_ref()?;
    upstream.host.as_ref().map(|host| &host.address)
}

/// `127.0.0.1:80`, `[::1]:80`, `/path`.
pub(super) fn whole(out: &mut Vec<u8>, address: Option<&Address>) -> Wrote {
    match address {
        Some(Address::Ip(SocketAddr::V4(address))) => {
            octets(out, address.ip().octets());
            out.push(b':');
            number(out, address.port());
        }
        // Memory is the only thing that a Vec could lack.
        Some(address) => drop(write!(out, "{address}")),
        None => return Wrote::Nothing,
    }
    Wrote::Text
}

fn without_port(out: &mut Vec<u8>, address: Option<&Address>) -> Wrote {
    match address.map(Address::ip) {
        Some(Some(IpAddr::V4(ip))) => octets(out, ip.octets()),
        Some(Some(ip)) => drop(write!(out, "{ip}")),
        Some(None) | None => return whole(out, address),
    }
    Wrote::Text
}

fn port(out: &mut Vec<u8>, address: Option<&Address>) -> Wrote {
    match address.and_then(Address::port) {
        Some(port) => number(out, port),
        None => Wrote::Nothing,
    }
}

/// Without the formatting machinery of the standard library, which would be a third of a usual line's cost.
fn octets(out: &mut Vec<u8>, octets: [u8; 4]) {
    for (index, octet) in octets.into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        number(out, octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_three_forms() {
        let v4 = Address::Ip("10.0.255.7:8080".parse().unwrap());
        let v6 = Address::Ip("[2001:db8::1]:443".parse().unwrap());
        let pipe = Address::Pipe("/run/a".into());
        for (address, expected, expected_ip, expected_port) in [
            (v4, "10.0.255.7:8080", "10.0.255.7", Some("8080")),
            (v6, "[2001:db8::1]:443", "2001:db8::1", Some("443")),
            (pipe, "/run/a", "/run/a", None),
        ] {
            let written = |write: fn(&mut Vec<u8>, Option<&Address>) -> Wrote| {
                let mut out = Vec::new();
                let wrote = write(&mut out, Some(&address));
                (wrote != Wrote::Nothing).then(|| String::from_utf8(out).unwrap())
            };
            assert_eq!(written(whole).as_deref(), Some(expected));
            assert_eq!(written(without_port).as_deref(), Some(expected_ip));
            assert_eq!(written(port).as_deref(), expected_port);
        }
        assert_eq!(whole(&mut Vec::new(), None), Wrote::Nothing);
        assert_eq!(without_port(&mut Vec::new(), None), Wrote::Nothing);
    }
}
