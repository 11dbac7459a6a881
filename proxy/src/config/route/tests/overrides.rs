//! What routes change about filters, held against Envoy 1.40: the answers of a filter with the settings of four levels.

use outrigger_policy::cors::CorsAction;
use outrigger_policy::fault::AbortWith;
use outrigger_policy::head::{Id, RequestHead};
use outrigger_policy::route::{Action, Choice};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::http::filters::FilterOverride;

const OFF: &str =
    "{'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}";
const ON: &str = "{'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, config: {}}";
const UNKNOWN: &str = "{'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, is_optional: true, \
                       config: {'@type': type.googleapis.com/envoy.config.core.v3.Node}}";
const RULES: &str =
    "{'@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute}";

fn fault(status: &str) -> String {
    let abort = format!("{{http_status: {status}, percentage: {{numerator: 100}}}}");
    format!(
        "{{'@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, abort: {abort}}}"
    )
}

fn cors(fields: &str) -> String {
    format!(
        "{{'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy, {fields}}}"
    )
}

/// What holds for filter `f` where table, virtual host, route and weighted cluster say these things about it; nothing is said by an
/// empty text.
fn resolved(levels: [&str; 4]) -> Option<FilterOverride> {
    let [table, host, route, cluster] = levels.map(|setting| match setting {
        "" => String::new(),
        setting => format!("typed_per_filter_config: {{f: {setting}}}, "),
    });
    let cluster = format!("{{{cluster}name: one, weight: 1}}");
    let action = format!("route: {{weighted_clusters: {{clusters: [{cluster}]}}}}");
    let route = format!("{{{route}match: {{prefix: /}}, {action}}}");
    let table = inline(&format!(
        "{{{table}name: t, virtual_hosts: [{{{host}name: v, domains: ['*'], routes: [{route}]}}]}}"
    ));
    let entry = &first_route(&table.unwrap()).payload;
    let Action::Forward(target) = &entry.action else { panic!("{entry:?}") };
    let head = RequestHead::default();
    let Choice::Cluster(cluster) = target.choose(&head, 0) else { panic!("{target:?}") };
    // As the filters' stage does.
    cluster.overrides.of("f").or_else(|| entry.overrides.of("f")).cloned()
}

#[test]
fn a_filter_is_off_or_on_by_the_first_level_and_has_the_first_settings() {
    let faults = ["501", "502", "503", "504"].map(fault);
    let [table, host, route, cluster] = faults.each_ref().map(String::as_str);
    for (levels, expected) in [
        (["", "", "", ""], "unsaid"),
        ([table, host, "", ""], "502"),
        ([table, host, route, ""], "503"),
        ([table, host, route, cluster], "504"),
        ([table, host, ON, ""], "502"),
        ([table, host, OFF, ""], "off"),
        ([table, host, route, ON], "503"),
        ([table, host, route, OFF], "off"),
        ([table, host, OFF, ON], "502"),
        ([table, OFF, "", ""], "off"),
        ([table, OFF, ON, ""], "501"),
        (["", OFF, ON, ""], "on"),
        (["", host, UNKNOWN, ""], "502"),
        (["", "", UNKNOWN, ""], "on"),
        (["", RULES, route, ""], "503"),
        (["", host, RULES, ""], "rules"),
        ([table, "", "", ""], "501"),
        (["", "", "", ON], "on"),
    ] {
        let actual = match resolved(levels) {
            None => "unsaid".to_owned(),
            Some(FilterOverride::Disabled) => "off".to_owned(),
            Some(FilterOverride::Enabled) => "on".to_owned(),
            Some(FilterOverride::Rbac(_)) => "rules".to_owned(),
            Some(FilterOverride::Fault(fault)) => {
                match fault.abort.as_ref().map(|abort| abort.with) {
                    Some(AbortWith::Status(outrigger_policy::fault::AbortStatus::Http(status))) => {
                        status.to_string()
                    }
                    other => panic!("{other:?}"),
                }
            }
            Some(FilterOverride::Cors(policy)) => panic!("{policy:?}"),
        };
        assert_eq!(actual, expected, "{levels:?}");
    }
}

