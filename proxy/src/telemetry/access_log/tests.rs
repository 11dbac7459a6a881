//! Lines of Envoy 1.40, and ours of the same streams.
//!
//! `testdata/envoy.tsv` holds an operator per line, and what Envoy wrote for it in JSON: a request to a host, a refused connection, no
//! route, a gRPC call over HTTP/2, a client that left, a request that is none, one over mutual TLS, a relayed connection, and one that
//! no filter chain took. In text Envoy wrote the same, without quotes, and a dash for null.

use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use outrigger_policy::authz::PeerIdentity;
use outrigger_policy::head::{Id, Protocol, RequestHead, ResponseHead, Scheme};
use outrigger_policy::verdict::{CauseCode, ResponseFlag};

use super::testing::{Stream, connection, request, write, write_bytes, write_json};
use super::{AccessLog, Format, JsonFormat, Line, Log, LogFile, LogType, Node, Options};
use crate::listener::Connection;
use crate::net::Address;
use crate::telemetry::metrics::{Registry, StatsSpec};
use crate::tls::{PeerCertificate, TlsInfo};

fn address(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

/// A stream on a listener's connection, which begins at this nanosecond of 2026-11-22 19:00:03 UTC.
fn stream(id: u64, listener: &str, port: u16, client: u16, nanos: u32) -> Stream {
    let local = address(&format!("127.0.0.1:{port}"));
    let remote = address(&format!("127.0.0.1:{client}"));
    let mut stream = Stream::on(Connection {
        id,
        direct_remote: remote.clone(),
        remote,
        local: local.clone(),
        direct_local: local,
        is_restored: false,
        listener: listener.into(),
        filter_chain: format!("fc-{listener}").into(),
        ..connection()
    });
    stream.info.start_time = UNIX_EPOCH + Duration::new(1_795_374_003, nanos);
    stream
}

/// Makes an HTTP exchange of it. Header lines begin with the user agent and the id of the request.
fn http(stream: &mut Stream, method: &str, path: &str, headers: &[(&str, &str)]) {
    let authority = format!("127.0.0.1:{}", stream.info.connection.local.port().unwrap());
    let mut head = RequestHead::new(method.as_bytes(), authority.as_bytes(), path.as_bytes());
    for (name, value) in [("accept", "*/*"), ("x-forwarded-proto", "http")].iter().chain(headers) {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    stream.request = Some(head);
    stream.log_type = LogType::DownstreamEnd;
    stream.info.protocol = Some(Protocol::Http11);
}

fn respond(stream: &mut Stream, status: u16, details: &'static str, headers: &[(&str, &str)]) {
    let mut head = ResponseHead::new(status);
    for (name, value) in headers {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    stream.response = Some(head);
    stream.info.response_code = status;
    stream.info.details = details.into();
}

/// Microseconds from the begin to: the request's end, the first and the last byte sent to the host, the first and the last one received, the
/// response's begin; and nanoseconds to its end.
fn times(stream: &mut Stream, at: [Option<u64>; 6], end_nanos: u64) {
    let start = stream.info.start;
    let [request_end, first_tx, last_tx, first_rx, last_rx, response_start] =
        at.map(|micros| micros.map(|micros| start + Duration::from_micros(micros)));
    stream.info.timing.request_end = request_end;
    stream.info.timing.response_start = response_start;
    stream.info.timing.end = Some(start + Duration::from_nanos(end_nanos));
    let mut upstream = stream.info.upstream.borrow_mut();
    (upstream.first_tx, upstream.last_tx) = (first_tx, last_tx);
    (upstream.first_rx, upstream.last_rx) = (first_rx, last_rx);
}

fn upstream(stream: &Stream, local: &str, protocol: Option<Protocol>) {
    let mut upstream = stream.info.upstream.borrow_mut();
    upstream.local_address = Some(address(local));
    upstream.protocol = protocol;
    upstream.attempts = 1;
}

fn to_a_host() -> Stream {
    let mut s = stream(0, "plain", 28001, 34038, 103_154_000);
    http(
        &mut s,
        "GET",
        "/ok?a=1%20x&b=&a=2&e=%41%zz",
        &[
            ("user-agent", "tester/1.0"),
            ("x-empty", ""),
            ("x-role", "r1"),
            ("x-role", "r2"),
            ("x-request-id", "10ada5d2-22e3-41d6-8400-f71fb8e68ec0"),
            ("x-envoy-expected-rq-timeout-ms", "15000"),
        ],
    );
    respond(
        &mut s,
        200,
        "via_upstream",
        &[
            ("content-type", "text/plain"),
            ("x-role", "one"),
            ("x-role", "two"),
            ("x-envoy-upstream-service-time", "1"),
        ],
    );
    s.info.bytes_sent = 5;
    s.info.route_name = "main \"route\"".into();
    upstream(&s, "127.0.0.1:60224", Some(Protocol::Http11));
    let at = [Some(77), Some(579), Some(579), Some(1666), Some(1853), Some(1834)];
    times(&mut s, at, 1_904_080);
    s
}

fn refused() -> Stream {
    let mut s = stream(3, "plain", 28001, 34060, 129_689_000);
    http(
        &mut s,
        "GET",
        "/refused",
        &[
            ("user-agent", "curl/7.88.1"),
            ("x-request-id", "99aaf06a-0b4d-4647-8d04-88be6c93cde9"),
            ("x-envoy-expected-rq-timeout-ms", "15000"),
        ],
    );
    let details = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
    respond(&mut s, 503, details, &[("content-type", "text/plain")]);
    s.info.bytes_sent = 98;
    s.info.route_name = "r-refused".into();
    s.info.fail(Some(ResponseFlag::UpstreamConnectionFailure), CauseCode::Refused);
    s.info.upstream.borrow_mut().attempts = 1;
    s.info.upstream.borrow_mut().transport_failure =
        "delayed connect error: Connection refused".into();
    times(&mut s, [Some(38), None, None, None, None, Some(478)], 494_477);
    s
}

fn without_route() -> Stream {
    let mut s = stream(7, "plain", 28001, 34088, 161_829_000);
    http(
        &mut s,
        "GET",
        "/absent",
        &[("user-agent", "curl/7.88.1"), ("x-request-id", "850ea99c-9605-472f-9f52-80dd32185921")],
    );
    respond(&mut s, 404, "route_not_found", &[]);
    s.info.fail(Some(ResponseFlag::NoRouteFound), CauseCode::NoRoute);
    times(&mut s, [Some(45), None, None, None, None, Some(139)], 150_595);
    s
}

fn grpc() -> Stream {
    let mut s = stream(22, "plain", 28001, 34190, 430_101_000);
    http(
        &mut s,
        "POST",
        "/trailer",
        &[
            ("user-agent", "curl/7.88.1"),
            ("content-type", "application/grpc"),
            ("content-length", "3"),
            ("x-request-id", "dc229f87-49a1-4d3c-a76a-cf264ef18f07"),
            ("x-envoy-expected-rq-timeout-ms", "15000"),
        ],
    );
    s.info.protocol = Some(Protocol::Http2);
    respond(
        &mut s,
        200,
        "via_upstream",
        &[("content-type", "application/grpc"), ("x-envoy-upstream-service-time", "0")],
    );
    (s.info.bytes_received, s.info.bytes_sent) = (3, 5);
    s.info.route_name = "main \"route\"".into();
    upstream(&s, "127.0.0.1:60276", Some(Protocol::Http11));
    let at = [Some(332), Some(399), Some(403), Some(1195), Some(1290), Some(1255)];
    times(&mut s, at, 1_299_979);
    s
}

fn left_by_the_client() -> Stream {
    let mut s = stream(27, "plain", 28001, 34222, 478_150_000);
    http(
        &mut s,
        "GET",
        "/slow?dc",
        &[
            ("user-agent", "curl/7.88.1"),
            ("x-request-id", "befe9bfa-4f49-4574-9cbf-e8ed98f9c605"),
            ("x-envoy-expected-rq-timeout-ms", "100"),
        ],
    );
    s.info.details = "downstream_remote_disconnect".into();
    s.info.fail(Some(ResponseFlag::DownstreamConnectionTermination), CauseCode::Internal);
    upstream(&s, "127.0.0.1:60276", Some(Protocol::Http11));
    times(&mut s, [Some(45), Some(220), Some(220), None, None, None], 50_000_000);
    s
}

fn no_request() -> Stream {
    let mut s = stream(28, "plain", 28001, 34238, 692_751_000);
    s.info.protocol = Some(Protocol::Http11);
    s.log_type = LogType::DownstreamEnd;
    respond(
        &mut s,
        400,
        "http1.codec_error",
        &[
            ("content-length", "11"),
            ("content-type", "text/plain"),
            ("date", "Sun, 22 Nov 2026 19:00:03 GMT"),
            ("server", "envoy"),
            ("connection", "close"),
        ],
    );
    s.info.bytes_sent = 11;
    s.info.fail(Some(ResponseFlag::DownstreamProtocolError), CauseCode::Internal);
    times(&mut s, [None, None, None, None, None, Some(66)], 79_789);
    s
}

/// The chain that the client showed, in DER.
fn chain() -> Vec<Vec<u8>> {
    let pem = include_str!("testdata/chain.pem").split("-----BEGIN CERTIFICATE-----").skip(1);
    let text = pem.map(|pem| pem.split("-----END").next().unwrap().replace('\n', ""));
    text.map(|text| base64::engine::general_purpose::STANDARD.decode(text).unwrap()).collect()
}

fn over_mutual_tls() -> Stream {
    let plain = stream(29, "tls", 28002, 46260, 713_260_000);
    let connection = Rc::try_unwrap(plain.info.connection).unwrap();
    let mut s = Stream::on(Connection {
        server_name: Some("server.example.com".into()),
        handshake_end: Some(plain.info.start),
        tls: Some(TlsInfo {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            local_uris: std::iter::once(Box::from("spiffe://cluster.local/ns/a/sa/server"))
                .collect(),
            local_subject: "O=Acme,CN=server".into(),
            peer: Some(PeerCertificate {
                identity: PeerIdentity {
                    uri_sans: ["spiffe://cluster.local/ns/b/sa/client".into()].into(),
                    dns_sans: ["client.example.com".into(), "c2.example.com".into()].into(),
                    ..PeerIdentity::default()
                },
                email_sans: ["c@example.com".into()].into(),
                ip_sans: ["10.0.0.2".parse().unwrap()].into(),
                subject: "C=DE,O=Acme\\, Inc,CN=client".into(),
                issuer: "CN=Test CA,O=Out\\, Inc".into(),
                serial: "0f00ff12345678".into(),
                sha256: "60d62e65c67f5058c13d24fbb03783148821cc63960c4f64ea34b2d9cf0bd747".into(),
                valid_from: 1_795_373_779,
                valid_until: 2_110_733_779,
                chain: chain(),
            }),
            ..TlsInfo::default()
        }),
        ..connection
    });
    (s.info.start, s.info.start_time) = (plain.info.start, plain.info.start_time);
    http(
        &mut s,
        "GET",
        "/ok",
        &[
            ("user-agent", "curl/7.88.1"),
            ("x-request-id", "4745405a-6abe-4ba2-8eb6-56390ce8e49c"),
            ("x-envoy-expected-rq-timeout-ms", "15000"),
        ],
    );
    let head = s.request.as_mut().unwrap();
    head.set_authority(b"server.example.com:28002");
    head.headers.set(Id::X_FORWARDED_PROTO, b"https");
    head.scheme = Scheme::Https;
    s.info.protocol = Some(Protocol::Http2);
    respond(
        &mut s,
        200,
        "via_upstream",
        &[
            ("content-type", "text/plain"),
            ("x-role", "one"),
            ("x-envoy-upstream-service-time", "0"),
        ],
    );
    s.info.bytes_sent = 5;
    s.info.route_name = "main \"route\"".into();
    upstream(&s, "127.0.0.1:60288", Some(Protocol::Http11));
    let at = [Some(46), Some(445), Some(445), Some(1033), Some(1169), Some(1133)];
    times(&mut s, at, 1_182_584);
    s
}

fn relayed() -> Stream {
    let mut s = stream(34, "tcp", 28003, 54548, 992_700_000);
    (s.info.bytes_received, s.info.bytes_sent) = (3, 8);
    s.info.stream_id.set(b"edb54995-c9e4-4f5f-adb7-3acf0a89298d".as_slice().into()).unwrap();
    upstream(&s, "127.0.0.1:34964", None);
    times(&mut s, [None; 6], 101_500_000);
    s
}

fn without_chain() -> Stream {
    let mut s = stream(0, "nomatch", 28005, 42028, 0);
    let connection = Rc::get_mut(&mut s.info.connection).unwrap();
    connection.filter_chain = "".into();
    s.log_type = LogType::NotSet;
    s.info.start_time = UNIX_EPOCH + Duration::new(1_795_374_004, 195_214_000);
    s.info.details = "filter_chain_not_found".into();
    s.info.fail(Some(ResponseFlag::NoRouteFound), CauseCode::Refused);
    s.info.timing.end = Some(s.info.start);
    s
}

#[test]
fn lines_are_those_that_envoy_wrote() {
    let streams = [
        to_a_host(),
        refused(),
        without_route(),
        grpc(),
        left_by_the_client(),
        no_request(),
        over_mutual_tls(),
        relayed(),
        without_chain(),
    ];
    let mut compared = 0;
    let mut wrong = Vec::new();
    for line in include_str!("testdata/envoy.tsv").lines() {
        let mut cells = line.split('\t');
        let format = format!("%{}%", cells.next().unwrap());
        for (index, (json, stream)) in cells.zip(&streams).enumerate() {
            if json.is_empty() {
                continue;
            }
            let text = match serde_json::from_str(json).unwrap() {
                serde_json::Value::Null => "-".to_owned(),
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            // A listener's stream has no id in Envoy, and who asks gives it one here.
            if format == "%STREAM_ID%" && index == 8 {
                continue;
            }
            let ours = (write_json(&format, stream), write(&format, stream));
            compared += 1;
            if ours != (json.to_owned(), text) {
                wrong.push(format!("{format} of stream {index}: {ours:?}, not {json}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 1_200, "{compared}");
}

/// What `misc.json` of the recording said.
const MISC: &str = r#"{
    "num": 1, "float": 1.5, "neg": -2, "big": 12345678901234567890, "exp": 1e30, "bool": true, "nul": null, "lit": "plain",
    "esc": "a\"b\\c\n\u00e9/<\u2028\u007f", "pct": "%%", "two": "%RESPONSE_CODE%%PROTOCOL%", "twoabs": "x%REQ(x-none)%y",
    "two2": "%REQ(x-none)%%REQ(x-none)%", "nest": {"z": "%RESPONSE_CODE%", "a": {"q": "%REQ(x-none)%"}, "empty": {}},
    "list": ["%RESPONSE_CODE%", "%REQ(x-none)%", 1, true, null, [], ["%REQ(x-none)%"], {"k": "%REQ(x-none)%"}], "Zed": "1", "_u": "2",
    "key \"q\" \n": "3", "emptystr": "", "lenum": "%REQ(:path):0%", "pctlit": "100%% %RESPONSE_CODE%"
}"#;

fn node(value: &serde_json::Value, options: Options) -> Node {
    use serde_json::Value;
    match value {
        Value::Null => Node::null(),
        Value::Bool(value) => Node::bool(*value),
        Value::Number(number) => Node::number(number.as_f64().unwrap()),
        Value::String(text) => Node::text(text, options).unwrap(),
        Value::Array(list) => Node::list(list.iter().map(|value| node(value, options)).collect()),
        Value::Object(_) => Node::object(members(value, options)),
    }
}

fn members(value: &serde_json::Value, options: Options) -> Vec<(String, Node)> {
    let members = value.as_object().unwrap().iter();
    members.map(|(key, value)| (key.clone(), node(value, options))).collect()
}

fn json_line(json: &str, omit_empty_values: bool, stream: &Stream) -> String {
    let options = Options { omit_empty_values, ..Options::default() };
    let members = members(&serde_json::from_str(json).unwrap(), options);
    let mut out = Vec::new();
    JsonFormat::new(members, omit_empty_values).write(&mut out, &stream.record());
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_envoys_shape() {
    let stream = to_a_host();
    let esc = "\"esc\":\"a\\\"b\\\\c\\n\u{e9}/<\u{2028}\u{7f}\"";
    let begin = format!(
        "{{\"Zed\":\"1\",\"_u\":\"2\",\"big\":12345678901234567168,\"bool\":true,\"emptystr\":\"\",{esc},\"exp\":1e+30,\"float\":1.5,\"key \\\"q\\\" \\n\":\"3\",\"lenum\":\"\","
    );
    let all = r#""list":[200,null,1,true,null,[],[null],{"k":null}],"lit":"plain","neg":-2,"nest":{"a":{"q":null},"empty":{},"z":200},"nul":null,"num":1,"pct":"%","pctlit":"100% 200","two":"200HTTP/1.1","two2":"--","twoabs":"x-y"}"#;
    assert_eq!(json_line(MISC, false, &stream), format!("{begin}{all}\n"));
    let omitted = r#""list":[200,1,true,[],[]],"lit":"plain","neg":-2,"nest":{"z":200},"num":1,"pct":"%","pctlit":"100% 200","two":"200HTTP/1.1","two2":"","twoabs":"xy"}"#;
    assert_eq!(json_line(MISC, true, &stream), format!("{begin}{omitted}\n"));
    let empty = r#"{"a": "%REQ(x)%", "b": {"c": "%REQ(x)%"}}"#;
    assert_eq!(json_line(empty, true, &stream), "{}\n");
    assert_eq!(json_line("{}", false, &stream), "{}\n");
}

#[test]
fn what_is_missing_can_be_omitted() {
    let options = Options { omit_empty_values: true, ..Options::default() };
    let format = "[%REQ(x-none)%|%REQ(x-empty)%|%RESPONSE_FLAGS%|%REQ(x-role)%]";
    assert_eq!(write_bytes(format, options, &to_a_host()), "[||-|r1]");
    assert_eq!(write(format, &to_a_host()), "[-||-|r1]");
}

#[test]
fn a_path_without_its_query_needs_its_formatter() {
    let options = Options { req_without_query: true, ..Options::default() };
    let format = "%REQ_WITHOUT_QUERY(x-none?:path):4% %REQ_WITHOUT_QUERY(:authority)%";
    let stream = request("GET", "/p?a=b", &[]);
    assert_eq!(write_bytes(format, options, &stream), "/p h.com:81");
}

/// One line, whatever a client sends. (CVE-2024-45808)
#[test]
fn no_header_breaks_a_line() {
    let hostile = [
        "x\n{\"admin\":true}",
        "x\r\nfake",
        "\u{1b}[2J",
        "\u{0}",
        "\"},{\"",
        "\\\"",
        "\u{7f}\u{85}\u{2028}",
    ];
    for value in hostile {
        let stream = request("GET", "/", &[("x-a", value), ("user-agent", value)]);
        let line = json_line(
            r#"{"a": "%REQ(x-a)%", "b": "%REQ(user-agent)% %REQ(x-a):3%"}"#,
            false,
            &stream,
        );
        assert_eq!(line.matches('\n').count(), 1, "{value:?}");
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["a"], value);
        assert_eq!(parsed.as_object().unwrap().len(), 2);
        assert!(!line.contains(['\u{1b}', '\u{0}', '\r']), "{value:?}");
        let text = write("%REQ(x-a)%", &stream);
        assert!(!text.contains(['\u{1b}', '\u{0}', '\r', '\n']), "{value:?}");
    }
}

#[test]
fn a_clock_that_went_back_is_no_panic() {
    let mut stream = to_a_host();
    stream.info.timing.request_end = stream.info.start.checked_sub(Duration::from_millis(5));
    assert_eq!(write("%REQUEST_DURATION%", &stream), "-5");
    assert_eq!(write("%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)%", &stream), "-");
    stream.info.timing.end = None;
    assert!(write("%DURATION%", &stream).parse::<u64>().is_ok());
}

#[test]
fn our_cause_is_told() {
    let stream = refused();
    assert!(write("%OUTRIGGER_CAUSE%", &stream).starts_with(CauseCode::Refused.as_str()));
    assert_eq!(write_json("%OUTRIGGER_CAUSE%", &to_a_host()), "null");
    assert!(Format::compile("%OUTRIGGER_CAUSE:3%").is_err());
}

/// Istio's default JSON line; where it names the cluster and the host, something of the same kind.
const ISTIO: &str = r#"{
    "start_time": "%START_TIME%", "route_name": "%ROUTE_NAME%", "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "protocol": "%PROTOCOL%", "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%", "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%", "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%", "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%", "user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%", "upstream_host": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "upstream_cluster": "%LISTENER_NAME%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%", "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%", "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%"
}"#;

#[inline(never)]
fn write_measured(log: &AccessLog, stream: &Stream) {
    log.write(&stream.record());
}

/// For `valgrind --tool=callgrind --toggle-collect='*write_measured*'`: 10,000 lines, each of which may cost 4,000 instructions and no allocation.
#[test]
#[ignore = "counts nothing by itself"]
fn a_line_of_istios_is_cheap() {
    let registry = Registry::new(StatsSpec::default(), 1).unwrap();
    let members = members(&serde_json::from_str(ISTIO).unwrap(), Options::default());
    assert_eq!(members.len(), 24);
    let line = Line::Json(JsonFormat::new(members, false));
    let file = LogFile::open("/dev/null", &registry).unwrap();
    let log = AccessLog::new(vec![Log { filter: None, line, file }]);
    let mut stream = to_a_host();
    stream.info.route_name = "default".into();
    for _ in 0..10_000 {
        write_measured(&log, &stream);
    }
}
