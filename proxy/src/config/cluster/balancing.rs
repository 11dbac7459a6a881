//! How load is shared among hosts. (envoy: Cluster.lb_policy, load_balancing_policy, common_lb_config)
//!
//! The typed list goes before the enumeration: of it the first policy holds that Envoy knows. What is not there yet is refused by its name.

use outrigger_policy::head::Name;
use outrigger_policy::lb::{LeastRequest, Policy, Random, RoundRobin, Settings};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::cluster::v3::LoadBalancingPolicy;
use outrigger_xds_api::envoy::config::cluster::v3::cluster::common_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig, ZoneAwareLbConfig,
};
use outrigger_xds_api::envoy::config::cluster::v3::cluster::{
    CommonLbConfig, LbConfig, LbPolicy, LeastRequestLbConfig, OriginalDstLbConfig,
    RoundRobinLbConfig,
};
use outrigger_xds_api::envoy::config::cluster::v3::load_balancing_policy::Policy as PolicyMessage;
use outrigger_xds_api::envoy::config::core::v3::RuntimeDouble;
use outrigger_xds_api::envoy::extensions::load_balancing_policies as typed;
use outrigger_xds_api::google::protobuf::UInt32Value;
use typed::common::v3::LocalityLbConfig;
use typed::common::v3::locality_lb_config::{
    LocalityConfigSpecifier as TypedSpecifier, LocalityWeightedLbConfig as TypedWeighted,
    ZoneAwareLbConfig as TypedZoneAware,
};
use typed::least_request::v3::LeastRequest as LeastRequestMessage;
use typed::least_request::v3::least_request::SelectionMethod;
use typed::random::v3::Random as RandomMessage;
use typed::round_robin::v3::RoundRobin as RoundRobinMessage;

use crate::config::common::{
    Translated, bool_or, decode, duration, enumeration, extension, non_empty, percent, required,
};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher::header_name;

const NO_ZONES: &str = "hosts of the own zone are not preferred yet";
const ONLY_CLUSTER_PROVIDED: &str =
    "is not valid for ORIGINAL_DST: only CLUSTER_PROVIDED is allowed with this type";
/// Policies of Envoy that are not there yet, by the package of their message.
const ABSENT: [&str; 10] = [
    "client_side_weighted_round_robin",
    "cluster_provided",
    "dynamic_modules",
    "load_aware_locality",
    "maglev",
    "override_host",
    "random_subsetting",
    "ring_hash",
    "subset",
    "wrr_locality",
];

/// Where balancing stands in a cluster.
pub(super) struct Fields {
    pub(super) policy: i32,
    pub(super) config: Option<LbConfig>,
    pub(super) common: Option<CommonLbConfig>,
    pub(super) typed: Option<LoadBalancingPolicy>,
    /// The cluster itself picks hosts.
    pub(super) is_original_dst: bool,
}

