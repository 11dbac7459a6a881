//! What the fields of a cluster become, and what holds where they say nothing.

use std::time::Duration;

use outrigger_policy::breaker::Thresholds;
use outrigger_policy::lb::{LeastRequest, Policy, Random, RoundRobin, Settings};
use outrigger_policy::retry::RetryBudget;

use super::*;
use crate::config::{Runtime, Source};
use crate::telemetry::metrics::{ClusterStat, RemainingStat, StatsSpec};
use crate::upstream::cluster::{HttpSettings, HttpVersion, TcpKeepalive};
use crate::upstream::dns::{Family, Refresh, Servers};
use crate::upstream::transport::Transport;

const SECOND: Duration = Duration::from_secs(1);

fn ignored(yaml: &str) -> Vec<String> {
    let (spec, ignored) = translated(|at, cx| cluster(read(yaml), at, cx));
    spec.unwrap();
    ignored.into_iter().map(|field| field.path).collect()
}

#[test]
fn a_cluster_that_says_nothing_has_envoys_defaults() {
    let spec = spec("{name: c}");
    assert_eq!(&*spec.name, "c");
    assert_eq!(spec.stats_prefix(), "cluster.c.");
    assert!(matches!(&spec.discovery, Discovery::Static(hosts) if hosts.localities.is_empty()));
    let settings = &spec.settings;
    assert_eq!(settings.connect_timeout, 5 * SECOND);
    assert_eq!(settings.buffer_limit_bytes, 1 << 20);
    assert_eq!(settings.balancing, Settings::default());
    assert_eq!(settings.balancing.panic_threshold_percent, 50);
    assert_eq!(&*settings.observability_name, "c");
    assert!(matches!(*settings.transports.default, Transport::Plain));
    assert!(settings.transports.matches.is_empty() && settings.bind_addresses.is_empty());
    assert!(settings.keepalive.is_none() && spec.outliers.is_none());
    assert_eq!((spec.limits.default, spec.limits.high), Default::default());
    let http = &settings.http;
    assert_eq!(http.version, HttpVersion::Http1);
    assert_eq!(http.idle_timeout, Some(3600 * SECOND));
    assert_eq!((http.max_response_headers, http.max_response_head_bytes), (100, 80 << 10));
    assert_eq!((http.max_requests_per_connection, http.max_concurrent_streams), (0, 1024));
    assert!(http.max_connection_duration.is_none() && http.max_stream_duration.is_none());
    assert!(!http.enable_trailers && http.requested_name.is_none());
    // A cluster that cannot be used has the same.
    let unusable = ClusterSpec::unusable("c".into());
    assert_eq!(format!("{unusable:?}"), format!("{spec:?}"));
}

#[test]
fn names_in_stats_and_settings_are_taken_over() {
    let spec = spec(
        "{name: a, alt_stat_name: b, connect_timeout: 0.25s, per_connection_buffer_limit_bytes: 7, \
         upstream_bind_config: {source_address: {address: 127.0.0.6, port_value: 0}, \
         extra_source_addresses: [{address: {address: \"::6\", port_value: 3}}]}, \
         upstream_connection_options: {tcp_keepalive: {keepalive_probes: 3, keepalive_time: 60}}, \
         metadata: {filter_metadata: {istio: {services: [{host: h}], n: 1, on: true, no: null}}}}",
    );
    assert_eq!(spec.stats_prefix(), "cluster.b.");
    let settings = &spec.settings;
    assert_eq!(&*settings.observability_name, "b");
    assert_eq!(settings.connect_timeout, Duration::from_millis(250));
    assert_eq!(settings.buffer_limit_bytes, 7);
    let addresses: Vec<_> = settings.bind_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.6:0", "[::6]:3"]);
    let keepalive = TcpKeepalive { probes: Some(3), time: Some(60 * SECOND), interval: None };
    assert_eq!(settings.keepalive, Some(keepalive));
    let istio = settings.metadata.of("istio").unwrap();
    let expected = serde_json::json!({"services": [{"host": "h"}], "n": 1, "on": true, "no": null});
    assert_eq!(serde_json::Value::Object(istio.clone()), expected);
    assert!(settings.metadata.of("other").is_none());
}

#[test]
fn endpoints_are_discovered_under_the_clusters_name_or_their_own() {
    for (service, expected) in [("", "c"), ("service_name: s,", "s")] {
        let spec = spec(&format!(
            "{{name: c, type: EDS, eds_cluster_config: {{{service} eds_config: {{ads: {{}}, initial_fetch_timeout: 0s}}}}}}"
        ));
        let Discovery::Eds { service_name, from } = spec.discovery else { panic!("{service}") };
        assert_eq!(&*service_name, expected);
        assert_eq!((from.source, from.initial_fetch_timeout), (Source::Ads, None));
    }
}

