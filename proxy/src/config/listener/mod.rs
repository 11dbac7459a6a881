//! Listeners. (envoy: config.listener.v3.Listener)

mod chain_match;
mod filters;
mod hcm;
mod inspectors;
mod reuse;
mod tcp_proxy;

use std::sync::Arc;
use std::time::Duration;

use outrigger_policy::bulkhead::Bulkhead;
use outrigger_xds::Resource;
use outrigger_xds_api::envoy::config::core::v3::Address;
use outrigger_xds_api::envoy::config::core::v3::TrafficDirection;
use outrigger_xds_api::envoy::config::core::v3::address::Address as AddressKind;
use outrigger_xds_api::envoy::config::listener::v3::listener::DrainType;
use outrigger_xds_api::envoy::config::listener::v3::{
    AdditionalAddress, FilterChain as ChainMessage, Listener as Message, listener::DeprecatedV1,
};

pub(super) use self::reuse::keep_chains;

use super::access_log;
use super::common::{
    Translated, address_kind, bool_or, enumeration, message_of, pipe, required, socket_address,
    timeout, u32_or,
};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use super::tls;
use crate::listener::filter_chain::{ChainIndex, ChainMatch};
use crate::listener::{Bind, Direction, FilterChain, Listener, Restore};
use crate::net;
use crate::telemetry::metrics::listener_prefix;

/// Time that listener filters may take. (envoy: Listener.listener_filters_timeout)
const FILTERS_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections that the kernel holds. (envoy: Listener.tcp_backlog_size, `SOMAXCONN`)
const BACKLOG: u32 = 4096;
/// Filter chains of one listener: more than any mesh has, few enough to index.
const MOST_CHAINS: usize = 100_000;

/// The listener that a resource holds. Its name is the resource's: the bootstrap may leave it to us.
///
/// # Errors
/// The first thing in it that cannot be done.
pub(super) fn from_resource(resource: &Resource, cx: &Cx<'_>) -> Translated<Listener> {
    let at = At::root("");
    let mut message: Message = message_of(resource, &at)?;
    message.name = resource.name.to_string();
    listener(message, &at, cx)
}

