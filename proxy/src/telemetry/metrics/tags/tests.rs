use super::*;
use crate::telemetry::metrics::prometheus::series_of;

/// The `stats_tags` of Istio's sidecar bootstrap, as it renders them.
pub(in crate::telemetry::metrics) fn istio() -> Vec<TagSpec> {
    let regex = |(name, pattern): (&str, &str)| TagSpec {
        name: name.into(),
        value: TagValue::Regex(pattern.into()),
    };
    [
        ("cluster_name", r"^cluster(\.(.+);)"),
        (
            "http_conn_manager_prefix",
            r"^http\.(((?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*));\.)",
        ),
        ("thread_name", r"^server(\.(.+))\.watchdog"),
        ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
        ("response_code", r"_rq(_(\d{3}))$"),
        ("response_code_class", r"_rq(_(\dxx))$"),
        (
            "http_conn_manager_listener_prefix",
            r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
        ),
        ("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
        ("mongo_prefix", r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"),
        ("cache", r"(cache\.(.+?)\.)"),
        ("component", r"(component\.(.+?)\.)"),
        ("tag", r"(tag\.(.+?);\.)"),
        ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
        ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
        ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
        ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
    ]
    .map(regex)
    .into()
}

#[test]
fn names_are_taken_apart_as_envoy_does() {
    let default = TagRules::compile(true, &[]).unwrap();
    let istio = TagRules::compile(false, &istio()).unwrap();
    let recorded = include_str!("../testdata/tags.tsv");
    let mut checked = 0;
    let mut wrong = Vec::new();
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let name = columns.next().unwrap();
        for (rules, expected) in [&default, &istio].into_iter().zip(columns) {
            if expected.is_empty() {
                continue;
            }
            checked += 1;
            let series = series_of(rules, name);
            if series != expected {
                wrong.push(format!("{name}\n  ours  {series}\n  envoy {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 400, "{checked} comparisons");
}

#[test]
fn a_default_rule_can_be_asked_for_by_name() {
    let spec = |name: &str, value| TagSpec { name: name.into(), value };
    let rules = TagRules::compile(false, &[spec("envoy.cluster_name", TagValue::Default)]).unwrap();
    assert_eq!(
        series_of(&rules, "cluster.a.x_rq_200"),
        "envoy_cluster_x_rq_200{envoy_cluster_name=\"a\"}"
    );
    let both = [spec("envoy.http_conn_manager_prefix", TagValue::Regex(String::new()))];
    let rules = TagRules::compile(false, &both).unwrap();
    assert_eq!(
        series_of(&rules, "listener.l.http.h.x"),
        "envoy_listener_l_http_x{envoy_http_conn_manager_prefix=\"h\"}"
    );
    let unknown = TagRules::compile(true, &[spec("x", TagValue::Default)]).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "No regex specified for tag specifier and no default regex for name: 'x'"
    );
    assert_eq!(
        TagRules::compile(true, &[spec("", TagValue::Default)]).unwrap_err(),
        TagError::NoName
    );
}

#[test]
fn tags_come_in_envoys_order() {
    // As recorded from Envoy with these six. Rules without a first word come first, fixed ones among
    // them; a group that takes no part gives an empty value; an expression without groups gives nothing.
    let regex = |name: &str, pattern: &str| TagSpec {
        name: name.into(),
        value: TagValue::Regex(pattern.into()),
    };
    let specs = [
        regex("a.first", r"^cluster\.((.+?)\.)"),
        TagSpec { name: "mesh".into(), value: TagValue::Fixed("m\"1".into()) },
        regex("any", "(upstream_)"),
        regex("nogroup", "upstream"),
        regex("opt", "(zzz)?cx"),
        regex("late", r"cx_((\w)\w*)$"),
    ];
    let rules = TagRules::compile(true, &specs).unwrap();
    for series in [
        r#"envoy_cluster_bind_errors{mesh="m\"1",envoy_cluster_name="ab",a_first="ab"}"#,
        r#"envoy_cluster_cx_{mesh="m\"1",any="upstream_",opt="",late="a",envoy_cluster_name="ab",a_first="ab"}"#,
        r#"envoy_server_live{mesh="m\"1"}"#,
    ] {
        let name = match series.split('{').next() {
            Some("envoy_cluster_bind_errors") => "cluster.ab.bind_errors",
            Some("envoy_cluster_cx_") => "cluster.ab.upstream_cx_active",
            _ => "server.live",
        };
        assert_eq!(series_of(&rules, name), series);
    }
    assert_eq!(rules.fixed().collect::<Vec<_>>(), [("mesh", "m\"1")]);
}

#[test]
fn a_regex_that_cannot_be_run_is_refused_by_name() {
    for pattern in [r"a(?=b)", r"(?<!a)b", r"(a)\1", "("] {
        let spec = TagSpec { name: "t".into(), value: TagValue::Regex(pattern.into()) };
        let error = TagRules::compile(false, &[spec]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("stats tag 't': the regex '{pattern}'")), "{error}");
    }
}

#[test]
fn a_tag_that_two_rules_find_is_taken_once() {
    let spec = |pattern: &str| TagSpec { name: "t".into(), value: TagValue::Regex(pattern.into()) };
    let rules = TagRules::compile(false, &[spec(r"(a\.)"), spec(r"(b\.)")]).unwrap();
    assert_eq!(series_of(&rules, "a.b.c"), "envoy_b_c{t=\"a.\"}");
    assert_eq!(series_of(&rules, "x.b.c"), "envoy_x_c{t=\"b.\"}");
}

#[test]
fn overlapping_cuts_cut_once() {
    let cuts = merge(SmallVec::from_vec(vec![4..6, 0..2, 1..3, 3..4, 8..9]));
    assert_eq!(cuts.as_slice(), [0..6, 8..9]);
    let mut out = Vec::new();
    push_cut("abcdefgh", &[0..1, 3..5], &mut out);
    assert_eq!(out, b"bcfgh");
}