fn names(fields: &str) -> Arc<Names> {
    let hosts = "load_assignment: {cluster_name: c, policy: {overprovisioning_factor: 100}, endpoints: [{priority: 1, \
        load_balancing_weight: 9, locality: {region: r}, lb_endpoints: [{load_balancing_weight: 3, endpoint: {address: \
        {socket_address: {address: foo.com, port_value: 80}}}}]}]}";
    let Discovery::Dns(names) = spec(&format!("{{name: c, {hosts}, {fields}}}")).discovery else {
        panic!("{fields}")
    };
    names
}

#[test]
fn names_are_resolved_every_five_seconds_by_the_machines_servers() {
    let kind = "cluster_type: {name: n, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster}}";
    for (kind, is_logical) in
        [("type: STRICT_DNS", false), ("type: LOGICAL_DNS", true), (kind, false)]
    {
        let names = names(kind);
        assert_eq!(names.is_logical, is_logical);
        let refresh = Refresh {
            interval: 5 * SECOND,
            least: Duration::ZERO,
            failure: None,
            respects_ttl: false,
            jitter: Duration::ZERO,
        };
        assert_eq!(names.refresh, refresh);
        assert_eq!((names.family, &names.servers), (Family::Auto, &Servers::default()));
        assert_eq!(names.overprovisioning_percent, 100);
        let [locality] = names.localities.as_slice() else { panic!() };
        assert_eq!((locality.weight, locality.priority), (9, 1));
        let [name] = locality.names.as_slice() else { panic!() };
        assert_eq!((&*name.name, &*name.like.hostname), ("foo.com", "foo.com"));
        assert_eq!((name.like.address.port(), name.like.weight), (Some(80), 3));
        assert_eq!(&*name.like.locality.region, "r");
    }
}

#[test]
fn both_ways_to_say_how_names_are_resolved_say_the_same() {
    let common = "dns_refresh_rate: 60s, dns_jitter: 0.1s, respect_dns_ttl: true, dns_failure_refresh_rate: {base_interval: 2s}, \
        dns_lookup_family: V4_PREFERRED, typed_dns_resolver_config: {name: r, typed_config: {\"@type\": \
        type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, resolvers: [{socket_address: \
        {address: 10.0.0.1, port_value: 0}}], dns_resolver_options: {use_tcp_for_dns_lookups: true, no_default_search_domain: true}}}";
    let typed = format!(
        "cluster_type: {{name: n, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, \
         {common}, dns_min_refresh_rate: 3s, all_addresses_in_single_endpoint: true}}}}"
    );
    for (kind, least) in [(format!("type: LOGICAL_DNS, {common}"), 0), (typed, 3)] {
        let names = names(&kind);
        assert!(names.is_logical);
        let refresh = Refresh {
            interval: 60 * SECOND,
            least: least * SECOND,
            failure: Some((2 * SECOND, 20 * SECOND)),
            respects_ttl: true,
            jitter: Duration::from_millis(100),
        };
        assert_eq!(names.refresh, refresh);
        assert_eq!(names.family, Family::V4Preferred);
        let addresses = vec!["10.0.0.1:53".parse().unwrap()];
        assert_eq!(names.servers, Servers { addresses, uses_tcp: true, is_absolute: true });
    }
}

#[test]
fn servers_may_be_said_in_three_ways_of_which_the_newest_holds() {
    let server = |last| format!("[{{socket_address: {{address: 10.0.0.{last}, port_value: 53}}}}]");
    let oldest = format!("dns_resolvers: {}, use_tcp_for_dns_lookups: true", server(1));
    let older = format!("dns_resolution_config: {{resolvers: {}}}", server(2));
    let newest = "typed_dns_resolver_config: {name: r, typed_config: {\"@type\": \
        type.googleapis.com/envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig}}";
    for (fields, address, uses_tcp) in [
        (oldest.clone(), Some("10.0.0.1:53"), true),
        (format!("{oldest}, {older}"), Some("10.0.0.2:53"), false),
        (format!("{oldest}, {older}, {newest}"), None, false),
    ] {
        let names = names(&format!("type: STRICT_DNS, {fields}"));
        let addresses: Vec<_> = address.map(|text| text.parse().unwrap()).into_iter().collect();
        assert_eq!(names.servers, Servers { addresses, uses_tcp, is_absolute: false });
    }
}