/// Translates a listener.
#[expect(clippy::too_many_lines, reason = "the message is taken apart as a whole")]
pub(super) fn listener(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<Listener> {
    fields!(cx, at, message => Message {
        used: name, address, additional_addresses, stat_prefix, filter_chains, default_filter_chain,
            listener_filters, listener_filters_timeout, continue_on_listener_filters_timeout, freebind,
            traffic_direction, reuse_port, enable_reuse_port, access_log, tcp_backlog_size, bind_to_port,
            ignore_global_conn_limit, drain_type, use_original_dst, listener_specifier, deprecated_v1;
        ignored:
            per_connection_buffer_limit_bytes = "bodies are pulled, so nothing piles up in a connection",
            per_connection_buffer_high_watermark_timeout = "bodies are pulled, so nothing piles up in a connection",
            metadata = "nothing reads it",
            connection_balance_config = "a connection always goes to the worker with the least to do",
            max_connections_to_accept_per_socket_event = "connections are accepted one by one",
            tcp_fast_open_queue_length = "it only saves a round trip",
            bypass_overload_manager = "there is no overload manager yet",
            tcp_keepalive = "it only finds dead clients sooner",
            enable_mptcp = "plain TCP serves the same clients";
        refused:
            stats_matcher = "a matcher of its own for stats",
            fcds_config = "filter chain discovery",
            filter_chain_matcher = "a matcher tree for filter chains",
            transparent = "transparent interception",
            socket_options = "a raw socket option",
            udp_listener_config = "UDP",
            api_listener = "an API listener";
    });
    if listener_specifier.is_some() {
        return Err(at.field("internal_listener").unsupported("an internal listener"));
    }
    let hands_over = bool_or(use_original_dst, false);
    let bound_of_old = match deprecated_v1 {
        Some(message) => {
            let at = at.field("deprecated_v1");
            fields!(cx, at, message => DeprecatedV1 { used: bind_to_port; });
            bind_to_port
        }
        None => None,
    };
    let drain_type: DrainType = enumeration(drain_type, &at.field("drain_type"))?;
    let socket = SocketSettings {
        backlog: backlog(u32_or(tcp_backlog_size, BACKLOG)),
        reuse_port: reuse_port || bool_or(enable_reuse_port, true),
        freebind: bool_or(freebind, false),
    };
    let first = socket.bind(required(address, &at.field("address"))?, &at.field("address"), cx)?;
    let known_address = first.address.clone();
    let mut binds = vec![first];
    for (index, message) in additional_addresses.into_iter().enumerate() {
        let at = at.field("additional_addresses");
        binds.push(socket.additional(message, &at.index(index), cx)?);
    }
    let addresses = binds.iter().map(|bind| bind.address.clone()).collect();
    if !bool_or(bind_to_port.or(bound_of_old), true) {
        binds.clear();
    }
    let prefix = listener_prefix(&known_address.to_string(), &stat_prefix);
    let direction = match enumeration(traffic_direction, &at.field("traffic_direction"))? {
        TrafficDirection::Unspecified => Direction::Unspecified,
        TrafficDirection::Inbound => Direction::Inbound,
        TrafficDirection::Outbound => Direction::Outbound,
    };
    let scope = Scope { prefix: &prefix, direction };
    cx.set_scope(&prefix);
    let (chains, index) = chains(filter_chains, &at.field("filter_chains"), cx, &scope)?;
    let default_chain = match default_filter_chain {
        None => None,
        Some(message) => {
            let (chain, _) = chain(message, &at.field("default_filter_chain"), cx, &scope)?;
            Some(Arc::new(chain))
        }
    };
    if chains.is_empty() && default_chain.is_none() {
        return Err(at.field("filter_chains").error("no filter chains specified"));
    }
    let (inspectors, restores) =
        inspectors::inspectors(listener_filters, &at.field("listener_filters"), cx, &index)?;
    // Asking is a filter of its own in Envoy, after all others.
    let restores = match restores {
        Restore::Never if hands_over => Restore::Last(None),
        restores => restores,
    };
    Ok(Listener {
        name: if name.is_empty() { known_address.to_string().into() } else { name.clone().into() },
        binds,
        address: known_address,
        addresses,
        restores,
        hands_over,
        direction,
        inspectors,
        index: index.index,
        chains,
        default_chain,
        inspect_timeout: timeout(
            listener_filters_timeout,
            Some(FILTERS_TIMEOUT),
            &at.field("listener_filters_timeout"),
        )?,
        continue_on_timeout: continue_on_listener_filters_timeout,
        access_log: access_log::logs(access_log, &at.field("access_log"), cx)?,
        drains_on_changes_only: drain_type == DrainType::ModifyOnly,
        connection_limit: connection_limit(&name, cx),
        ignores_global_limit: ignore_global_conn_limit,
        stats: cx.registry.stats(&prefix),
        tls_stats: cx.registry.stats(&format!("{prefix}ssl.")),
    })
}

/// The most connections at once, which only the runtime can say.
fn connection_limit(name: &str, cx: &Cx<'_>) -> Option<Arc<Bulkhead>> {
    let most =
        cx.runtime.integer(&format!("envoy.resource_limits.listener.{name}.connection_limit"))?;
    Some(Bulkhead::new(u32::try_from(most).unwrap_or(u32::MAX)))
}

/// What the parts of a listener know of it: where their counters stand, and whose connections they serve.
pub(super) struct Scope<'a> {
    /// The prefix of its stats.
    pub(super) prefix: &'a str,
    /// Whose connections it takes.
    pub(super) direction: Direction,
}

struct SocketSettings {
    backlog: i32,
    reuse_port: bool,
    freebind: bool,
}

