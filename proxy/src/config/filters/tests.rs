//! What the filters' messages become. Their refusals are in the table of route configurations.

use std::time::Duration;

use outrigger_policy::authz::{PeerIdentity, Request};
use outrigger_policy::fault::{ABORT_BODY, AbortStatus, AbortWith, DelayBy};
use outrigger_policy::fraction::{Denominator, Fraction};
use outrigger_policy::head::{Name, RequestHead};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::rbac::v3::permission::Rule;
use outrigger_xds_api::envoy::config::rbac::v3::principal::Identifier;
use outrigger_xds_api::envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac as Rules};
use outrigger_xds_api::envoy::extensions::filters::http::cors::v3::Cors;
use outrigger_xds_api::envoy::extensions::filters::http::fault::v3::HttpFault;
use outrigger_xds_api::envoy::extensions::filters::http::rbac::v3::{Rbac, RbacPerRoute};
use outrigger_xds_api::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;

use super::*;
use crate::config::route::tests::{read, translated};
use crate::http::filters::RbacFilter;
use crate::telemetry::metrics::{Registry, StatsQuery, StatsSpec, write_text};

fn fault_of(yaml: &str) -> outrigger_policy::fault::Fault {
    translated(|at, cx| fault(read::<HttpFault>(yaml), at, cx)).0.unwrap()
}

#[test]
fn faults_are_what_they_say() {
    let fault = fault_of("{}");
    assert!(fault.delay.is_none() && fault.abort.is_none() && fault.upstream_cluster.is_none());
    assert!(fault.headers.is_empty() && fault.downstream_nodes.is_empty());
    assert_eq!(fault.max_active_faults, None);

    let fault = fault_of(
        "{delay: {fixed_delay: 1.5s, percentage: {numerator: 3, denominator: MILLION}}, abort: {http_status: 503}, \
         upstream_cluster: c, headers: [{name: a}], downstream_nodes: [n], max_active_faults: 0}",
    );
    let delay = fault.delay.unwrap();
    assert!(matches!(delay.by, DelayBy::Fixed(by) if by == Duration::from_millis(1500)));
    assert_eq!(delay.percentage, Fraction::new(3, Denominator::Million));
    let abort = fault.abort.unwrap();
    assert!(matches!(abort.with, AbortWith::Status(AbortStatus::Http(503))));
    assert_eq!(abort.percentage, Fraction::new(0, Denominator::Hundred), "unset, it is none");
    assert_eq!(&*abort.body, ABORT_BODY);
    assert_eq!((fault.upstream_cluster.as_deref(), fault.headers.len()), (Some("c"), 1));
    assert_eq!((&*fault.downstream_nodes, fault.max_active_faults), (&["n".into()][..], Some(0)));

    let fault = fault_of("{delay: {header_delay: {}}, abort: {grpc_status: 99, response_body: x}}");
    assert!(matches!(fault.delay.unwrap().by, DelayBy::Header));
    let abort = fault.abort.unwrap();
    assert!(matches!(abort.with, AbortWith::Status(AbortStatus::Grpc(99))));
    assert_eq!(&*abort.body, "x");
    let fault = fault_of("{abort: {header_abort: {}}}");
    assert!(matches!(fault.abort.unwrap().with, AbortWith::Header));
}

#[test]
fn cross_origin_policies_are_what_they_say() {
    let level = |yaml: &str| translated(|at, cx| cors_level(read(yaml), at, cx)).0.unwrap();
    let unset = level("{}");
    assert!(unset.allow_origins.is_empty() && unset.allow_methods.is_empty());
    assert_eq!((unset.allow_credentials, unset.allow_private_network), (None, None));
    assert!(unset.forward_not_matching_preflights.is_none());
    assert_eq!((unset.filter_enabled, unset.shadow_enabled), (None, None));
    let full = level(
        "{allow_origin_string_match: [{prefix: a}, {exact: b}], allow_methods: m, allow_headers: h, expose_headers: e, max_age: '1', \
         allow_credentials: false, allow_private_network_access: true, forward_not_matching_preflights: false, \
         filter_enabled: {default_value: {numerator: 5}}, shadow_enabled: {default_value: {numerator: 6}}}",
    );
    assert_eq!(full.allow_origins.len(), 2);
    let texts = [&full.allow_methods, &full.allow_headers, &full.expose_headers, &full.max_age];
    assert_eq!(texts.map(|text| &**text), ["m", "h", "e", "1"]);
    assert_eq!((full.allow_credentials, full.allow_private_network), (Some(false), Some(true)));
    assert_eq!(full.forward_not_matching_preflights, Some(false));
    let percent = |numerator| Some(Fraction::new(numerator, Denominator::Hundred));
    assert_eq!((full.filter_enabled, full.shadow_enabled), (percent(5), percent(6)));
}