/// Translates it; `at` is the cluster. Beside it stands what it says of original destinations.
pub(super) fn settings(
    fields: Fields,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(Settings, Destination)> {
    let Fields { policy, config, common, typed, is_original_dst } = fields;
    let policy = enumeration(policy, &at.field("lb_policy"))?;
    let is_typed = typed.is_some() || policy == LbPolicy::LoadBalancingPolicyConfig;
    let mut settings = self::common(common, is_typed, &at.field("common_lb_config"), cx)?;
    let at_policy = at.field("lb_policy");
    if is_typed {
        if is_original_dst {
            return Err(at_policy.error(ONLY_CLUSTER_PROVIDED));
        }
        let at = at.field("load_balancing_policy");
        return Ok((
            first_known(required(typed, &at)?, settings, &at, cx)?,
            Destination::default(),
        ));
    }
    // Configuration of another policy than the chosen one has no effect, but it must be right, as in Envoy.
    let mut destination = Destination::default();
    let mut least_requests = Policy::LeastRequest(LeastRequest::default());
    match config {
        Some(LbConfig::LeastRequestLbConfig(message)) => {
            let at = at.field("least_request_lb_config");
            fields!(cx, at, message => LeastRequestLbConfig {
                used: choice_count, active_request_bias;
                refused: slow_start_config = "a slow start";
            });
            least_requests = least_request(choice_count, active_request_bias, &at, cx)?;
        }
        Some(LbConfig::RoundRobinLbConfig(message)) => {
            let at = at.field("round_robin_lb_config");
            fields!(cx, at, message => RoundRobinLbConfig {
                refused: slow_start_config = "a slow start";
            });
        }
        Some(LbConfig::RingHashLbConfig(_)) => {
            cx.note_ignored(&at.field("ring_hash_lb_config"), "there is no consistent hashing");
        }
        Some(LbConfig::MaglevLbConfig(_)) => {
            cx.note_ignored(&at.field("maglev_lb_config"), "there is no consistent hashing");
        }
        Some(LbConfig::OriginalDstLbConfig(message)) => {
            destination = self::destination(message, &at.field("original_dst_lb_config"), cx)?;
        }
        None => {}
    }
    if is_original_dst != (policy == LbPolicy::ClusterProvided) {
        return Err(at_policy.error(if is_original_dst {
            ONLY_CLUSTER_PROVIDED
        } else {
            "CLUSTER_PROVIDED is set, and clusters of this type provide no load balancer"
        }));
    }
    settings.policy = match policy {
        LbPolicy::RoundRobin => Policy::RoundRobin(RoundRobin),
        LbPolicy::LeastRequest => least_requests,
        LbPolicy::Random => Policy::Random(Random),
        LbPolicy::RingHash => return Err(at_policy.unsupported("RING_HASH")),
        LbPolicy::Maglev => return Err(at_policy.unsupported("MAGLEV")),
        // Nothing is picked by the balancer.
        LbPolicy::ClusterProvided => settings.policy,
        LbPolicy::LoadBalancingPolicyConfig => return Err(at_policy.error("has no policy")),
    };
    Ok((settings, destination))
}

/// Where requests go that a cluster sends to where they were going.
#[derive(Default)]
pub(super) struct Destination {
    /// The port that is connected to instead.
    pub(super) port: Option<u16>,
    /// The header that may name the address.
    pub(super) header: Option<Name>,
}

fn destination(message: OriginalDstLbConfig, at: &At<'_>, cx: &Cx<'_>) -> Translated<Destination> {
    fields!(cx, at, message => OriginalDstLbConfig {
        used: upstream_port_override, use_http_header, http_header_name;
        refused: metadata_key = "a destination that metadata names";
    });
    let port_at = at.field("upstream_port_override");
    let port = upstream_port_override.map(|port| u16::try_from(port.value)).transpose();
    let header = match http_header_name.as_str() {
        "" => "x-envoy-original-dst-host",
        name => name,
    };
    let header = header_name(header, &at.field("http_header_name"))?;
    Ok(Destination {
        port: port.map_err(|_| port_at.error("must be at most 65535"))?,
        header: use_http_header.then_some(header),
    })
}

fn common(
    message: Option<CommonLbConfig>,
    is_typed: bool,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Settings> {
    let mut settings = Settings::default();
    let message = message.unwrap_or_default();
    fields!(cx, at, message => CommonLbConfig {
        used: healthy_panic_threshold, locality_config_specifier, update_merge_window;
        ignored:
            ignore_new_hosts_until_first_hc = "there are no active health checks",
            consistent_hashing_lb_config = "there is no consistent hashing",
            override_host_status = "no filter names hosts";
        refused: close_connections_on_host_set_change = "closing connections when hosts change";
    });
    let at_panic = at.field("healthy_panic_threshold");
    let hundredths =
        percent(healthy_panic_threshold, settings.panic_threshold_percent * 100, &at_panic, cx)?;
    let configured = (hundredths + 50) / 100;
    let runtime = cx.runtime.integer("upstream.healthy_panic_threshold");
    settings.panic_threshold_percent =
        runtime.map_or(configured, |value| u32::try_from(value).unwrap_or(100).min(100));
    let window_at = at.field("update_merge_window");
    if duration(update_merge_window, &window_at)?.is_some() {
        cx.note_ignored(&window_at, "updates take effect at once");
    }
    if is_typed && locality_config_specifier.is_some() {
        return Err(at.error("cannot say how localities are balanced beside load_balancing_policy"));
    }
    match locality_config_specifier {
        None => {}
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(message)) => {
            let at = at.field("zone_aware_lb_config");
            fields!(cx, at, message => ZoneAwareLbConfig {
                used: routing_enabled, fail_traffic_on_panic;
                ignored: min_cluster_size = "hosts of the own zone are not preferred yet";
            });
            percent(routing_enabled, 10_000, &at.field("routing_enabled"), cx)?;
            cx.note_ignored(&at, NO_ZONES);
            settings.fail_traffic_on_panic = fail_traffic_on_panic;
        }
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(message)) => {
            let at = at.field("locality_weighted_lb_config");
            fields!(cx, at, message => LocalityWeightedLbConfig {});
            settings.locality_weighted = true;
        }
    }
    Ok(settings)
}

