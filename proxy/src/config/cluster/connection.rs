//! Sockets to hosts. (envoy: Cluster.upstream_bind_config, upstream_connection_options)

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use outrigger_xds_api::envoy::config::cluster::v3::UpstreamConnectionOptions;
use outrigger_xds_api::envoy::config::core::v3::{
    BindConfig, ExtraSourceAddress, SocketAddress, TcpKeepalive as KeepaliveMessage,
};
use outrigger_xds_api::google::protobuf;

use crate::config::common::{Endpoint, Translated, bool_or, duration, required, socket_address};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::upstream::cluster::TcpKeepalive;

/// (envoy: Cluster.cleanup_interval)
const CLEANUP_INTERVAL: Duration = Duration::from_secs(5);

/// The local addresses of connections: one of each version at most.
pub(super) fn bind_addresses(
    message: Option<BindConfig>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Vec<SocketAddr>> {
    let Some(message) = message else { return Ok(Vec::new()) };
    fields!(cx, at, message => BindConfig {
        used: source_address, freebind, extra_source_addresses, additional_source_addresses;
        ignored: validate_network_namespaces = "no address is in another network namespace";
        refused:
            socket_options = "a socket option",
            local_address_selector = "a choice of local addresses";
    });
    if bool_or(freebind, false) {
        return Err(at.field("freebind").unsupported("an address that the machine does not have"));
    }
    let mut addresses = Vec::new();
    if let Some(message) = source_address {
        addresses.push(source(message, &at.field("source_address"), cx)?);
    }
    let extra_at = at.field("extra_source_addresses");
    let is_extra = !(extra_source_addresses.is_empty() && additional_source_addresses.is_empty());
    if is_extra && addresses.is_empty() {
        return Err(extra_at.error("must not be set without source_address"));
    }
    for (index, message) in extra_source_addresses.into_iter().enumerate() {
        let at = extra_at.index(index);
        fields!(cx, at, message => ExtraSourceAddress {
            used: address;
            refused: socket_options = "a socket option";
        });
        let at = at.field("address");
        addresses.push(source(required(address, &at)?, &at, cx)?);
    }
    let additional_at = at.field("additional_source_addresses");
    for (index, message) in additional_source_addresses.into_iter().enumerate() {
        addresses.push(source(message, &additional_at.index(index), cx)?);
    }
    match addresses.as_slice() {
        [] | [_] => Ok(addresses),
        [one, two] if one.is_ipv4() != two.is_ipv4() => Ok(addresses),
        _ => Err(extra_at.error("must be one address of the other IP version")),
    }
}

fn source(message: SocketAddress, at: &At<'_>, cx: &Cx<'_>) -> Translated<SocketAddr> {
    let Endpoint { host, port, .. } = socket_address(message, at, cx)?;
    let ip: IpAddr = host
        .parse()
        .map_err(|_| at.field("address").error(format_args!("'{host}' is no IP address")))?;
    Ok(SocketAddr::new(ip, port))
}

/// TCP keepalive.
pub(super) fn options(
    message: Option<UpstreamConnectionOptions>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<TcpKeepalive>> {
    let Some(message) = message else { return Ok(None) };
    fields!(cx, at, message => UpstreamConnectionOptions {
        used: tcp_keepalive;
        ignored:
            set_local_interface_name_on_upstream_connections = "nothing reads the interface's name",
            happy_eyeballs_config = "families take turns, beginning with that of the first address";
    });
    let Some(message) = tcp_keepalive else { return Ok(None) };
    let at = at.field("tcp_keepalive");
    fields!(cx, at, message => KeepaliveMessage {
        used: keepalive_probes, keepalive_time, keepalive_interval;
    });
    let seconds = |value: protobuf::UInt32Value| Duration::from_secs(value.value.into());
    Ok(Some(TcpKeepalive {
        probes: keepalive_probes.map(|count| count.value),
        time: keepalive_time.map(seconds),
        interval: keepalive_interval.map(seconds),
    }))
}

/// How often hosts without use are looked for. Only those of original destinations can be without use; others go at once.
pub(super) fn cleanup_interval(
    interval: Option<protobuf::Duration>,
    at: &At<'_>,
) -> Translated<Duration> {
    let interval = duration(interval, at)?.unwrap_or(CLEANUP_INTERVAL);
    if interval.is_zero() {
        return Err(at.error("must be greater than 0"));
    }
    Ok(interval)
}