/// Observed on Envoy 1.40.
#[test]
fn stats_have_the_names_of_envoy() {
    let registry = Registry::new(StatsSpec::default(), 1).unwrap();
    let cx = Cx::new(&registry);
    let at = At::root("");
    let rbac = "{rules: {}, rules_stat_prefix: rules, shadow_rules: {}, shadow_rules_stat_prefix: 'shad.'}";
    let kept = [
        any::encode(&read::<Rbac>(rbac)),
        any::encode(&HttpFault::default()),
        any::encode(&Cors::default()),
    ]
    .map(|config| http_filter(&config, &at, &cx, "p", Direction::Inbound).unwrap());
    let network = |yaml: &str| rbac::network(read::<NetworkRbac>(yaml), &at, &cx).unwrap();
    let networks = [
        network("{stat_prefix: 'tcp.', rules: {}, shadow_rules: {}, shadow_rules_stat_prefix: y}"),
        network("{stat_prefix: nodot}"),
    ];
    let mut text = Vec::new();
    write_text(&registry, &StatsQuery::default(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for name in [
        "http.p.rbac.rules.allowed",
        "http.p.rbac.shad.shadow_denied",
        "http.p.fault.active_faults",
        "http.p.cors.origin_valid",
        "tcp.rbac.denied",
        "tcp.rbac.y.shadow_allowed",
        "nodot.rbac.allowed",
    ] {
        assert!(text.contains(&format!("{name}: 0\n")), "{name}\n{text}");
    }
    drop((kept, networks));
}

#[test]
fn types_that_are_not_filters_of_ours_are_told() {
    let (known, _) = translated(|at, cx| {
        let of = |name: &str| {
            let config = Any { type_url: format!("x/{name}"), value: Vec::new() };
            http_filter(&config, at, cx, "p", Direction::Inbound).unwrap()
        };
        [
            of("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"),
            of("stats.PluginConfig"),
            of("envoy.extensions.filters.http.rbac.v3.RBACPerRoute"),
            of(""),
        ]
    });
    assert!(
        matches!(
            known,
            [
                Known::Filter(Filter::GrpcStats(_)),
                Known::Filter(Filter::IstioStats(_)),
                Known::No,
                Known::No
            ]
        ),
        "{known:?}"
    );
}

/// The decision about `path` with a header, by a peer of this name, from 10.0.0.1 to port 80.
fn allows(filter: &RbacFilter, path: &str, peer: &str) -> bool {
    let mut head = RequestHead::new(b"GET", b"a", path.as_bytes());
    head.headers.append_name(&Name::new("x-role"), b"7");
    let peer = PeerIdentity { uri_sans: [peer.into()].into(), ..PeerIdentity::default() };
    let request = Request {
        head: Some(&head),
        source: "10.0.0.1".parse().ok(),
        direct_remote: "10.0.0.1".parse().ok(),
        remote: "10.0.0.1".parse().ok(),
        destination: "10.9.9.9:80".parse().ok(),
        sni: Some("sni"),
        peer: Some(&peer),
    };
    filter.config.engine.decide(&request).denial().is_none()
}

fn rules(yaml: &str) -> RbacFilter {
    let message = read::<Rbac>(&format!("{{rules: {{{yaml}}}}}"));
    translated(|at, cx| rbac::filter(message, at, cx, "")).0.unwrap()
}

#[test]
fn each_test_of_a_rule_asks_what_it_says() {
    const TEMPLATE: &str = "{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, \
                            path_template: '/a/*'}}";
    for (permission, is_met) in [
        ("any: true", true),
        ("header: {name: x-role, range_match: {start: 7, end: 8}}", true),
        ("header: {name: x-role, string_match: {exact: '8'}}", false),
        ("url_path: {path: {prefix: /a}}", true),
        ("url_path: {path: {exact: /a}}", false),
        (&*format!("uri_template: {TEMPLATE}"), true),
        ("destination_ip: {address_prefix: 10.9.0.0, prefix_len: 16}", true),
        ("destination_ip: {address_prefix: 10.9.9.9}", true),
        ("destination_ip: {address_prefix: 10.8.0.0, prefix_len: 99}", false),
        ("destination_port: 80", true),
        ("destination_port: 81", false),
        ("destination_port_range: {start: 80, end: 81}", true),
        ("destination_port_range: {start: 79, end: 80}", false),
        ("requested_server_name: {exact: sni}", true),
        ("not_rule: {any: true}", false),
        ("and_rules: {rules: [{destination_port: 80}, {destination_port: 81}]}", false),
        ("or_rules: {rules: [{destination_port: 80}, {destination_port: 81}]}", true),
    ] {
        let policy = format!("{{permissions: [{{{permission}}}], principals: [{{any: true}}]}}");
        let filter = rules(&format!("policies: {{p: {policy}}}"));
        assert_eq!(allows(&filter, "/a/b?c", "spiffe://x"), is_met, "{permission}");
    }
    for (principal, is_met) in [
        ("any: true", true),
        ("authenticated: {}", true),
        ("authenticated: {principal_name: {exact: spiffe://x}}", true),
        ("authenticated: {principal_name: {exact: spiffe://y}}", false),
        ("source_ip: {address_prefix: 10.0.0.1, prefix_len: 32}", true),
        ("direct_remote_ip: {address_prefix: 10.0.0.2, prefix_len: 32}", false),
        ("remote_ip: {address_prefix: 10.0.0.0, prefix_len: 8}", true),
        ("header: {name: x-role}", true),
        ("url_path: {path: {suffix: /b}}", true),
        ("not_id: {authenticated: {}}", false),
        ("and_ids: {ids: [{any: true}, {header: {name: nope}}]}", false),
        ("or_ids: {ids: [{any: true}, {header: {name: nope}}]}", true),
    ] {
        let policy = format!("{{permissions: [{{any: true}}], principals: [{{{principal}}}]}}");
        let filter = rules(&format!("policies: {{p: {policy}}}"));
        assert_eq!(allows(&filter, "/a/b?c", "spiffe://x"), is_met, "{principal}");
    }
}

#[test]
fn actions_decide_what_a_match_means() {
    let policy = "policies: {p: {permissions: [{url_path: {path: {exact: /a}}}], principals: [{any: true}]}}";
    for (yaml, on_match, else_) in [
        (policy.to_owned(), true, false),
        (format!("action: DENY, {policy}"), false, true),
        (format!("action: LOG, {policy}"), true, true),
        (String::new(), false, false),
        ("action: DENY".to_owned(), true, true),
    ] {
        let filter = rules(&yaml);
        assert_eq!(
            (allows(&filter, "/a", ""), allows(&filter, "/b", "")),
            (on_match, else_),
            "{yaml}"
        );
    }
    let message = RbacPerRoute { rbac: None };
    let none = translated(|at, cx| rbac::per_route(message, at, cx)).0.unwrap();
    assert!(none.engine.rules.is_none() && none.engine.shadow.is_none(), "nothing is refused");
}

#[test]
fn rules_may_nest_as_deep_as_a_decoder_goes_and_no_deeper() {
    for (depth, is_taken) in [(90, true), (200, false), (5000, false)] {
        let mut rule = Permission { rule: Some(Rule::Any(true)) };
        for _ in 0..depth {
            rule = Permission { rule: Some(Rule::NotRule(Box::new(rule))) };
        }
        let principals = vec![Principal { identifier: Some(Identifier::Any(true)) }];
        let policy = Policy { permissions: vec![rule], principals, ..Policy::default() };
        let rules = Rules { policies: [("p".to_owned(), policy)].into(), ..Rules::default() };
        let config = any::encode(&Rbac { rules: Some(rules), ..Rbac::default() });
        let (taken, _) =
            translated(|at, cx| http_filter(&config, at, cx, "p", Direction::Inbound).is_ok());
        assert_eq!(taken, is_taken, "{depth}");
    }
}

/// A filter that comes as istiod sends it, and what of it has no effect.
fn peer_metadata(json: &str) -> (Result<Known, String>, Vec<String>) {
    let yaml = format!("{{type_url: x/io.istio.http.peer_metadata.Config, value: {json}}}");
    let config = any::encode(&read::<outrigger_xds_api::TypedStruct>(&yaml));
    let (known, ignored) = translated(|at, cx| {
        http_filter(&config, at, cx, "p", Direction::Inbound).map_err(|error| error.to_string())
    });
    (known, ignored.into_iter().map(|ignored| ignored.path).collect())
}

#[test]
fn peer_metadata_comes_as_a_struct_and_other_ways_to_tell_it_are_refused() {
    let (known, ignored) = peer_metadata(
        "{downstream_discovery: [{istio_headers: {}}, {workload_discovery: {}}], \
          downstreamPropagation: [{istio_headers: {skip_external_clusters: true}}], later: 1}",
    );
    let Ok(Known::Filter(Filter::PeerMetadata(filter))) = known else { panic!("{known:?}") };
    assert!(filter.discovers_downstream && !filter.discovers_upstream);
    assert!(filter.tells_downstream.unwrap().skips_external && filter.tells_upstream.is_none());
    let paths: Vec<_> = ignored.iter().map(String::as_str).collect();
    assert_eq!(paths, ["downstream_discovery[1].workload_discovery", "later"]);
    for (json, reason) in [
        ("{upstream_propagation: [{baggage: {}}]}", "baggage"),
        ("{downstream_discovery: [{baggage: {}}]}", "baggage"),
        ("{upstream_discovery: [{upstream_filter_state: {}}]}", "upstream_filter_state"),
        ("{upstream_discovery: {}}", "must be a list"),
        ("{upstream_discovery: [1]}", "must be a list of objects"),
        ("{additional_labels: [1]}", "must be a list of texts"),
    ] {
        let error = peer_metadata(json).0.err().unwrap();
        assert!(error.contains(reason), "{json}: {error}");
    }
}

/// The verdict about a compressor.
fn compressor(yaml: &str) -> Result<Known, String> {
    use outrigger_xds_api::envoy::extensions::filters::http::compressor::v3::Compressor;
    let yaml = yaml.replace("$T", "type.googleapis.com/envoy.extensions.compression");
    let config = any::encode(&read::<Compressor>(&yaml));
    let filter = |at: &At<'_>, cx: &Cx<'_>| http_filter(&config, at, cx, "p", Direction::Inbound);
    translated(|at, cx| filter(at, cx).map_err(|error| error.to_string())).0
}

#[test]
fn gzip_is_written_and_other_encodings_are_told() {
    let library = |config: &str| format!("compressor_library: {{name: l, typed_config: {config}}}");
    let gzip = library(
        "{\"@type\": $T.gzip.compressor.v3.Gzip, compression_level: BEST_COMPRESSION, window_bits: 15}",
    );
    let Ok(Known::Filter(Filter::Compressor(filter))) = compressor(&format!("{{{gzip}}}")) else {
        panic!()
    };
    assert_eq!((filter.level, filter.min_length, filter.content_types.len()), (9, 30, 8));
    for other in ["brotli.compressor.v3.Brotli", "zstd.compressor.v3.Zstd"] {
        let other = library(&format!("{{\"@type\": $T.{other}}}"));
        assert!(matches!(compressor(&format!("{{{other}}}")), Ok(Known::WithoutEffect(_))));
    }
    for (fields, reason) in [
        (String::new(), "compressor_library: is required"),
        (
            library("{\"@type\": $T.gzip.compressor.v3.Gzip, window_bits: 8}"),
            "window_bits: must be between 9 and 15",
        ),
        (
            format!("{gzip}, response_direction_config: {{status_header_enabled: true}}"),
            "status_header_enabled",
        ),
    ] {
        let error = compressor(&format!("{{{fields}}}")).err().unwrap();
        assert!(error.contains(reason), "{error}");
    }
}
