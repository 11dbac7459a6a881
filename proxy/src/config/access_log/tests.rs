//! Access logs in YAML: what they become, and why they are refused.

use std::sync::{Arc, LazyLock};

use outrigger_xds_api::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use outrigger_xds_api::{Document, Pool, Unknown};

use super::*;
use crate::config::{ConfigError, Ignored};
use crate::telemetry::access_log::Filter;
use crate::telemetry::metrics::{Registry, StatsSpec};

static POOL: LazyLock<Pool> = LazyLock::new(Pool::load);

/// Loggers by the end of their type's name.
const TYPES: &str = "type.googleapis.com/envoy.extensions.access_loggers";

/// The logs of a TCP proxy with this log, which is written in YAML's flow style.
fn translate(log: &str) -> (Result<Vec<Log>, ConfigError>, Vec<Ignored>) {
    static REGISTRY: LazyLock<Arc<Registry>> =
        LazyLock::new(|| Registry::new(StatsSpec::default(), 1).unwrap());
    let document = Document::yaml("snippet", format!("access_log: [{log}]"));
    let message: TcpProxy = document
        .and_then(|document| document.read(&POOL, Unknown::Refuse))
        .unwrap_or_else(|error| panic!("{error}\n{log}"));
    let cx = Cx::new(&REGISTRY);
    let root = At::root("");
    let each = |(index, message)| super::log(message, &root.index(index), &cx).transpose();
    let logs = message.access_log.into_iter().enumerate().filter_map(each).collect();
    (logs, cx.take_ignored())
}

fn file(fields: &str) -> String {
    format!("{{typed_config: {{'@type': {TYPES}.file.v3.FileAccessLog, {fields}}}}}")
}

fn one(log: &str) -> Log {
    let (logs, _) = translate(log);
    logs.unwrap_or_else(|error| panic!("{error}: {log}")).remove(0)
}

fn error(log: &str) -> String {
    translate(log).0.unwrap_err().to_string()
}

fn filter(filter: &str) -> Filter {
    one(&with_filter(filter)).filter.unwrap()
}

fn with_filter(filter: &str) -> String {
    let file = file("path: /dev/null");
    format!("{{filter: {filter}, {}", file.strip_prefix('{').unwrap())
}

#[test]
fn every_way_to_name_a_format_is_taken() {
    let stdout = format!("{{typed_config: {{'@type': {TYPES}.stream.v3.StdoutAccessLog}}}}");
    let stderr = format!(
        "{{typed_config: {{'@type': {TYPES}.stream.v3.StderrAccessLog, log_format: {{json_format: {{a: '%DURATION%'}}}}}}}}"
    );
    let json =
        "{s: '%REQ(x)%', n: 1, b: true, z: null, l: [1, '%DURATION%'], o: {p: '%PROTOCOL%'}}";
    for (log, is_json) in [
        (file("path: /dev/null"), false),
        (file("path: /dev/null, format: '%DURATION%'"), false),
        (file("path: /dev/null, format: ''"), false),
        (file(&format!("path: /dev/null, json_format: {json}")), true),
        (file(&format!("path: /dev/null, typed_json_format: {json}")), true),
        (file("path: /dev/null, log_format: {text_format: '%DURATION%'}"), false),
        (file("path: /dev/null, log_format: {text_format_source: {inline_string: x}}"), false),
        (file(&format!("path: /dev/null, log_format: {{json_format: {json}}}")), true),
        (
            file(
                "path: /dev/null, log_format: {text_format: '%REQ_WITHOUT_QUERY(:path)%', formatters: [{name: x, typed_config: {'@type': \
                 type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery}}]}",
            ),
            false,
        ),
        (stdout, false),
        (stderr, true),
    ] {
        let line = one(&log).line;
        assert_eq!(matches!(line, Line::Json(_)), is_json, "{log}");
    }
}

#[test]
fn the_default_format_is_envoys() {
    // docs/configuration/observability/access_log, default format string
    let default = r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#;
    let spelled = format!("{default}\n").replace('\n', "\\n").replace('"', "\\\"");
    let named = one(&file(&format!("path: /dev/null, log_format: {{text_format: \"{spelled}\"}}")));
    let unnamed = one(&file("path: /dev/null"));
    assert_eq!(format!("{:?}", unnamed.line), format!("{:?}", named.line));
}

#[test]
fn logs_of_one_path_share_a_file() {
    let (first, second) = (one(&file("path: /dev/null")), one(&file("path: /dev/null")));
    assert!(Arc::ptr_eq(&first.file, &second.file));
    assert!(!Arc::ptr_eq(&first.file, &one(&file("path: /dev/stderr")).file));
}