#[test]
fn limits_are_taken_over_by_priority() {
    let spec = spec(
        "{name: c, circuit_breakers: {thresholds: [{max_connections: 1, max_retries: 9, track_remaining: true}, \
         {priority: HIGH, max_pending_requests: 2, max_requests: 3, retry_budget: {}}, {max_connections: 7}]}}",
    );
    let default = Thresholds { max_connections: 1, max_retries: 9, ..Thresholds::default() };
    assert_eq!(spec.limits.default, default);
    let retry_budget = Some(RetryBudget::new(20.0, 3));
    let high = Thresholds {
        max_pending_requests: 2,
        max_requests: 3,
        retry_budget,
        ..Thresholds::default()
    };
    assert_eq!(spec.limits.high, high);
    assert_eq!(spec.settings.tracks_remaining, [RoutingPriority::Default]);
}

#[test]
fn runtime_values_go_before_those_of_the_message() {
    let registry = Registry::new(StatsSpec::default(), 1).unwrap();
    let mut runtime = Runtime::default();
    let layer = read::<outrigger_xds_api::google::protobuf::Struct>(
        "{circuit_breakers.c.default.max_requests: 5, outlier_detection.consecutive_5xx: 2, \
         outlier_detection.interval_ms: 250, upstream.healthy_panic_threshold: 10}",
    );
    runtime.push("layer", layer).unwrap();
    let cx = Cx::new(&registry).with_runtime(&runtime);
    let yaml = "{name: c, circuit_breakers: {thresholds: [{max_requests: 1}]}, outlier_detection: {interval: 1s}, \
        common_lb_config: {healthy_panic_threshold: {value: 90}}}";
    let spec = cluster(read(yaml), &At::root(""), &cx).unwrap();
    assert_eq!((spec.limits.default.max_requests, spec.limits.high.max_requests), (5, 1024));
    let outliers = spec.outliers.unwrap();
    assert_eq!((outliers.consecutive_5xx, outliers.interval), (2, Duration::from_millis(250)));
    assert_eq!(spec.settings.balancing.panic_threshold_percent, 10);
}

fn outliers(fields: &str) -> OutlierPolicy {
    let spec = spec(&format!("{{name: c, outlier_detection: {{{fields}}}}}"));
    (*spec.outliers.unwrap()).clone()
}

#[test]
fn outlier_detection_that_says_nothing_has_envoys_defaults() {
    assert_eq!(outliers(""), OutlierPolicy::default());
    // A host is never out for less than the base time.
    assert_eq!(outliers("base_ejection_time: 400s").max_ejection_time, 400 * SECOND);
    assert_eq!(outliers("base_ejection_time: 4s").max_ejection_time, 300 * SECOND);
}

#[test]
fn every_field_of_outlier_detection_is_taken_over() {
    let policy = outliers(
        "consecutive_5xx: 1, interval: 2s, base_ejection_time: 3s, max_ejection_percent: 4, enforcing_consecutive_5xx: 5, \
         enforcing_success_rate: 6, success_rate_minimum_hosts: 7, success_rate_request_volume: 8, success_rate_stdev_factor: 9, \
         consecutive_gateway_failure: 10, enforcing_consecutive_gateway_failure: 11, split_external_local_origin_errors: true, \
         consecutive_local_origin_failure: 13, enforcing_consecutive_local_origin_failure: 14, enforcing_local_origin_success_rate: 15, \
         failure_percentage_threshold: 16, enforcing_failure_percentage: 17, enforcing_failure_percentage_local_origin: 18, \
         failure_percentage_minimum_hosts: 19, failure_percentage_request_volume: 20, max_ejection_time: 21s, \
         max_ejection_time_jitter: 22s, successful_active_health_check_uneject_host: false, always_eject_one_host: true",
    );
    let expected = OutlierPolicy {
        consecutive_5xx: 1,
        consecutive_gateway_failure: 10,
        consecutive_local_origin_failure: 13,
        splits_local_origin: true,
        enforcing: outrigger_policy::outlier::Enforcing {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 11,
            consecutive_local_origin_failure: 14,
            success_rate: 6,
            local_origin_success_rate: 15,
            failure_percentage: 17,
            local_origin_failure_percentage: 18,
        },
        success_rate_minimum_hosts: 7,
        success_rate_request_volume: 8,
        success_rate_stdev_factor: 9,
        failure_percentage_threshold: 16,
        failure_percentage_minimum_hosts: 19,
        failure_percentage_request_volume: 20,
        interval: 2 * SECOND,
        base_ejection_time: 3 * SECOND,
        max_ejection_time: 21 * SECOND,
        max_ejection_time_jitter: 22 * SECOND,
        max_ejection_percent: 4,
        always_eject_one_host: true,
        check_unejects: false,
    };
    assert_eq!(policy, expected);
}