/// The first policy of a list that Envoy knows.
fn first_known(
    message: LoadBalancingPolicy,
    mut settings: Settings,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Settings> {
    fields!(cx, at, message => LoadBalancingPolicy { used: policies; });
    let at = at.field("policies");
    for (index, message) in policies.into_iter().enumerate() {
        let at = at.index(index);
        fields!(cx, at, message => PolicyMessage { used: typed_extension_config; });
        let at = at.field("typed_extension_config");
        let (name, config) = extension(required(typed_extension_config, &at)?, &at, cx);
        let name = non_empty(name, &at.field("name"))?;
        let at = at.field("typed_config");
        let config = required(config, &at)?;
        let package = any::type_name(&config.type_url)
            .and_then(|name| name.strip_prefix("envoy.extensions.load_balancing_policies."))
            .and_then(|name| name.split('.').next())
            .unwrap_or_default();
        let localities = match package {
            "round_robin" => {
                let message: RoundRobinMessage = decode(&config, &at)?;
                fields!(cx, at, message => RoundRobinMessage {
                    used: locality_lb_config;
                    refused: slow_start_config = "a slow start";
                });
                settings.policy = Policy::RoundRobin(RoundRobin);
                locality_lb_config
            }
            "random" => {
                let message: RandomMessage = decode(&config, &at)?;
                fields!(cx, at, message => RandomMessage { used: locality_lb_config; });
                settings.policy = Policy::Random(Random);
                locality_lb_config
            }
            "least_request" => {
                let (policy, localities) = typed_least_request(decode(&config, &at)?, &at, cx)?;
                settings.policy = policy;
                localities
            }
            absent if ABSENT.contains(&absent) => {
                return Err(at.unsupported(format_args!("the policy {name}")));
            }
            _ => {
                cx.note_ignored(&at, "the policy is not known");
                continue;
            }
        };
        if let Some(message) = localities {
            self::localities(message, &mut settings, &at.field("locality_lb_config"), cx)?;
        }
        return Ok(settings);
    }
    Err(at.error("holds no policy that is known"))
}

fn typed_least_request(
    message: LeastRequestMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(Policy, Option<LocalityLbConfig>)> {
    fields!(cx, at, message => LeastRequestMessage {
        used: choice_count, active_request_bias, locality_lb_config, enable_full_scan,
            selection_method;
        refused: slow_start_config = "a slow start";
    });
    let method = enumeration(selection_method, &at.field("selection_method"))?;
    if bool_or(enable_full_scan, false) {
        return Err(at.field("enable_full_scan").unsupported("a look at all hosts"));
    }
    match method {
        SelectionMethod::NChoices => {}
        SelectionMethod::FullScan => {
            return Err(at.field("selection_method").unsupported("a look at all hosts"));
        }
    }
    Ok((least_request(choice_count, active_request_bias, at, cx)?, locality_lb_config))
}

fn least_request(
    choice_count: Option<UInt32Value>,
    active_request_bias: Option<RuntimeDouble>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Policy> {
    let choices = choice_count.map_or(2, |count| count.value);
    if choices < 2 {
        return Err(at.field("choice_count").error("must be at least 2"));
    }
    let bias = match active_request_bias {
        None => 1.0,
        Some(message) => {
            let at = at.field("active_request_bias");
            fields!(cx, at, message => RuntimeDouble {
                used: default_value;
                ignored: runtime_key = "runtime values are whole numbers and shares";
            });
            if default_value < 0.0 || !default_value.is_finite() {
                return Err(at.field("default_value").error("must be at least 0"));
            }
            default_value
        }
    };
    Ok(Policy::LeastRequest(LeastRequest::new(choices, bias)))
}

fn localities(
    message: LocalityLbConfig,
    settings: &mut Settings,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<()> {
    fields!(cx, at, message => LocalityLbConfig { used: locality_config_specifier; });
    match required(locality_config_specifier, at)? {
        TypedSpecifier::ZoneAwareLbConfig(message) => {
            let at = at.field("zone_aware_lb_config");
            fields!(cx, at, message => TypedZoneAware {
                used: routing_enabled, fail_traffic_on_panic;
                ignored:
                    min_cluster_size = "hosts of the own zone are not preferred yet",
                    force_locality_direct_routing = "hosts of the own zone are not preferred yet",
                    force_local_zone = "hosts of the own zone are not preferred yet",
                    locality_basis = "hosts of the own zone are not preferred yet";
            });
            percent(routing_enabled, 10_000, &at.field("routing_enabled"), cx)?;
            cx.note_ignored(&at, NO_ZONES);
            settings.fail_traffic_on_panic = fail_traffic_on_panic;
        }
        TypedSpecifier::LocalityWeightedLbConfig(message) => {
            let at = at.field("locality_weighted_lb_config");
            fields!(cx, at, message => TypedWeighted {});
            settings.locality_weighted = true;
        }
    }
    Ok(())
}
