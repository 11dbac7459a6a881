//! Addresses of both connections: whole, without port, or the port alone.
//!
//! The three forms of an address are rows of one macro line; a Unix socket has no port and is its path in both other forms.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::{Row, Wrote, number, text};
use crate::net::Address;

macro_rules! forms {
    ($($with_port:literal, $without_port:literal, $port:literal: |$record:ident| $address:expr;)+) => {
        pub(super) const ROWS: &[Row] = &[$(
            Row::plain($with_port, |$record, out| whole(out, $address)),
            Row::plain($without_port, |$record, out| without_port(out, $address)),
            Row::number($port, |$record, out| port(out, $address)),
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
        Some(Address::Ip(address)) => drop(write!(out, "{address}")),
        Some(Address::Pipe(path)) => return text(out, path.as_bytes()),
        None => return Wrote::Nothing,
    }
    Wrote::Plain
}

fn without_port(out: &mut Vec<u8>, address: Option<&Address>) -> Wrote {
    match address.map(Address::ip) {
        Some(Some(IpAddr::V4(ip))) => octets(out, ip.octets()),
        Some(Some(ip)) => drop(write!(out, "{ip}")),
        Some(None) | None => return whole(out, address),
    }
    Wrote::Plain
}

fn port(out: &mut Vec<u8>, address: Option<&Address>) -> Wrote {
    match address.and_then(Address::port) {
        Some(port) => number(out, port),
        None => Wrote::Nothing,
    }
}

/// An octet's digits, a dot and nothing of meaning; and how many bytes have one.
type Octet = ([u8; 4], u8);

/// All octets. Four copied bytes, of which some are taken back, are a third of what numbers cost otherwise: a usual line has twenty.
const OCTETS: [Octet; 256] = {
    let mut all = [([b'.'; 4], 0); 256];
    let mut octet = 0_u8;
    loop {
        let (ones, tens, hundreds) =
            (b'0' + octet % 10, b'0' + octet / 10 % 10, b'0' + octet / 100);
        #[expect(clippy::indexing_slicing, reason = "an octet is below 256")]
        let place = &mut all[octet as usize];
        *place = match octet {
            0..10 => ([ones, b'.', b'.', b'.'], 2),
            10..100 => ([tens, ones, b'.', b'.'], 3),
            100.. => ([hundreds, tens, ones, b'.'], 4),
        };
        if octet == 255 {
            break;
        }
        octet += 1;
    }
    all
};

fn octets(out: &mut Vec<u8>, octets: [u8; 4]) {
    for octet in octets {
        if let Some((digits, length)) = OCTETS.get(usize::from(octet)) {
            let end = out.len() + usize::from(*length);
            out.extend_from_slice(digits);
            out.truncate(end);
        }
    }
    // The last dot.
    out.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_numbers() {
        for octet in 0..=255_u8 {
            let mut out = Vec::new();
            octets(&mut out, [octet, 0, 255 - octet, 10]);
            assert_eq!(out, format!("{octet}.0.{}.10", 255 - octet).into_bytes());
        }
    }

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