fn balancing(fields: &str) -> Settings {
    spec(&format!("{{name: c, {fields}}}")).settings.balancing
}

#[test]
fn load_is_balanced_as_the_list_says_or_the_enumeration() {
    let list = |package: &str, name: &str, more: &str| {
        let url = format!(
            "type.googleapis.com/envoy.extensions.load_balancing_policies.{package}.v3.{name}"
        );
        format!(
            "lb_policy: MAGLEV, load_balancing_policy: {{policies: [{{typed_extension_config: {{name: unknown, typed_config: \
             {{\"@type\": type.googleapis.com/envoy.config.core.v3.Node}}}}}}, {{typed_extension_config: {{name: p, \
             typed_config: {{\"@type\": {url}, {more}}}}}}}]}}"
        )
    };
    let weighted = "locality_lb_config: {locality_weighted_lb_config: {}}";
    let least = Policy::LeastRequest(LeastRequest::new(3, 0.5));
    let options = "choice_count: 3, active_request_bias: {default_value: 0.5, runtime_key: k}";
    for (fields, policy, locality_weighted) in [
        ("lb_policy: ROUND_ROBIN".into(), Policy::RoundRobin(RoundRobin), false),
        ("lb_policy: RANDOM".into(), Policy::Random(Random), false),
        ("lb_policy: LEAST_REQUEST".into(), Policy::LeastRequest(LeastRequest::new(2, 1.0)), false),
        (
            format!("lb_policy: LEAST_REQUEST, least_request_lb_config: {{{options}}}"),
            least.clone(),
            false,
        ),
        ("common_lb_config: {locality_weighted_lb_config: {}}".into(), Policy::default(), true),
        (list("random", "Random", weighted), Policy::Random(Random), true),
        (list("round_robin", "RoundRobin", ""), Policy::RoundRobin(RoundRobin), false),
        (list("least_request", "LeastRequest", options), least, false),
    ] {
        let settings = balancing(&fields);
        assert_eq!(
            (settings.policy, settings.locality_weighted),
            (policy, locality_weighted),
            "{fields}"
        );
    }
}

#[test]
fn panic_begins_at_a_rounded_percentage_and_may_stop_traffic() {
    let settings = balancing("common_lb_config: {healthy_panic_threshold: {value: 30.5}}");
    assert_eq!((settings.panic_threshold_percent, settings.fail_traffic_on_panic), (31, false));
    let settings = balancing(
        "common_lb_config: {healthy_panic_threshold: {value: 0}, zone_aware_lb_config: {fail_traffic_on_panic: true}}",
    );
    assert_eq!((settings.panic_threshold_percent, settings.fail_traffic_on_panic), (0, true));
}

fn http(fields: &str) -> HttpSettings {
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    spec(&format!(
        "{{name: c, typed_extension_protocol_options: {{{name}: {{\"@type\": type.googleapis.com/{name}, {fields}}}}}}}"
    ))
    .settings
    .http
}

#[test]
fn http_is_spoken_as_the_options_say() {
    let settings = http(
        "explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 100, initial_stream_window_size: 65535, \
         initial_connection_window_size: 70000}}, common_http_protocol_options: {idle_timeout: 0s, max_requests_per_connection: 7, \
         max_connection_duration: 600s, max_stream_duration: 5s, max_headers_count: 8, max_response_headers_kb: 9}, \
         upstream_http_protocol_options: {auto_sni: true, override_auto_sni_header: x-host}",
    );
    assert_eq!(settings.version, HttpVersion::Http2);
    assert_eq!((settings.max_concurrent_streams, settings.stream_window), (100, 65535));
    assert_eq!(settings.connection_window, 70_000);
    assert_eq!((settings.idle_timeout, settings.max_requests_per_connection), (None, 7));
    assert_eq!(settings.max_connection_duration, Some(600 * SECOND));
    assert_eq!(settings.max_stream_duration, Some(5 * SECOND));
    assert_eq!((settings.max_response_headers, settings.max_response_head_bytes), (8, 9 << 10));
    assert!(settings.requested_name.unwrap().header.is_some());
    let settings = http("explicit_http_config: {http_protocol_options: {enable_trailers: true}}");
    assert_eq!((settings.version, settings.enable_trailers), (HttpVersion::Http1, true));
    let settings = http(
        "use_downstream_protocol_config: {http2_protocol_options: {max_concurrent_streams: 5}}",
    );
    assert_eq!((settings.version, settings.max_concurrent_streams), (HttpVersion::Downstream, 5));
}

