//! Hosts: those that stand in a cluster, that a control plane tells, or whose names are to be resolved.
//! (envoy: config.endpoint.v3.ClusterLoadAssignment)

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use outrigger_xds::Resource;
use outrigger_xds_api::envoy::config::core::v3::address::Address as AddressKind;
use outrigger_xds_api::envoy::config::core::v3::{Address as AddressMessage, HealthStatus};
use outrigger_xds_api::envoy::config::endpoint::v3::cluster_load_assignment::Policy;
use outrigger_xds_api::envoy::config::endpoint::v3::cluster_load_assignment::policy::DropOverload;
use outrigger_xds_api::envoy::config::endpoint::v3::endpoint::AdditionalAddress;
use outrigger_xds_api::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use outrigger_xds_api::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint as EndpointMessage, LbEndpoint, LocalityLbEndpoints,
};

use super::cluster::{Rules, labels, workload};
use super::common::{
    Endpoint, Translated, address, address_kind, duration, enumeration, fraction, locality,
    message_of, non_empty, required, socket_address,
};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use crate::net::Address;
use crate::upstream::dns::{Name, NameLocality, Names};
use crate::upstream::host::{EdsHealth, HostSpec, Locality};
use crate::upstream::host_set::{Assignment, LocalitySpec};
use crate::upstream::transport::{Labels, Transports};

/// (envoy: LocalityLbEndpoints.priority)
const LOWEST_PRIORITY: u32 = 128;

/// The endpoints that a resource holds, each once.
///
/// # Errors
/// The first thing in it that cannot be done.
pub(super) fn from_resource(
    resource: &Resource,
    transports: &Transports,
    cx: &Cx<'_>,
) -> Translated<Assignment> {
    let at = At::root("");
    let message: ClusterLoadAssignment = message_of(resource, &at)?;
    Ok(fixed(Some(message), transports, &at, cx)?.without_duplicates())
}

