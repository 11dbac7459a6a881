//! What the fields become, and what stands where they are unset.

use std::time::Duration;

use outrigger_policy::breaker::RoutingPriority;
use outrigger_policy::fraction::{Denominator, Fraction};
use outrigger_policy::head::{Id, RequestHead};
use outrigger_policy::retry::{BackOff, ResetFormat, RetryPolicy};
use outrigger_policy::route::{Action, Choice, Lookup, Redirect, RedirectCode, Target};
use outrigger_policy::timeout::{MaxStreamDuration, TimeoutPolicy};

use super::*;
use crate::http::header_ops::AppendAction;
use crate::http::route::ForwardPolicy;

/// A route that matches everything.
fn route(yaml: &str) -> Arc<Route> {
    let route = format!("{{match: {{prefix: /}}, {yaml}}}");
    let host = format!("{{name: v, domains: [\"*\"], routes: [{route}]}}");
    first_route(&inline(&format!("{{name: t, virtual_hosts: [{host}]}}")).unwrap())
}

fn action(yaml: &str) -> Arc<Route> {
    route(&format!("route: {{{yaml}}}"))
}

#[test]
fn what_is_unset_of_a_route_is_as_in_envoy() {
    let route = action("cluster: one");
    let entry = &route.payload;
    assert_eq!((&*route.name, &*entry.name, &*entry.virtual_host), ("", "", "v"));
    assert!(entry.header_ops.is_empty() && !entry.most_specific_wins);
    assert!(entry.overrides.of("f").is_none());
    let Action::Forward(Target::Cluster(cluster)) = &entry.action else { panic!("{entry:?}") };
    assert_eq!(&*cluster.name, "one");
    assert!(cluster.header_ops.is_none() && cluster.host_rewrite.is_none());
    let ForwardPolicy {
        timeouts,
        idle_timeout,
        retry,
        path_rewrite,
        host_rewrite,
        auto_host_rewrite,
        append_x_forwarded_host,
        priority,
        cluster_not_found_status,
        mirrors,
        upgrades,
        attempt_count_in_request,
        attempt_count_in_response,
        buffer_limit_bytes,
    } = &entry.forward;
    assert_eq!(*timeouts, TimeoutPolicy::default());
    assert_eq!((timeouts.timeout_ms, *idle_timeout), (15_000, None));
    assert_eq!(format!("{retry:?}"), format!("{:?}", RetryPolicy::default()));
    assert!(path_rewrite.is_none() && host_rewrite.is_none());
    assert_eq!((*priority, *cluster_not_found_status), (RoutingPriority::Default, 503));
    assert!(mirrors.is_empty() && upgrades.is_empty() && buffer_limit_bytes.is_none());
    let flags = [
        auto_host_rewrite,
        append_x_forwarded_host,
        attempt_count_in_request,
        attempt_count_in_response,
    ];
    assert!(flags.iter().all(|flag| !**flag));
    let matcher = &route.matcher;
    assert!(matcher.headers.is_empty() && matcher.query_parameters.is_empty() && !matcher.grpc);
    assert!(matcher.runtime_fraction.is_none());
}

#[test]
fn times_are_whole_milliseconds_and_zero_stays() {
    let forward = |yaml: &str| {
        let route = action(&format!("cluster: one, {yaml}"));
        (route.payload.forward.timeouts, route.payload.forward.idle_timeout)
    };
    let millis = |ms| Some(Duration::from_millis(ms));
    assert_eq!(forward("timeout: 0s").0.timeout_ms, 0);
    assert_eq!(forward("timeout: 0.0019s").0.timeout_ms, 1);
    assert_eq!(forward("timeout: 0.0009s").0.timeout_ms, 0);
    assert_eq!(forward("idle_timeout: 0s").1, millis(0));
    assert_eq!(forward("idle_timeout: 1.5s").1, millis(1500));
    assert_eq!(forward("max_grpc_timeout: 0s").0.max_grpc_timeout_ms, Some(0));
    assert_eq!(forward("grpc_timeout_offset: 1s").0.grpc_timeout_offset_ms, Some(1000));
    let stream = "max_stream_duration: {max_stream_duration: 0s, grpc_timeout_header_max: 2s}";
    let expected = MaxStreamDuration {
        max_stream_duration_ms: Some(0),
        grpc_timeout_header_max_ms: Some(2000),
        grpc_timeout_header_offset_ms: None,
    };
    assert_eq!(forward(stream).0.max_stream_duration, Some(expected));
    let empty = forward("max_stream_duration: {}").0.max_stream_duration;
    assert_eq!(empty, Some(MaxStreamDuration::default()));
}

