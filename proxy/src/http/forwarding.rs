//! Headers that say where a request came from: what of them is believed, removed, set and appended, before any policy looks.
//!
//! Called once per request by the normalize stage. Answers with the address that counts as the client's: logs, authorization by
//! `remote_ip` and hashing use it. (envoy: `ConnectionManagerUtility::mutateRequestHeaders`)

use std::net::{IpAddr, SocketAddr};

use outrigger_policy::head::{Headers, Id, Protocol, RequestHead, Scheme, tokens};
use outrigger_policy::matcher::CidrSet;

use super::request_id;
use super::xfcc::Xfcc;
use crate::listener::Connection;
use crate::net::{Address, is_loopback, own_address};

/// What a connection manager believes about its clients.
#[derive(Debug, Default)]
pub struct Forwarding {
    /// The peer is the client: its address is appended to `x-forwarded-for`.
    /// (envoy: HttpConnectionManager.use_remote_address)
    pub use_remote_address: bool,
    /// Proxies in front of us whose `x-forwarded-for` is believed. (envoy: xff_num_trusted_hops)
    pub trusted_hops: usize,
    /// (envoy: skip_xff_append)
    pub skip_append: bool,
    /// (envoy: append_x_forwarded_port)
    pub append_port: bool,
    /// Addresses whose requests are internal. (envoy: internal_address_config.cidr_ranges)
    pub internal_addresses: CidrSet,
    /// A Unix socket's peer is internal. (envoy: internal_address_config.unix_sockets)
    pub unix_is_internal: bool,
    /// (envoy: via)
    pub via: Box<str>,
    /// (envoy: generate_request_id)
    pub generate_request_id: bool,
    /// (envoy: preserve_external_request_id)
    pub preserve_external_request_id: bool,
    /// What is done with `x-forwarded-client-cert`.
    pub client_cert: Xfcc,
}

/// What is learnt from the headers about the sender.
#[derive(Debug, PartialEq, Eq)]
pub struct Sender {
    /// The address that counts as the client's.
    pub remote: Address,
    /// The request comes from inside the mesh.
    pub is_internal: bool,
}

/// Removed from every request: they belong to the connection, or only we may set them.
const OURS: &[Id] = &[
    Id::X_ENVOY_INTERNAL,
    Id::KEEP_ALIVE,
    Id::PROXY_CONNECTION,
    Id::TRANSFER_ENCODING,
    Id::HTTP2_SETTINGS,
];

/// Removed from requests that come from outside: they steer us.
const INTERNAL_ONLY: &[Id] = &[
    Id::X_ENVOY_RETRIABLE_STATUS_CODES,
    Id::X_ENVOY_RETRIABLE_HEADER_NAMES,
    Id::X_ENVOY_RETRY_ON,
    Id::X_ENVOY_RETRY_GRPC_ON,
    Id::X_ENVOY_MAX_RETRIES,
    Id::X_ENVOY_UPSTREAM_ALT_STAT_NAME,
    Id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
    Id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    Id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
    Id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
    Id::X_ENVOY_FORCE_TRACE,
    Id::X_ENVOY_IP_TAGS,
    Id::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
];

/// Removed besides from requests that reach us first of all proxies.
const EDGE_ONLY: &[Id] = &[
    Id::X_ENVOY_DECORATOR_OPERATION,
    Id::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER,
    Id::X_ENVOY_DOWNSTREAM_SERVICE_NODE,
    Id::X_ENVOY_ORIGINAL_PATH,
];

impl Forwarding {
    /// Rewrites the headers of a request; `is_upgrade` requests keep `connection` and `upgrade`.
    pub fn apply(
        &self,
        head: &mut RequestHead,
        connection: &Connection,
        is_upgrade: bool,
    ) -> Sender {
        remove_connection_headers(&mut head.headers, is_upgrade);
        let from_us = self.trusted_address(&head.headers, connection);
        if self.use_remote_address {
            self.append_peer(&mut head.headers, connection);
        }
        self.set_forwarded_proto(head, connection);

        let is_internal = match (&from_us.address, from_us.is_single) {
            (Some(Address::Ip(address)), true) => self.internal_addresses.contains(address.ip()),
            (Some(Address::Pipe(_)), true) => self.unix_is_internal,
            _ => false,
        };
        let is_edge = !is_internal && self.use_remote_address;
        if is_internal {
            head.headers.set(Id::X_ENVOY_INTERNAL, b"true");
        } else {
            head.headers.retain(|_, id, _| {
                !(INTERNAL_ONLY.contains(&id) || is_edge && EDGE_ONLY.contains(&id))
            });
        }
        if !self.via.is_empty() {
            append_via(&mut head.headers, self.via.as_bytes());
        }
        let remote = from_us.address.unwrap_or_else(|| connection.remote.clone());
        if let (true, Address::Ip(address)) = (is_edge, &remote) {
            let text = address.ip().to_string();
            head.headers.set(Id::X_ENVOY_EXTERNAL_ADDRESS, text.as_bytes());
        }
        let replaces_id = is_edge && !self.preserve_external_request_id;
        let has_id = head.headers.get(Id::X_REQUEST_ID).is_some_and(|id| !id.is_empty());
        if self.generate_request_id && (replaces_id || !has_id) {
            head.headers.set(Id::X_REQUEST_ID, &request_id::random());
        }
        self.client_cert.apply(&mut head.headers, connection);
        Sender { remote, is_internal }
    }