#[test]
fn filters_become_ours() {
    use crate::telemetry::access_log::{Comparison, LogType};
    let compared = |op: &str| format!("{{comparison: {{op: {op}, value: {{default_value: 7}}}}}}");
    for (op, expected) in [
        ("EQ", Comparison::Equal(7)),
        ("NE", Comparison::NotEqual(7)),
        ("GE", Comparison::AtLeast(7)),
        ("LE", Comparison::AtMost(7)),
    ] {
        let status = filter(&format!("{{status_code_filter: {}}}", compared(op)));
        assert!(matches!(status, Filter::Status(found) if found == expected), "{op}");
        let duration = filter(&format!("{{duration_filter: {}}}", compared(op)));
        assert!(matches!(duration, Filter::Duration(found) if found == expected), "{op}");
    }
    assert!(matches!(filter("{not_health_check_filter: {}}"), Filter::NotHealthCheck));
    assert!(matches!(filter("{traceable_filter: {}}"), Filter::Traceable));
    assert!(matches!(filter("{header_filter: {header: {name: x}}}"), Filter::Header(_)));
    let both = "{filters: [{traceable_filter: {}}, {not_health_check_filter: {}}]}";
    assert!(
        matches!(filter(&format!("{{and_filter: {both}}}")), Filter::All(list) if list.len() == 2)
    );
    assert!(
        matches!(filter(&format!("{{or_filter: {both}}}")), Filter::Any(list) if list.len() == 2)
    );
    assert!(matches!(filter("{response_flag_filter: {}}"), Filter::Flags(list) if list.is_empty()));
    let all = "LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO DR UDO";
    let flags =
        filter(&format!("{{response_flag_filter: {{flags: [{}]}}}}", all.replace(' ', ", ")));
    assert!(matches!(flags, Filter::Flags(list) if list.len() == 30));
    let grpc = filter("{grpc_status_filter: {statuses: [OK, UNAUTHENTICATED], exclude: true}}");
    assert!(matches!(grpc, Filter::Grpc { statuses, excludes: true } if *statuses == [0, 16]));
    let types = filter("{log_type_filter: {types: [NotSet, DownstreamStart, TcpConnectionEnd]}}");
    let expected = [LogType::NotSet, LogType::TcpConnectionEnd];
    assert!(matches!(types, Filter::LogType { types, excludes: false } if *types == expected));
}

#[test]
fn samples_are_none_unless_told() {
    use outrigger_policy::fraction::{Denominator, Fraction};
    let Filter::Sampled(none) = filter("{runtime_filter: {runtime_key: x}}") else { panic!() };
    assert_eq!((none.share, none.is_independent), (Fraction::new(0, Denominator::Hundred), false));
    let some = "{runtime_filter: {runtime_key: x, percent_sampled: {numerator: 5, denominator: MILLION}, use_independent_randomness: true}}";
    let Filter::Sampled(some) = filter(some) else { panic!() };
    assert_eq!((some.share, some.is_independent), (Fraction::new(5, Denominator::Million), true));
}

#[test]
fn mistakes_are_refused_with_their_place() {
    let at = "[0].typed_config";
    let type_of = |name: &str| format!("{{typed_config: {{'@type': type.googleapis.com/{name}}}}}");
    let fluentd = "envoy.extensions.access_loggers.fluentd.v3.FluentdAccessLogConfig";
    for (log, expected) in [
        ("{name: x}".to_owned(), format!("{at}: is required")),
        (
            type_of(fluentd),
            format!("{at}: a logger of type 'type.googleapis.com/{fluentd}' is not supported"),
        ),
        (file(""), format!("{at}.path: must not be empty")),
        (
            file("path: /nonexistent/log"),
            format!(
                "{at}: /nonexistent/log cannot be opened: No such file or directory (os error 2)"
            ),
        ),
        (file("path: /dev/null, log_format: {}"), format!("{at}.log_format: is required")),
        (
            file("path: /dev/null, format: 'a %FOO%'"),
            format!("{at}.format: position 2: %FOO% is no operator"),
        ),
        (
            file("path: /dev/null, log_format: {text_format: '%'}"),
            format!("{at}.log_format.text_format: position 0: % is no command"),
        ),
        (
            file("path: /dev/null, log_format: {text_format_source: {inline_bytes: '/w=='}}"),
            format!("{at}.log_format.text_format_source: is no UTF-8"),
        ),
        (
            file("path: /dev/null, log_format: {text_format_source: {filename: /nonexistent}}"),
            format!(
                "{at}.log_format.text_format_source.filename: /nonexistent: No such file or directory (os error 2)"
            ),
        ),
        (
            file("path: /dev/null, json_format: {a: {b: [x, '%REQ%']}}"),
            format!("{at}.json_format[\"a\"][\"b\"][1]: position 0: %REQ% needs arguments"),
        ),
        (
            file("path: /dev/null, log_format: {json_format: {a: '%FILTER_STATE(x)%'}}"),
            format!(
                "{at}.log_format.json_format[\"a\"]: position 0: %FILTER_STATE(x)% is not supported: filter state"
            ),
        ),
        (
            file("path: /dev/null, log_format: {text_format: x, formatters: [{name: x}]}"),
            format!("{at}.log_format.formatters[0].typed_config: is required"),
        ),
        (
            file(
                "path: /dev/null, log_format: {text_format: x, formatters: [{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.formatter.cel.v3.Cel}}]}",
            ),
            format!(
                "{at}.log_format.formatters[0].typed_config: a formatter of type 'type.googleapis.com/envoy.extensions.formatter.cel.v3.Cel' is not supported"
            ),
        ),
    ] {
        assert_eq!(error(&log), expected, "{log}");
    }
}