#[test]
fn the_rest_of_an_action_is_what_it_says() {
    let route = action(
        "cluster: one, cluster_not_found_response_code: NOT_FOUND, priority: HIGH, auto_host_rewrite: true, append_x_forwarded_host: true, \
         upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: b, enabled: false}], \
         request_mirror_policies: [{cluster: two, runtime_fraction: {default_value: {numerator: 7, denominator: MILLION}}, \
         disable_shadow_host_suffix_append: true}, {cluster: two}]",
    );
    let forward = &route.payload.forward;
    assert_eq!((forward.cluster_not_found_status, forward.priority), (404, RoutingPriority::High));
    assert!(forward.auto_host_rewrite && forward.append_x_forwarded_host);
    assert_eq!(*forward.upgrades, [("websocket".into(), true), ("b".into(), false)]);
    let [first, second] = &*forward.mirrors else { panic!("{:?}", forward.mirrors) };
    assert_eq!((&*first.cluster, first.keeps_host), ("two", true));
    assert_eq!(first.fraction, Some(Fraction::new(7, Denominator::Million)));
    assert_eq!((second.fraction, second.keeps_host), (None, false));
    let gone = action("cluster: one, cluster_not_found_response_code: INTERNAL_SERVER_ERROR");
    assert_eq!(gone.payload.forward.cluster_not_found_status, 500);
}

