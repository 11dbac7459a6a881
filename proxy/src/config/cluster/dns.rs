//! How names are resolved. (envoy: Cluster.dns_*, extensions.clusters.dns.v3.DnsCluster)

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::cluster::v3::cluster::{
    DnsLookupFamily, RefreshRate as ClusterRefreshRate,
};
use outrigger_xds_api::envoy::config::core::v3::address::Address as AddressKind;
use outrigger_xds_api::envoy::config::core::v3::{
    Address, DnsResolutionConfig, DnsResolverOptions, TypedExtensionConfig,
};
use outrigger_xds_api::envoy::extensions::clusters::common::dns::v3::DnsLookupFamily as TypedFamily;
use outrigger_xds_api::envoy::extensions::clusters::dns::v3::DnsCluster;
use outrigger_xds_api::envoy::extensions::clusters::dns::v3::dns_cluster::RefreshRate;
use outrigger_xds_api::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use outrigger_xds_api::envoy::extensions::network::dns_resolver::getaddrinfo::v3::GetAddrInfoDnsResolverConfig;
use outrigger_xds_api::google::protobuf;

use crate::config::common::{
    Endpoint, Translated, address_kind, decode, duration, enumeration, extension, non_empty,
    required, socket_address,
};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::upstream::dns::{Family, Refresh, Servers};

/// (envoy: dns_refresh_rate)
const REFRESH_RATE: Duration = Duration::from_secs(5);
/// Least value of the field. (envoy: dns_min_refresh_rate)
const LEAST_MIN_REFRESH_RATE: Duration = Duration::from_secs(1);
/// Rates must be greater.
const LEAST_RATE: Duration = Duration::from_millis(1);

/// What holds for all names of a cluster.
#[derive(Clone, Debug)]
pub(in crate::config) struct Rules {
    /// One name, and of its addresses one host. (envoy: LOGICAL_DNS)
    pub(in crate::config) is_logical: bool,
    pub(in crate::config) refresh: Refresh,
    pub(in crate::config) family: Family,
    pub(in crate::config) servers: Servers,
}

/// The fields of a cluster about names.
pub(super) struct ClusterFields {
    pub(super) refresh_rate: Option<protobuf::Duration>,
    pub(super) jitter: Option<protobuf::Duration>,
    pub(super) failure_refresh_rate: Option<ClusterRefreshRate>,
    pub(super) respects_ttl: bool,
    pub(super) lookup_family: i32,
    pub(super) resolvers: Vec<Address>,
    pub(super) uses_tcp: bool,
    pub(super) resolution: Option<DnsResolutionConfig>,
    pub(super) resolver: Option<TypedExtensionConfig>,
}

