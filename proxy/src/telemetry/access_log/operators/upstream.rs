//! The upstream of a stream: cluster, host, connection.

use std::sync::Arc;

use super::address::whole;
use super::response::underscores;
use super::{Row, Wrote, non_empty, number, plain, text};
use crate::config::ClusterHandle;
use crate::telemetry::access_log::Record;
use crate::worker;

pub(super) const ROWS: &[Row] = &[
    Row::plain("UPSTREAM_CLUSTER", |record, out| {
        match &record.info.upstream.borrow().cluster {
            Some(cluster) => non_empty(out, &cluster.settings.observability_name),
            None => chosen(record, out, |cluster| &cluster.observability_name),
        }
    }),
    Row::plain("UPSTREAM_CLUSTER_RAW", |record, out| {
        match &record.info.upstream.borrow().cluster {
            Some(cluster) => non_empty(out, &cluster.name),
            None => chosen(record, out, |cluster| &cluster.name),
        }
    }),
    Row::plain("UPSTREAM_HOST", |record, out| {
        whole(out, record.info.upstream.borrow().host.as_ref().map(|host| &host.address))
    }),
    Row::plain("UPSTREAM_HOST_NAME", host_name),
    Row::plain("UPSTREAM_HOST_NAME_WITHOUT_PORT", |record, out| {
        let start = out.len();
        let wrote = host_name(record, out);
        cut_port(out, start);
        wrote
    }),
    Row::plain("UPSTREAM_PROTOCOL", |record, out| match record.info.upstream.borrow().protocol {
        Some(protocol) => plain(out, protocol.as_str()),
        None => Wrote::Nothing,
    }),
    Row::number("UPSTREAM_REQUEST_ATTEMPT_COUNT", |record, out| {
        number(out, record.info.upstream.borrow().attempts)
    }),
    Row::plain("UPSTREAM_TRANSPORT_FAILURE_REASON", |record, out| {
        let start = out.len();
        let wrote = non_empty(out, &record.info.upstream.borrow().transport_failure);
        underscores(out, start);
        wrote
    }),
];

/// The cluster that the route has chosen for a request that never came so far.
fn chosen(
    record: &Record<'_>,
    out: &mut Vec<u8>,
    name: impl Fn(&ClusterHandle) -> &Arc<str>,
) -> Wrote {
    let Some(chosen) = &record.info.cluster_name else { return Wrote::Nothing };
    let name = worker::snapshot(|snapshot| snapshot.clusters.get(chosen).map(|c| name(c).clone()));
    name.map_or(Wrote::Nothing, |name| non_empty(out, &name))
}

/// The host's name, or its address if it has none.
fn host_name(record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
    match &record.info.upstream.borrow().host {
        Some(host) if !host.hostname.is_empty() => text(out, host.hostname.as_bytes()),
        host => whole(out, host.as_ref().map(|host| &host.address)),
    }
}

/// Cuts `:80` from the end, if what stands before it is no bare IPv6 address.
fn cut_port(out: &mut Vec<u8>, start: usize) {
    let host = out.get(start..).unwrap_or_default();
    let Some(colon) = memchr::memrchr(b':', host) else { return };
    let (name, port) = host.split_at_checked(colon).unwrap_or_default();
    let is_port = port.len() > 1 && port.iter().skip(1).all(u8::is_ascii_digit);
    let is_host = !name.contains(&b':') || name.ends_with(b"]");
    if is_port && is_host {
        out.truncate(start + colon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_from_names() {
        for (host, expected) in [
            ("a.com:80", "a.com"),
            ("a.com", "a.com"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("::1", "::1"),
            ("a:b", "a:b"),
            ("a:", "a:"),
            ("/run/a", "/run/a"),
        ] {
            let mut out = format!("x:1{host}").into_bytes();
            cut_port(&mut out, 3);
            assert_eq!(out, format!("x:1{expected}").into_bytes());
        }
    }
}