#[test]
fn retries_are_what_they_say() {
    let retry = |yaml: &str| {
        let route = action(&format!("cluster: one, retry_policy: {{{yaml}}}"));
        (route.payload.forward.retry.clone(), route.payload.forward.timeouts)
    };
    let (policy, timeouts) = retry(
        "retry_on: 'connect-failure, unavailable', num_retries: 0, per_try_timeout: 2s, per_try_idle_timeout: 3s, \
         retriable_status_codes: [503, 70000, 503, 409], host_selection_retry_max_attempts: 5, \
         retry_host_predicate: [{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}], \
         retriable_headers: [{name: a}], retriable_request_headers: [{name: b}, {name: c}]",
    );
    assert_eq!(format!("{:?}", policy.retry_on), r#"{"connect-failure", "unavailable"}"#);
    assert_eq!((policy.num_retries, policy.host_selection_attempts), (0, 5));
    assert_eq!(*policy.retriable_status_codes, [409, 503], "each once, and only possible ones");
    assert!(policy.avoids_previous_hosts);
    assert_eq!((policy.retriable_headers.len(), policy.retriable_request_headers.len()), (1, 2));
    assert_eq!((timeouts.per_try_timeout_ms, timeouts.per_try_idle_timeout_ms), (2000, 3000));

    for (attempts, expected) in [("0", 1), ("-1", 1), ("9999999999", u32::MAX)] {
        let yaml = format!("host_selection_retry_max_attempts: {attempts}");
        assert_eq!(retry(&yaml).0.host_selection_attempts, expected);
    }
    let seconds = Duration::from_secs;
    for (yaml, base, max) in [
        ("base_interval: 1s", seconds(1), None),
        ("base_interval: 1s, max_interval: 3s", seconds(1), Some(seconds(3))),
        ("base_interval: 0.0001s", Duration::from_millis(1), None),
        (
            "base_interval: 0.0019s, max_interval: 0.001s",
            Duration::from_millis(1),
            Some(Duration::from_millis(1)),
        ),
    ] {
        let (policy, _) = retry(&format!("retry_back_off: {{{yaml}}}"));
        assert_eq!(policy.back_off, BackOff::new(base, max), "{yaml}");
    }
    for (yaml, format, max_interval) in [
        ("reset_headers: [{name: Retry-After}]", ResetFormat::Seconds, seconds(300)),
        (
            "reset_headers: [{name: retry-after, format: UNIX_TIMESTAMP}], max_interval: 9s",
            ResetFormat::UnixTimestamp,
            seconds(9),
        ),
    ] {
        let (policy, _) = retry(&format!("rate_limited_retry_back_off: {{{yaml}}}"));
        let rate_limited = policy.rate_limited_back_off.clone().unwrap();
        assert_eq!(*rate_limited.reset_headers, [(Id::RETRY_AFTER.into(), format)]);
        assert_eq!(rate_limited.max_interval, max_interval);
    }
}

#[test]
fn routes_take_from_their_virtual_host_what_they_do_not_say() {
    let table = inline(
        "{name: t, most_specific_header_mutations_wins: true, request_mirror_policies: [{cluster: one}], \
         response_headers_to_remove: [x-table], virtual_hosts: [{name: v, domains: [a], \
         retry_policy: {retry_on: 5xx, num_retries: 7, per_try_timeout: 1s}, include_request_attempt_count: true, \
         include_attempt_count_in_response: true, per_request_buffer_limit_bytes: 5, request_headers_to_remove: [x-host], routes: [\
         {match: {prefix: /a}, route: {cluster: one}}, \
         {match: {prefix: /b}, name: own, route: {cluster: one, retry_policy: {}, request_mirror_policies: [{cluster: two}, {cluster: two}]}, \
         per_request_buffer_limit_bytes: 6, request_headers_to_remove: [x-route]}, \
         {match: {prefix: /c}, redirect: {}}]}, \
         {name: w, domains: [b], request_mirror_policies: [{cluster: two}], request_body_buffer_limit: 99999999999999, per_request_buffer_limit_bytes: 5, \
         routes: [{match: {prefix: /}, route: {cluster: one}}]}]}",
    )
    .unwrap();
    let [v, w] = table.virtual_hosts() else { panic!() };
    let [plain, own, redirect] = v.routes() else { panic!() };
    let forward = &plain.payload.forward;
    assert_eq!((forward.retry.num_retries, forward.timeouts.per_try_timeout_ms), (7, 1000));
    assert!(forward.attempt_count_in_request && forward.attempt_count_in_response);
    assert_eq!((forward.buffer_limit_bytes, forward.mirrors.len()), (Some(5), 1));
    assert_eq!((plain.payload.header_ops.len(), own.payload.header_ops.len()), (2, 3));
    assert_eq!(redirect.payload.header_ops.len(), 2);
    assert!(plain.payload.most_specific_wins);

    let forward = &own.payload.forward;
    assert_eq!((forward.retry.num_retries, forward.timeouts.per_try_timeout_ms), (1, 0));
    assert_eq!((forward.buffer_limit_bytes, forward.mirrors.len()), (Some(6), 2));
    assert!(forward.attempt_count_in_request);
    assert_eq!(&*own.payload.name, "own");
    let [first, second, third] = &*own.payload.header_ops else { panic!() };
    for (level, name) in [(first, "x-route"), (second, "x-host")] {
        assert_eq!(level.request.remove[0].as_str(), name, "the most specific level is first");
    }
    assert_eq!(third.response.remove[0].as_str(), "x-table");
    assert!(
        Arc::ptr_eq(&plain.payload.header_ops[0], &own.payload.header_ops[1]),
        "levels are shared"
    );

    let forward = &w.routes()[0].payload.forward;
    assert_eq!(forward.buffer_limit_bytes, Some(64 << 20), "the newer field, up to a bound");
    assert_eq!(&*forward.mirrors[0].cluster, "two", "the virtual host's come before the table's");
    assert!(!forward.attempt_count_in_request);
}

#[test]
fn headers_are_added_as_they_say() {
    for (yaml, action) in [
        ("", AppendAction::AppendOrAdd),
        ("append_action: ADD_IF_ABSENT", AppendAction::AddIfAbsent),
        ("append_action: OVERWRITE_IF_EXISTS_OR_ADD", AppendAction::OverwriteOrAdd),
        ("append_action: OVERWRITE_IF_EXISTS", AppendAction::OverwriteIfExists),
        ("append: true", AppendAction::AppendOrAdd),
        ("append: false", AppendAction::OverwriteOrAdd),
    ] {
        let route = route(&format!(
            "redirect: {{}}, response_headers_to_add: [{{header: {{key: X-A, value: 'b%%'}}, {yaml}}}]"
        ));
        let op = &route.payload.header_ops[0].response.add[0];
        assert_eq!((op.name.as_str(), op.action, op.keep_empty), ("x-a", action, false));
    }
    let route =
        route("redirect: {}, request_headers_to_add: [{header: {key: a}, keep_empty_value: true}]");
    assert!(route.payload.header_ops[0].request.add[0].keep_empty);
}

#[test]
fn a_redirect_is_what_it_says() {
    let redirect = |yaml: &str| match &route(&format!("redirect: {{{yaml}}}")).payload.action {
        Action::Redirect(redirect) => redirect.clone(),
        other => panic!("{other:?}"),
    };
    for yaml in [
        "",
        "https_redirect: false",
        "scheme_redirect: '', host_redirect: '', path_redirect: ''",
        "prefix_rewrite: ''",
    ] {
        assert_eq!(format!("{:?}", redirect(yaml)), format!("{:?}", Redirect::default()), "{yaml}");
    }
    let head = RequestHead::new(b"GET", b"a:81", b"/p?q");
    for (yaml, code, location) in [
        ("https_redirect: true", RedirectCode::MovedPermanently, "https://a:81/p?q"),
        ("scheme_redirect: ftp, response_code: FOUND", RedirectCode::Found, "ftp://a:81/p?q"),
        ("port_redirect: 9, response_code: SEE_OTHER", RedirectCode::SeeOther, "http://a:9/p?q"),
        (
            "host_redirect: b, response_code: TEMPORARY_REDIRECT",
            RedirectCode::TemporaryRedirect,
            "http://b/p?q",
        ),
        (
            "path_redirect: x, response_code: PERMANENT_REDIRECT",
            RedirectCode::PermanentRedirect,
            "http://a:81/x?q",
        ),
        (
            "prefix_rewrite: /y/, strip_query: true",
            RedirectCode::MovedPermanently,
            "http://a:81/y/p",
        ),
        (
            "regex_rewrite: {pattern: {regex: p}, substitution: z}",
            RedirectCode::MovedPermanently,
            "http://a:81/z?q",
        ),
    ] {
        let redirect = redirect(yaml);
        let rule = &route("redirect: {}").matcher.path;
        let actual = redirect.location(&head, rule).unwrap();
        assert_eq!((redirect.code, std::str::from_utf8(&actual).unwrap()), (code, location));
    }
}

#[test]
fn weighted_clusters_keep_their_order_and_their_own_changes() {
    let route = action(
        "weighted_clusters: {header_name: x-random, clusters: [{name: one, weight: 1, host_rewrite_literal: h, request_headers_to_remove: [a]}, \
         {name: two, weight: 2}]}",
    );
    let Action::Forward(target) = &route.payload.action else { panic!() };
    let mut head = RequestHead::new(b"GET", b"a", b"/");
    let chosen = |head: &RequestHead, random| match target.choose(head, random) {
        Choice::Cluster(cluster) => (cluster.name.to_string(), cluster.host_rewrite.clone()),
        Choice::Named(name) => panic!("{name:?}"),
    };
    assert_eq!(chosen(&head, 0), ("one".into(), Some("h".into())));
    assert_eq!(chosen(&head, 2), ("two".into(), None));
    head.headers.append_name(&outrigger_policy::head::Name::new("x-random"), b"2");
    assert_eq!(chosen(&head, 0).0, "two");
}

#[test]
fn clusters_of_discovered_tables_need_not_exist_unless_the_table_says_so() {
    let yaml = |validate: &str| {
        let routes = "[{match: {prefix: /}, route: {cluster: nope}}]";
        format!(
            "{{name: t, {validate} virtual_hosts: [{{name: v, domains: [a], routes: {routes}}}]}}"
        )
    };
    let discovered = |yaml: &str| translated(|at, cx| table(read(yaml), at, cx)).0.is_ok();
    assert!(discovered(&yaml("")) && inline(&yaml("")).is_err());
    assert!(!discovered(&yaml("validate_clusters: true,")));
    assert!(inline(&yaml("validate_clusters: false,")).is_ok());
}

#[test]
fn the_table_finds_its_routes() {
    let table = inline(
        "{name: t, ignore_port_in_host_matching: true, internal_only_headers: [X-Inside], virtual_hosts: [\
         {name: v, domains: [a.com], require_tls: EXTERNAL_ONLY}, \
         {name: w, domains: ['*'], routes: [{match: {path: /X, case_sensitive: false}, route: {cluster: one}}]}]}",
    )
    .unwrap();
    assert_eq!(table.internal_only_headers()[0].as_str(), "x-inside");
    let find = |host: &str, path: &str| match table
        .find(&RequestHead::new(b"GET", host.as_bytes(), path.as_bytes()), 0)
    {
        Lookup::Matched { route, .. } => route.payload.virtual_host.to_string(),
        Lookup::TlsRequired { .. } => "tls".into(),
        Lookup::NoRoute { .. } => "none".into(),
        Lookup::NoVirtualHost => "no host".to_owned(),
    };
    assert_eq!(
        (find("a.com:80", "/x"), find("b:1", "/x"), find("b", "/y")),
        ("tls".into(), "w".into(), "none".into())
    );
}

#[test]
fn what_changes_nothing_is_noted() {
    let yaml = "{name: t, metadata: {}, virtual_hosts: [{name: v, domains: [a], virtual_clusters: [{name: x}], routes: [\
                {match: {prefix: /}, decorator: {operation: x}, stat_prefix: x, metadata: {}, route: {cluster: one, flush_timeout: 1s, \
                max_internal_redirects: 5, retry_policy: {retry_on: '5xx,nonsense'}}, \
                typed_per_filter_config: {f: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, is_optional: true, \
                config: {'@type': type.googleapis.com/envoy.config.core.v3.Node}}}}]}]}";
    let (result, ignored) = translated(|at, cx| inline_table(read(yaml), at, cx));
    assert!(result.is_ok());
    let mut paths: Vec<_> = ignored.iter().map(|ignored| ignored.path.as_str()).collect();
    paths.sort_unstable();
    let route = "virtual_hosts[0].routes[0]";
    assert_eq!(
        paths,
        [
            "metadata".to_owned(),
            format!("{route}.route.flush_timeout"),
            format!("{route}.route.max_internal_redirects"),
            format!("{route}.route.retry_policy.retry_on"),
            format!("{route}.typed_per_filter_config[\"f\"].config"),
            "virtual_hosts[0].virtual_clusters".to_owned(),
        ]
    );
}

#[test]
fn lists_and_texts_have_ends() {
    let many = |item: &str, count| vec![item; count].join(", ");
    let lines = |count| {
        format!("redirect: {{}}, request_headers_to_add: [{}]", many("{header: {key: a}}", count))
    };
    let value = |bytes| {
        format!(
            "redirect: {{}}, request_headers_to_add: [{{header: {{key: a, value: {}}}}}]",
            "b".repeat(bytes)
        )
    };
    let filters = |count| {
        let setting =
            "{'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}";
        let named: Vec<_> = (0..count).map(|n| format!("f{n}: {setting}")).collect();
        format!("redirect: {{}}, typed_per_filter_config: {{{}}}", named.join(", "))
    };
    let upgrades = |count| {
        let named: Vec<_> = (0..count).map(|n| format!("{{upgrade_type: u{n}}}")).collect();
        format!("route: {{cluster: one, upgrade_configs: [{}]}}", named.join(", "))
    };
    for (is_taken, yaml) in [
        (true, lines(1000)),
        (false, lines(1001)),
        (true, value(16_384)),
        (false, value(16_385)),
        (true, filters(100)),
        (false, filters(101)),
        (true, upgrades(100)),
        (false, upgrades(101)),
    ] {
        let host = format!("{{name: v, domains: [a], routes: [{{match: {{prefix: /}}, {yaml}}}]}}");
        let result = inline(&format!("{{name: t, virtual_hosts: [{host}]}}"));
        assert_eq!(result.is_ok(), is_taken, "{:?}", result.err());
    }
}