/// Rules from the fields of a cluster; `at` is the cluster.
pub(super) fn of_cluster(
    fields: ClusterFields,
    is_logical: bool,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Rules> {
    let family = match enumeration(fields.lookup_family, &at.field("dns_lookup_family"))? {
        DnsLookupFamily::Auto => Family::Auto,
        DnsLookupFamily::V4Only => Family::V4Only,
        DnsLookupFamily::V6Only => Family::V6Only,
        DnsLookupFamily::V4Preferred => Family::V4Preferred,
        DnsLookupFamily::All => Family::All,
    };
    let failure_at = at.field("dns_failure_refresh_rate");
    let failure = fields
        .failure_refresh_rate
        .map(|message| {
            fields!(cx, failure_at, message => ClusterRefreshRate {
                used: base_interval, max_interval;
            });
            back_off(base_interval, max_interval, &failure_at)
        })
        .transpose()?;
    let servers = if let Some(message) = fields.resolver {
        resolver(message, &at.field("typed_dns_resolver_config"), cx)?
    } else if let Some(message) = fields.resolution {
        resolution(message, &at.field("dns_resolution_config"), cx)?
    } else {
        Servers {
            addresses: servers(fields.resolvers, &at.field("dns_resolvers"), cx)?,
            uses_tcp: fields.uses_tcp,
            ..Servers::default()
        }
    };
    Ok(Rules {
        is_logical,
        refresh: Refresh {
            interval: rate(fields.refresh_rate, &at.field("dns_refresh_rate"))?
                .unwrap_or(REFRESH_RATE),
            least: Duration::ZERO,
            failure,
            respects_ttl: fields.respects_ttl,
            jitter: duration(fields.jitter, &at.field("dns_jitter"))?.unwrap_or_default(),
        },
        family,
        servers,
    })
}

/// Rules from the extension that says the same.
pub(super) fn of_type(message: DnsCluster, at: &At<'_>, cx: &Cx<'_>) -> Translated<Rules> {
    fields!(cx, at, message => DnsCluster {
        used: dns_refresh_rate, dns_failure_refresh_rate, respect_dns_ttl, dns_jitter,
            typed_dns_resolver_config, dns_lookup_family, all_addresses_in_single_endpoint,
            dns_min_refresh_rate;
    });
    let family = match enumeration(dns_lookup_family, &at.field("dns_lookup_family"))? {
        TypedFamily::Unspecified | TypedFamily::Auto => Family::Auto,
        TypedFamily::V4Only => Family::V4Only,
        TypedFamily::V6Only => Family::V6Only,
        TypedFamily::V4Preferred => Family::V4Preferred,
        TypedFamily::All => Family::All,
    };
    let failure_at = at.field("dns_failure_refresh_rate");
    let failure = dns_failure_refresh_rate
        .map(|message| {
            fields!(cx, failure_at, message => RefreshRate { used: base_interval, max_interval; });
            back_off(base_interval, max_interval, &failure_at)
        })
        .transpose()?;
    let least_at = at.field("dns_min_refresh_rate");
    let least = duration(dns_min_refresh_rate, &least_at)?;
    if least.is_some_and(|least| least < LEAST_MIN_REFRESH_RATE) {
        return Err(least_at.error("must be at least 1 s"));
    }
    Ok(Rules {
        is_logical: all_addresses_in_single_endpoint,
        refresh: Refresh {
            interval: rate(dns_refresh_rate, &at.field("dns_refresh_rate"))?
                .unwrap_or(REFRESH_RATE),
            least: least.unwrap_or_default(),
            failure,
            respects_ttl: respect_dns_ttl,
            jitter: duration(dns_jitter, &at.field("dns_jitter"))?.unwrap_or_default(),
        },
        family,
        servers: typed_dns_resolver_config
            .map(|message| resolver(message, &at.field("typed_dns_resolver_config"), cx))
            .transpose()?
            .unwrap_or_default(),
    })
}

fn rate(value: Option<protobuf::Duration>, at: &At<'_>) -> Translated<Option<Duration>> {
    match duration(value, at)? {
        Some(rate) if rate <= LEAST_RATE => Err(at.error("must be greater than 1 ms")),
        rate => Ok(rate),
    }
}

/// The time after the first failure, and the longest; ten times the first if it is unset.
fn back_off(
    base: Option<protobuf::Duration>,
    max: Option<protobuf::Duration>,
    at: &At<'_>,
) -> Translated<(Duration, Duration)> {
    let (base_at, max_at) = (at.field("base_interval"), at.field("max_interval"));
    let base = required(rate(base, &base_at)?, &base_at)?;
    let max = rate(max, &max_at)?.unwrap_or_else(|| base.saturating_mul(10));
    if max < base {
        return Err(max_at.error("must be at least base_interval"));
    }
    Ok((base, max))
}

/// Whom a resolver asks. All resolvers are the same one here: what is said of whom they ask holds, how they work inside does not matter.
fn resolver(message: TypedExtensionConfig, at: &At<'_>, cx: &Cx<'_>) -> Translated<Servers> {
    let (name, config) = extension(message, at, cx);
    let name = non_empty(name, &at.field("name"))?;
    let at = at.field("typed_config");
    let config = required(config, &at)?;
    match any::type_name(&config.type_url) {
        Some("envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig") => {
            let message: CaresDnsResolverConfig = decode(&config, &at)?;
            fields!(cx, at, message => CaresDnsResolverConfig {
                used: resolvers, use_resolvers_as_fallback, dns_resolver_options;
                ignored:
                    filter_unroutable_families = "addresses of both versions are tried",
                    udp_max_queries = "every query has a socket of its own",
                    query_timeout_seconds = "queries have the resolver's timeout",
                    query_tries = "queries have the resolver's number of tries",
                    rotate_nameservers = "the quickest server is asked",
                    edns0_max_payload_size = "it changes the size of packets only",
                    max_udp_channel_duration = "every query has a socket of its own",
                    reinit_channel_on_timeout = "every query has a socket of its own",
                    qcache_max_ttl = "answers are not kept besides";
            });
            if use_resolvers_as_fallback {
                let at = at.field("use_resolvers_as_fallback");
                return Err(at.unsupported("a resolver as a fallback"));
            }
            let addresses = servers(resolvers, &at.field("resolvers"), cx)?;
            Ok(options(dns_resolver_options, addresses, &at.field("dns_resolver_options"), cx))
        }
        Some(
            "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig",
        ) => {
            let message: GetAddrInfoDnsResolverConfig = decode(&config, &at)?;
            fields!(cx, at, message => GetAddrInfoDnsResolverConfig {
                ignored:
                    num_retries = "queries have the resolver's number of tries",
                    num_resolver_threads = "there are no threads for it";
            });
            Ok(Servers::default())
        }
        _ => Err(at.unsupported(format_args!("the resolver {name} ({})", config.type_url))),
    }
}

fn resolution(message: DnsResolutionConfig, at: &At<'_>, cx: &Cx<'_>) -> Translated<Servers> {
    fields!(cx, at, message => DnsResolutionConfig { used: resolvers, dns_resolver_options; });
    let resolvers_at = at.field("resolvers");
    if resolvers.is_empty() {
        return Err(resolvers_at.error("must not be empty"));
    }
    let addresses = servers(resolvers, &resolvers_at, cx)?;
    Ok(options(dns_resolver_options, addresses, &at.field("dns_resolver_options"), cx))
}

fn options(
    message: Option<DnsResolverOptions>,
    addresses: Vec<SocketAddr>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Servers {
    let message = message.unwrap_or_default();
    fields!(cx, at, message => DnsResolverOptions {
        used: use_tcp_for_dns_lookups, no_default_search_domain;
    });
    Servers { addresses, uses_tcp: use_tcp_for_dns_lookups, is_absolute: no_default_search_domain }
}

fn servers(messages: Vec<Address>, at: &At<'_>, cx: &Cx<'_>) -> Translated<Vec<SocketAddr>> {
    let each = |(index, message)| {
        let at = at.index(index);
        match address_kind(message, &at, cx)? {
            AddressKind::SocketAddress(message) => {
                let at = at.field("socket_address");
                let Endpoint { host, port, .. } = socket_address(message, &at, cx)?;
                let ip: IpAddr = host.parse().map_err(|_| {
                    at.field("address").error(format_args!("'{host}' is no IP address"))
                })?;
                Ok(SocketAddr::new(ip, if port == 0 { 53 } else { port }))
            }
            AddressKind::Pipe(_) | AddressKind::EnvoyInternalAddress(_) => {
                Err(at.error("must be a socket address"))
            }
        }
    };
    messages.into_iter().enumerate().map(each).collect()
}