#[test]
fn what_clusters_said_before_holds_without_the_options() {
    let old = |fields: &str| spec(&format!("{{name: c, {fields}}}")).settings.http;
    assert_eq!(old("http2_protocol_options: {}").version, HttpVersion::Http2);
    assert_eq!(old("protocol_selection: USE_DOWNSTREAM_PROTOCOL").version, HttpVersion::Downstream);
    let settings =
        old("common_http_protocol_options: {idle_timeout: 5s}, max_requests_per_connection: 3");
    assert_eq!(
        (settings.idle_timeout, settings.max_requests_per_connection),
        (Some(5 * SECOND), 3)
    );
    assert!(old("upstream_http_protocol_options: {auto_sni: true}").requested_name.is_some());
}

#[test]
fn a_hosts_labels_or_those_of_its_locality_choose_the_transport() {
    let url = "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
    let raw = format!("transport_socket: {{name: raw, typed_config: {{\"@type\": {url}}}}}");
    let label = |value| {
        format!(
            "metadata: {{filter_metadata: {{envoy.transport_socket_match: {{a: {value}, k: 1}}}}}}"
        )
    };
    let host = |more: &str, last: u8| {
        format!(
            "{{endpoint: {{address: {{socket_address: {{address: 10.0.0.{last}, port_value: 80}}}}}}, {more}}}"
        )
    };
    let spec = spec(&format!(
        "{{name: c, transport_socket_matches: [{{name: one, match: {{a: x}}, {raw}}}, {{name: two, match: {{a: w}}, {raw}}}], \
         load_assignment: {{cluster_name: c, endpoints: [{{lb_endpoints: [{}, {}]}}, {{{}, lb_endpoints: [{}]}}]}}}}",
        host(&label("w"), 1),
        host(&label("z"), 2),
        label("x"),
        host("", 3),
    ));
    let Discovery::Static(assignment) = &spec.discovery else { panic!() };
    let hosts: Vec<_> = assignment.localities.iter().flat_map(|locality| &locality.hosts).collect();
    let transports = &spec.settings.transports;
    let wanted = [&transports.matches[1].1, &transports.default, &transports.matches[0].1];
    for (host, wanted) in hosts.into_iter().zip(wanted) {
        assert!(Arc::ptr_eq(&host.transport, wanted), "{}", host.address);
    }
}

#[test]
fn what_has_no_effect_is_noted() {
    for (fields, path) in [
        ("wait_for_warm_on_init: false", "wait_for_warm_on_init"),
        ("circuit_breakers: {thresholds: [{}, {}]}", "circuit_breakers.thresholds[1]"),
        ("common_lb_config: {update_merge_window: 1s}", "common_lb_config.update_merge_window"),
        ("common_lb_config: {zone_aware_lb_config: {}}", "common_lb_config.zone_aware_lb_config"),
    ] {
        assert_eq!(ignored(&format!("{{name: c, {fields}}}")), [path]);
    }
}

#[test]
fn a_cluster_is_built_with_its_limits_detection_and_counters() {
    let registry = Registry::new(StatsSpec::default(), 1).unwrap();
    let spec = spec(
        "{name: c, alt_stat_name: s, outlier_detection: {}, circuit_breakers: {thresholds: [{max_requests: 1, track_remaining: true}]}}",
    );
    let cluster = spec.build(&registry);
    assert_eq!(&*cluster.name, "c");
    assert!(cluster.outliers.is_some() && cluster.hosts().load().hosts.is_empty());
    let breaker = cluster.breakers.of(RoutingPriority::Default);
    let held = breaker.requests().try_acquire();
    assert!(held.is_some());
    cluster.publish_gauges();
    let stats = registry.stats::<ClusterStat>("cluster.s.");
    assert_eq!(stats.level(ClusterStat::default_rq_open), 1);
    assert_eq!(stats.level(ClusterStat::default_cx_open), 0);
    assert_eq!(stats.level(ClusterStat::high_rq_open), 0);
    let remaining = registry.stats::<RemainingStat>("cluster.s.circuit_breakers.default.");
    assert_eq!(remaining.level(RemainingStat::remaining_rq), 0);
    assert_eq!(remaining.level(RemainingStat::remaining_cx), 1024);
    drop(held);
    cluster.publish_gauges();
    assert_eq!(stats.level(ClusterStat::default_rq_open), 0);
}