#[test]
fn cross_origin_policies_of_all_levels_are_merged() {
    let table = cors("expose_headers: x-table, max_age: '7', allow_headers: x-t");
    let host = cors("allow_origin_string_match: [{exact: o.v}], allow_methods: VHOST");
    let route = cors("allow_headers: x-r");
    let cluster = cors("allow_credentials: true");
    for (levels, expected) in [
        ([&*table, &*host, "", ""], "o.v VHOST x-t 7 x-table "),
        ([&table, &host, ON, ""], "o.v VHOST x-t 7 x-table "),
        ([&table, &host, &route, ""], "o.v VHOST x-r 7 x-table "),
        ([&table, &host, &route, &cluster], "o.v VHOST x-r 7 x-table true"),
        (
            [&table, OFF, &*cors("allow_origin_string_match: [{exact: o.v}]"), ""],
            "o.v  x-t 7 x-table ",
        ),
    ] {
        let Some(FilterOverride::Cors(policy)) = resolved(levels) else { panic!("{levels:?}") };
        let mut head = RequestHead::new(b"OPTIONS", b"a", b"/");
        head.headers.set(Id::ORIGIN, b"o.v");
        head.headers.set(Id::ACCESS_CONTROL_REQUEST_METHOD, b"GET");
        let decision = policy.decide(&head, &mut StdRng::seed_from_u64(1));
        let CorsAction::Answer(answer) = decision.action else { panic!("{decision:?}") };
        let value = |id| String::from_utf8_lossy(answer.headers.get(id).unwrap_or_default());
        let actual = [
            Id::ACCESS_CONTROL_ALLOW_ORIGIN,
            Id::ACCESS_CONTROL_ALLOW_METHODS,
            Id::ACCESS_CONTROL_ALLOW_HEADERS,
            Id::ACCESS_CONTROL_MAX_AGE,
            Id::ACCESS_CONTROL_EXPOSE_HEADERS,
            Id::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ]
        .map(value)
        .join(" ");
        assert_eq!(actual, expected, "{levels:?}");
    }
}

#[test]
fn levels_without_settings_of_their_own_share_those_above_them() {
    let table = inline(&format!(
        "{{name: t, typed_per_filter_config: {{f: {OFF}}}, virtual_hosts: [{{name: v, domains: ['*'], routes: [\
         {{match: {{prefix: /a}}, redirect: {{}}}}, {{match: {{prefix: /b}}, redirect: {{}}}}, \
         {{match: {{prefix: /c}}, redirect: {{}}, typed_per_filter_config: {{g: {ON}}}}}]}}]}}"
    ))
    .unwrap();
    let routes = table.virtual_hosts()[0].routes();
    let overrides = |index: usize| &routes[index].payload.overrides;
    assert!(Arc::ptr_eq(overrides(0), overrides(1)));
    assert!(Arc::ptr_eq(overrides(2).inherited.as_ref().unwrap(), overrides(0)));
    assert!(matches!(overrides(2).of("f"), Some(FilterOverride::Disabled)));
    assert!(matches!(overrides(2).of("g"), Some(FilterOverride::Enabled)));
}

#[test]
fn settings_that_are_not_what_their_type_promises_are_refused() {
    for name in ["CorsPolicy", "HTTPFault", "RBACPerRoute", "FilterConfig"] {
        let package = match name {
            "CorsPolicy" => "envoy.extensions.filters.http.cors.v3",
            "HTTPFault" => "envoy.extensions.filters.http.fault.v3",
            "RBACPerRoute" => "envoy.extensions.filters.http.rbac.v3",
            _ => "envoy.config.route.v3",
        };
        let broken = outrigger_xds_api::google::protobuf::Any {
            type_url: format!("type.googleapis.com/{package}.{name}"),
            value: vec![0x0a, 9],
        };
        let message = RouteConfiguration {
            typed_per_filter_config: [("f".to_owned(), broken)].into(),
            ..Default::default()
        };
        let error = translated(|at, cx| table(message, at, cx)).0.unwrap_err();
        assert_eq!(error.path, "typed_per_filter_config[\"f\"]");
        assert!(error.reason.starts_with(&format!("not a message {package}.{name}")), "{error}");
    }
}