#[test]
fn mistakes_in_filters_are_refused_with_their_place() {
    for (filter, expected) in [
        ("{}", ": is required"),
        ("{status_code_filter: {}}", ".status_code_filter.comparison: is required"),
        ("{duration_filter: {comparison: {}}}", ".duration_filter.comparison.value: is required"),
        (
            "{duration_filter: {comparison: {op: 9, value: {default_value: 1}}}}",
            ".duration_filter.comparison.op: 9 is no value of the enumeration",
        ),
        ("{runtime_filter: {}}", ".runtime_filter.runtime_key: must not be empty"),
        (
            "{runtime_filter: {runtime_key: x, percent_sampled: {denominator: 9}}}",
            ".runtime_filter.percent_sampled.denominator: 9 is no value of the enumeration",
        ),
        (
            "{and_filter: {filters: [{traceable_filter: {}}]}}",
            ".and_filter.filters: has fewer than 2 elements",
        ),
        (
            "{or_filter: {filters: [{traceable_filter: {}}, {}]}}",
            ".or_filter.filters[1]: is required",
        ),
        ("{header_filter: {}}", ".header_filter.header: is required"),
        (
            "{response_flag_filter: {flags: [NR, XX]}}",
            ".response_flag_filter.flags[1]: 'XX' is no response flag",
        ),
        (
            "{grpc_status_filter: {statuses: [17]}}",
            ".grpc_status_filter.statuses[0]: 17 is no value of the enumeration",
        ),
        (
            "{log_type_filter: {types: [99]}}",
            ".log_type_filter.types[0]: 99 is no value of the enumeration",
        ),
        (
            "{extension_filter: {name: x}}",
            ".extension_filter: a filter that is an extension is not supported",
        ),
        ("{metadata_filter: {}}", ".metadata_filter: a filter on metadata is not supported"),
    ] {
        assert_eq!(error(&with_filter(filter)), format!("[0].filter{expected}"), "{filter}");
    }
}

#[test]
fn logs_that_nothing_here_can_write_are_noted() {
    let cel = "{name: cel, typed_config: {'@type': type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter, expression: 'true'}}";
    let and = format!(
        "{{and_filter: {{filters: [{{traceable_filter: {{}}}}, {{extension_filter: {cel}}}]}}}}"
    );
    let remote = "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig";
    for (log, place) in [
        (with_filter(&format!("{{extension_filter: {cel}}}")), "[0].filter"),
        (with_filter(&and), "[0].filter"),
        (
            format!("{{typed_config: {{'@type': type.googleapis.com/{remote}}}}}"),
            "[0].typed_config",
        ),
    ] {
        let (logs, ignored) = translate(&log);
        assert!(logs.unwrap().is_empty(), "{log}");
        let paths: Vec<_> = ignored.iter().map(|ignored| ignored.path.as_str()).collect();
        assert_eq!(paths, [place]);
    }
}

#[test]
fn what_has_no_effect_is_noted() {
    let log = file(
        "path: /dev/null, log_format: {json_format: {a: x}, content_type: text/html, json_format_options: {sort_properties: true}}",
    );
    let (logs, ignored) = translate(&log);
    assert!(logs.is_ok());
    let paths: Vec<_> = ignored.iter().map(|ignored| ignored.path.as_str()).collect();
    let at = "[0].typed_config.log_format";
    assert_eq!(
        paths,
        [format!("{at}.content_type"), format!("{at}.json_format_options.sort_properties")]
    );
}