/// Hosts that have addresses.
pub(super) fn fixed(
    message: Option<ClusterLoadAssignment>,
    transports: &Transports,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Assignment> {
    let groups = read(message, transports, at, cx, &|address, at| {
        let address = self::address(address, &at.field("address"), cx)?;
        Ok((address, Box::default()))
    })?;
    let localities = groups.localities.into_iter().map(|group| LocalitySpec {
        weight: group.weight,
        priority: group.priority,
        hosts: group.hosts.into_iter().map(|(host, _)| host).collect(),
    });
    Ok(Assignment {
        localities: localities.collect(),
        overprovisioning_percent: groups.overprovisioning_percent,
        weighted_priority_health: groups.weighted_priority_health,
    })
}

/// Hosts whose names are to be resolved.
pub(super) fn named(
    message: Option<ClusterLoadAssignment>,
    rules: Rules,
    transports: &Transports,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Names> {
    let groups = read(message, transports, at, cx, &|address, at| {
        let at = at.field("address");
        match address_kind(address, &at, cx)? {
            AddressKind::SocketAddress(message) => {
                let Endpoint { host, port, .. } =
                    socket_address(message, &at.field("socket_address"), cx)?;
                // The address is what the name will resolve to.
                let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
                Ok((address.into(), host.into()))
            }
            AddressKind::Pipe(_) | AddressKind::EnvoyInternalAddress(_) => {
                Err(at.error("must be a socket address, whose name is to be resolved"))
            }
        }
    })?;
    let is_one = matches!(groups.localities.as_slice(), [only] if only.hosts.len() == 1);
    if rules.is_logical && !is_one {
        return Err(at.field("endpoints").error("must be one locality with one endpoint"));
    }
    let localities = groups.localities.into_iter().map(|group| NameLocality {
        weight: group.weight,
        priority: group.priority,
        names: group
            .hosts
            .into_iter()
            .map(|(mut like, name)| {
                if like.hostname.is_empty() {
                    like.hostname.clone_from(&name);
                }
                Name { name, like }
            })
            .collect(),
    });
    Ok(Names {
        localities: localities.collect(),
        overprovisioning_percent: groups.overprovisioning_percent,
        weighted_priority_health: groups.weighted_priority_health,
        is_logical: rules.is_logical,
        refresh: rules.refresh,
        family: rules.family,
        servers: rules.servers,
    })
}

/// Everything that a message says, and beside each host the name that its address was, if it was one.
struct Groups {
    localities: Vec<Group>,
    overprovisioning_percent: u32,
    weighted_priority_health: bool,
}

struct Group {
    weight: u32,
    priority: u32,
    hosts: Vec<(HostSpec, Box<str>)>,
}

/// Reads the address of an endpoint, and its name if it is one.
type ReadAddress<'a> = &'a dyn Fn(AddressMessage, &At<'_>) -> Translated<(Address, Box<str>)>;

fn read(
    message: Option<ClusterLoadAssignment>,
    transports: &Transports,
    at: &At<'_>,
    cx: &Cx<'_>,
    read_address: ReadAddress<'_>,
) -> Translated<Groups> {
    let Assignment { overprovisioning_percent, weighted_priority_health, .. } =
        Assignment::default();
    let mut groups =
        Groups { localities: Vec::new(), overprovisioning_percent, weighted_priority_health };
    let Some(message) = message else { return Ok(groups) };
    fields!(cx, at, message => ClusterLoadAssignment {
        used: cluster_name, endpoints, policy;
        ignored: named_endpoints = "no endpoint can name them";
    });
    non_empty(cluster_name, &at.field("cluster_name"))?;
    if let Some(message) = policy {
        self::policy(message, &mut groups, &at.field("policy"), cx)?;
    }
    let endpoints_at = at.field("endpoints");
    let mut weights: HashMap<u32, u64> = HashMap::new();
    for (index, message) in endpoints.into_iter().enumerate() {
        let at = endpoints_at.index(index);
        let group = group(message, transports, &at, cx, read_address)?;
        let sum = weights.entry(group.priority).or_default();
        *sum += u64::from(group.weight);
        if *sum > u64::from(u32::MAX) {
            return Err(at
                .field("load_balancing_weight")
                .error("the weights of the priority's localities exceed 4294967295"));
        }
        groups.localities.push(group);
    }
    Ok(groups)
}

fn policy(message: Policy, groups: &mut Groups, at: &At<'_>, cx: &Cx<'_>) -> Translated<()> {
    fields!(cx, at, message => Policy {
        used: drop_overloads, overprovisioning_factor, weighted_priority_health,
            endpoint_stale_after;
    });
    let drops_at = at.field("drop_overloads");
    for (index, message) in drop_overloads.into_iter().enumerate() {
        let at = drops_at.index(index);
        fields!(cx, at, message => DropOverload { used: category, drop_percentage; });
        non_empty(category, &at.field("category"))?;
        let share_at = at.field("drop_percentage");
        let numerator = drop_percentage.as_ref().map_or(0, |share| share.numerator);
        fraction(drop_percentage.unwrap_or_default(), &share_at, cx)?;
        if numerator > 0 {
            return Err(at.unsupported("dropping a share of requests"));
        }
    }
    let stale_at = at.field("endpoint_stale_after");
    if duration(endpoint_stale_after, &stale_at)?.is_some() {
        return Err(stale_at.unsupported("forgetting endpoints after a time"));
    }
    if let Some(factor) = overprovisioning_factor {
        if factor.value == 0 {
            return Err(at.field("overprovisioning_factor").error("must be greater than 0"));
        }
        groups.overprovisioning_percent = factor.value;
    }
    groups.weighted_priority_health = weighted_priority_health;
    Ok(())
}

fn group(
    message: LocalityLbEndpoints,
    transports: &Transports,
    at: &At<'_>,
    cx: &Cx<'_>,
    read_address: ReadAddress<'_>,
) -> Translated<Group> {
    fields!(cx, at, message => LocalityLbEndpoints {
        used: locality, metadata, lb_endpoints, load_balancing_weight, priority;
        ignored: proximity = "the nearest locality is not preferred";
        refused: lb_config = "endpoints that are discovered one by one";
    });
    if priority > LOWEST_PRIORITY {
        return Err(at.field("priority").error("must be at most 128"));
    }
    let weight_at = at.field("load_balancing_weight");
    let place = Place {
        locality: Arc::new(self::locality(locality.unwrap_or_default(), &at.field("locality"), cx)),
        labels: labels(metadata, &at.field("metadata"), cx)?,
        priority,
        transports,
        read_address,
    };
    let endpoints_at = at.field("lb_endpoints");
    let mut sum = 0_u64;
    let mut hosts = Vec::with_capacity(lb_endpoints.len());
    for (index, message) in lb_endpoints.into_iter().enumerate() {
        let (spec, name) = place.host(message, &endpoints_at.index(index), cx)?;
        sum += u64::from(spec.weight);
        hosts.push((spec, name));
    }
    if sum > u64::from(u32::MAX) {
        return Err(endpoints_at.error("the weights of the locality's endpoints exceed 4294967295"));
    }
    let weight = match load_balancing_weight {
        Some(weight) if weight.value == 0 => return Err(weight_at.error("must be at least 1")),
        Some(weight) => weight.value,
        None => 0,
    };
    Ok(Group { weight, priority, hosts })
}

/// What the hosts of a locality have in common.
struct Place<'a> {
    locality: Arc<Locality>,
    labels: Labels,
    priority: u32,
    transports: &'a Transports,
    read_address: ReadAddress<'a>,
}

impl Place<'_> {
    fn host(
        &self,
        message: LbEndpoint,
        at: &At<'_>,
        cx: &Cx<'_>,
    ) -> Translated<(HostSpec, Box<str>)> {
        fields!(cx, at, message => LbEndpoint {
            used: health_status, metadata, load_balancing_weight, host_identifier;
        });
        let workload = workload(metadata.as_ref());
        let own = labels(metadata, &at.field("metadata"), cx)?;
        let weight = load_balancing_weight.map_or(1, |weight| weight.value);
        if weight == 0 {
            return Err(at.field("load_balancing_weight").error("must be at least 1"));
        }
        let health = match enumeration(health_status, &at.field("health_status"))? {
            HealthStatus::Unknown => EdsHealth::Unknown,
            HealthStatus::Healthy => EdsHealth::Healthy,
            HealthStatus::Unhealthy => EdsHealth::Unhealthy,
            HealthStatus::Draining => EdsHealth::Draining,
            HealthStatus::Timeout => EdsHealth::Timeout,
            HealthStatus::Degraded => EdsHealth::Degraded,
        };
        let endpoint_at = at.field("endpoint");
        let message = match required(host_identifier, &endpoint_at)? {
            HostIdentifier::Endpoint(message) => message,
            HostIdentifier::EndpointName(_) => {
                return Err(at.field("endpoint_name").unsupported("a named endpoint"));
            }
        };
        let at = endpoint_at;
        fields!(cx, at, message => EndpointMessage {
            used: address, hostname, additional_addresses;
            ignored:
                health_check_config = "there are no active health checks",
                observability_name = "there are no stats per endpoint";
        });
        let (address, name) = (self.read_address)(required(address, &at.field("address"))?, &at)?;
        let spec = HostSpec {
            additional_addresses: additional(additional_addresses, &address, &name, &at, cx)?,
            address,
            hostname: hostname.into(),
            locality: self.locality.clone(),
            transport: self.transports.select(&own, &self.labels).clone(),
            weight,
            priority: self.priority,
            health,
            workload,
        };
        Ok((spec, name))
    }
}

/// Further addresses of a host; `at` is the endpoint.
fn additional(
    messages: Vec<AdditionalAddress>,
    first: &Address,
    name: &str,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Box<[Address]>> {
    let at = at.field("additional_addresses");
    if !messages.is_empty() && (first.ip().is_none() || !name.is_empty()) {
        return Err(at.error("must not be set unless the address is an IP address"));
    }
    let each = |(index, message)| {
        let at = at.index(index);
        fields!(cx, at, message => AdditionalAddress { used: address; });
        let at = at.field("address");
        let address = self::address(required(address, &at)?, &at, cx)?;
        if address.ip().is_none() {
            return Err(at.error("must be an IP address"));
        }
        Ok(address)
    };
    messages.into_iter().enumerate().map(each).collect()
}