impl SocketSettings {
    fn bind(&self, message: Address, at: &At<'_>, cx: &Cx<'_>) -> Translated<Bind> {
        let (address, ipv4_compat, mode) = match address_kind(message, at, cx)? {
            AddressKind::SocketAddress(message) => {
                let at = at.field("socket_address");
                let endpoint = socket_address(message, &at, cx)?;
                let ip: std::net::IpAddr = endpoint.host.parse().map_err(|_| {
                    at.field("address").error(format_args!("'{}' is no IP address", endpoint.host))
                })?;
                let address = std::net::SocketAddr::new(ip, endpoint.port);
                // Not through `From`: `::ffff:0.0.0.0` must stay an IPv6 address to bind to.
                (net::Address::Ip(address), endpoint.ipv4_compat, 0)
            }
            AddressKind::Pipe(message) => {
                let (address, mode) = pipe(message, &at.field("pipe"), cx)?;
                (address, false, mode)
            }
            AddressKind::EnvoyInternalAddress(_) => {
                return Err(at.field("envoy_internal_address").unsupported("an internal address"));
            }
        };
        let Self { backlog, reuse_port, freebind } = *self;
        Ok(Bind { address, backlog, reuse_port, freebind, ipv4_compat, mode })
    }

    fn additional(&self, message: AdditionalAddress, at: &At<'_>, cx: &Cx<'_>) -> Translated<Bind> {
        fields!(cx, at, message => AdditionalAddress {
            used: address;
            ignored: tcp_keepalive = "it only finds dead clients sooner";
            refused: socket_options = "a raw socket option";
        });
        self.bind(required(address, &at.field("address"))?, &at.field("address"), cx)
    }
}

fn backlog(wanted: u32) -> i32 {
    i32::try_from(wanted).unwrap_or(i32::MAX)
}

/// The index of a listener's chains, and whether it needs to know names or protocols.
pub(super) struct Index {
    index: ChainIndex,
    pub(super) matches: Vec<ChainMatch>,
}

fn chains(
    messages: Vec<ChainMessage>,
    at: &At<'_>,
    cx: &Cx<'_>,
    scope: &Scope<'_>,
) -> Translated<(Vec<Arc<FilterChain>>, Index)> {
    if messages.len() > MOST_CHAINS {
        return Err(at.error(format_args!("more than {MOST_CHAINS} filter chains")));
    }
    let mut chains = Vec::with_capacity(messages.len());
    let mut matches = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let (chain, chain_match) = chain(message, &at.index(index), cx, scope)?;
        chains.push(Arc::new(chain));
        matches.push(chain_match);
    }
    let index = ChainIndex::new(&matches).map_err(|ambiguous| {
        let name = |index: usize| chains.get(index).map(|c| c.name.to_string()).unwrap_or_default();
        at.index(ambiguous.second).field("filter_chain_match").error(format_args!(
            "multiple filter chains with the same matching rules are defined: '{}' and '{}'",
            name(ambiguous.first),
            name(ambiguous.second)
        ))
    })?;
    Ok((chains, Index { index, matches }))
}

fn chain(
    message: ChainMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
    scope: &Scope<'_>,
) -> Translated<(FilterChain, ChainMatch)> {
    fields!(cx, at, message => ChainMessage {
        used: filter_chain_match, filters, transport_socket, transport_socket_connect_timeout, name;
        ignored: metadata = "nothing reads it";
        refused: use_proxy_proto = "the PROXY protocol";
    });
    let chain_match = match filter_chain_match {
        Some(message) => chain_match::chain_match(message, &at.field("filter_chain_match"), cx)?,
        None => ChainMatch::default(),
    };
    let transport = tls::server_transport(transport_socket, &at.field("transport_socket"), cx)?;
    let (rbac, terminal) = filters::network_filters(filters, &at.field("filters"), cx, scope)?;
    let chain = FilterChain {
        name: name.into(),
        transport,
        handshake_timeout: timeout(
            transport_socket_connect_timeout,
            None,
            &at.field("transport_socket_connect_timeout"),
        )?,
        rbac,
        terminal,
    };
    Ok((chain, chain_match))
}