    /// The client's address as trusted proxies tell it, before we append to it.
    fn trusted_address(&self, headers: &Headers, connection: &Connection) -> Trusted {
        if self.use_remote_address {
            let told = match self.trusted_hops {
                0 => None,
                hops => forwarded_for(headers, hops - 1).0,
            };
            return Trusted {
                address: Some(told.map_or_else(|| connection.remote.clone(), Address::Ip)),
                is_single: !headers.contains(Id::X_FORWARDED_FOR),
            };
        }
        let (address, is_single) = forwarded_for(headers, self.trusted_hops);
        Trusted { address: address.map(Address::Ip), is_single }
    }

    fn append_peer(&self, headers: &mut Headers, connection: &Connection) {
        if self.skip_append {
            return;
        }
        if let Some(address) = connection.remote.ip() {
            // A loopback peer is this host: its other address says more to the next hop.
            let told = if is_loopback(address) { own_address() } else { address };
            let text = told.to_string();
            append_element(headers, Id::X_FORWARDED_FOR, text.as_bytes());
        }
    }

    fn set_forwarded_proto(&self, head: &mut RequestHead, connection: &Connection) {
        let proto: &[u8] = if connection.tls.is_some() { b"https" } else { b"http" };
        let is_believed = !self.use_remote_address || self.trusted_hops > 0;
        if !is_believed || !head.headers.contains(Id::X_FORWARDED_PROTO) {
            head.headers.set(Id::X_FORWARDED_PROTO, proto);
        }
        if head.protocol != Protocol::Http2 {
            // Only HTTP/2 names the scheme itself.
            match head.headers.get(Id::X_FORWARDED_PROTO) {
                Some(proto) if proto.eq_ignore_ascii_case(b"https") => head.scheme = Scheme::Https,
                Some(proto) if proto.eq_ignore_ascii_case(b"http") => head.scheme = Scheme::Http,
                _ => {}
            }
        }
        if let (true, Some(port)) = (self.append_port, connection.local.port())
            && !(is_believed && head.headers.contains(Id::X_FORWARDED_PORT))
        {
            head.headers.set(Id::X_FORWARDED_PORT, itoa::Buffer::new().format(port).as_bytes());
        }
    }
}

struct Trusted {
    address: Option<Address>,
    is_single: bool,
}

/// Drops what belongs to the client's connection, and what it names in `connection` (RFC 9110 §7.6.1).
///
/// Nominating a header that we or the protocol own is ignored: a client must not be able to strip what a trusted hop
/// has set.
fn remove_connection_headers(headers: &mut Headers, is_upgrade: bool) {
    if headers.contains(Id::CONNECTION) && !is_upgrade {
        let nominated: Vec<Vec<u8>> = headers
            .get_all_id(Id::CONNECTION)
            .flat_map(tokens)
            .map(<[u8]>::to_ascii_lowercase)
            .filter(|name| may_be_nominated(Id::of(name)))
            .take(32)
            .collect();
        headers.retain(|name, id, _| {
            id != Id::CONNECTION && id != Id::UPGRADE && !nominated.iter().any(|n| n == name)
        });
    }
    if !is_upgrade {
        headers.remove(Id::UPGRADE);
    }
    let keeps_trailers = headers.has_token(Id::TE, "trailers");
    headers.retain(|_, id, _| !OURS.contains(&id) && id != Id::TE);
    if keeps_trailers {
        headers.append_id(Id::TE, b"trailers");
    }
}

fn may_be_nominated(id: Id) -> bool {
    !matches!(
        id,
        Id::HOST
            | Id::AUTHORIZATION
            | Id::COOKIE
            | Id::CONTENT_LENGTH
            | Id::TE
            | Id::X_REQUEST_ID
            | Id::X_FORWARDED_FOR
            | Id::X_FORWARDED_HOST
            | Id::X_FORWARDED_PROTO
            | Id::X_FORWARDED_CLIENT_CERT
    ) && !id.as_str().starts_with("x-envoy-")
}

/// The address that stands `skip` places from the right of `x-forwarded-for`, and whether it is the only one.
/// (envoy: `Utility::getLastAddressFromXFF`)
fn forwarded_for(headers: &Headers, skip: usize) -> (Option<SocketAddr>, bool) {
    let elements = || headers.get_all_id(Id::X_FORWARDED_FOR).flat_map(|v| v.split(|b| *b == b','));
    let count = elements().count();
    let Some(index) = count.checked_sub(skip + 1) else { return (None, false) };
    let text = elements().nth(index).unwrap_or_default().trim_ascii();
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    (address.map(|ip| SocketAddr::new(ip.to_canonical(), 0)), count == 1 && address.is_some())
}

/// Adds this proxy to the way that a message has come. (RFC 9110 §7.6.3)
pub fn append_via(headers: &mut Headers, own: &[u8]) {
    let way: Vec<&[u8]> = headers.get_all_id(Id::VIA).chain([own]).collect();
    let way = way.join(b", ".as_slice());
    headers.set(Id::VIA, &way);
}

/// Appends an element to the last line of a list.
pub fn append_element(headers: &mut Headers, id: Id, element: &[u8]) {
    let joined = {
        let mut values = headers.get_all_id(id);
        values.next().map(|first| {
            let mut joined = first.to_vec();
            for value in values {
                joined.push(b',');
                joined.extend_from_slice(value);
            }
            joined.push(b',');
            joined.extend_from_slice(element);
            joined
        })
    };
    match joined {
        Some(joined) => headers.set(id, &joined),
        None => headers.append_id(id, element),
    }
}
