//! Istio's own filters: two proxies of a mesh with mTLS between them, and what each of them reports of HTTP, gRPC and TCP.
//!
//! Envoy from the registry does not have these filters, so there is no other side to compare with: what is expected is what Istio's
//! dashboards ask for, label by label.

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::time::Duration;

    use flate2::read::GzDecoder;
    use outrigger_tests::binary;
    use outrigger_tests::certs::Certs;
    use outrigger_tests::client::{Client, Ends, Heard};
    use outrigger_tests::metadata::{entry, field, frame};
    use outrigger_tests::ports::free_port;
    use outrigger_tests::proxy::Proxy;
    use outrigger_tests::scratch::Scratch;
    use outrigger_tests::upstream::Upstreams;
    use outrigger_tests::upstream::script::Script;
    use serde_json::{Value, json};

    const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    const TCP_PROXY: &str =
        "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
    const H2: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

    /// Two proxies with an application behind the second.
    struct Mesh {
        client: Proxy,
        server: Proxy,
        ends: Ends,
        _scratch: [Scratch; 3],
        _upstreams: Upstreams,
    }

    fn typed(type_url: &str, fields: Value) -> Value {
        let mut config = fields;
        config["@type"] = json!(format!("type.googleapis.com/{type_url}"));
        config
    }

    fn wrapped(type_url: &str, value: Value) -> Value {
        let type_url = format!("type.googleapis.com/{type_url}");
        typed("udpa.type.v1.TypedStruct", json!({"type_url": type_url, "value": value}))
    }

    fn filter(name: &str, config: Value) -> Value {
        json!({"name": name, "typed_config": config})
    }

    fn tcp_exchange() -> Value {
        let value = json!({"protocol": "istio-peer-exchange", "enable_discovery": true});
        let config = wrapped("envoy.tcp.metadataexchange.config.MetadataExchange", value);
        filter("istio.metadata_exchange", config)
    }

    fn http_exchange(side: &str) -> Value {
        let value = json!({
            format!("{side}_discovery"): [{"istio_headers": {}}, {"workload_discovery": {}}],
            format!("{side}_propagation"): [{"istio_headers": {}}],
        });
        filter("istio.metadata_exchange", wrapped("io.istio.http.peer_metadata.Config", value))
    }

    fn stats(config: Value) -> Value {
        filter("istio.stats", typed("stats.PluginConfig", config))
    }

    fn grpc_stats() -> Value {
        let config = json!({"emit_filter_state": true, "stats_for_all_methods": false});
        let type_url = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";
        filter("envoy.filters.http.grpc_stats", typed(type_url, config))
    }

    fn router() -> Value {
        let type_url = "envoy.extensions.filters.http.router.v3.Router";
        filter("envoy.filters.http.router", typed(type_url, json!({})))
    }

    /// As in Istio's bootstrap: what Prometheus scrapes goes through the data path.
    fn scraped(port: u16, admin: u16) -> (Value, Value) {
        let compressor = |library: &str, message: &str| {
            let package = format!("envoy.extensions.compression.{library}.compressor.v3.{message}");
            let config = json!({
                "compressor_library": {"name": format!("stats_{library}"), "typed_config": typed(&package, json!({}))},
                "response_direction_config": {"common_config": {"content_type": [
                    "text/plain", "application/vnd.google.protobuf", "application/openmetrics-text", "application/openmetrics-protobuf",
                ]}},
            });
            let type_url = "envoy.extensions.filters.http.compressor.v3.Compressor";
            filter(&format!("envoy.filters.http.compressor.{library}"), typed(type_url, config))
        };
        let filters = vec![
            compressor("brotli", "Brotli"),
            compressor("zstd", "Zstd"),
            compressor("gzip", "Gzip"),
            router(),
        ];
        let manager = manager("prometheus_stats", filters);
        let listener = listener("scraped", port, "UNSPECIFIED", vec![manager]);
        (listener, cluster("prometheus_stats", admin, json!({})))
    }

    fn alpn() -> Value {
        let config = json!({"alpn_override": [
            {"upstream_protocol": "HTTP10", "alpn_override": ["istio-http/1.0", "istio", "http/1.0"]},
            {"upstream_protocol": "HTTP11", "alpn_override": ["istio-http/1.1", "istio", "http/1.1"]},
            {"upstream_protocol": "HTTP2", "alpn_override": ["istio-h2", "istio", "h2"]},
        ]});
        let type_url = "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig";
        filter("istio.alpn", typed(type_url, config))
    }

    fn manager(cluster: &str, filters: Vec<Value>) -> Value {
        let route = json!({"match": {"prefix": "/"}, "route": {"cluster": cluster}});
        let hosts = json!([{"name": "all", "domains": ["*"], "routes": [route]}]);
        filter(
            "envoy.filters.network.http_connection_manager",
            json!({
                "@type": MANAGER, "stat_prefix": "mesh", "http_filters": filters,
                "route_config": {"name": "r", "virtual_hosts": hosts},
            }),
        )
    }

    fn tcp_proxy(cluster: &str) -> Value {
        let config = json!({"@type": TCP_PROXY, "stat_prefix": "mesh", "cluster": cluster});
        filter("envoy.filters.network.tcp_proxy", config)
    }

    fn address(port: u16) -> Value {
        json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
    }

    fn listener(name: &str, port: u16, direction: &str, filters: Vec<Value>) -> Value {
        json!({
            "name": name, "address": address(port), "traffic_direction": direction,
            "filter_chains": [{"filters": filters}],
        })
    }

    /// A cluster with one host; `fields` are added.
    fn cluster(name: &str, port: u16, fields: Value) -> Value {
        let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]);
        let mut cluster = json!({
            "name": name, "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        });
        for (key, value) in fields.as_object().unwrap() {
            cluster[key] = value.clone();
        }
        cluster
    }

    fn certificates(certs: &Certs, name: &str, alpn: &[&str]) -> Value {
        let file = |name: String| json!({"filename": certs.dir().join(name)});
        json!({
            "tls_certificates": [{
                "certificate_chain": file(format!("{name}.crt")),
                "private_key": file(format!("{name}.key")),
            }],
            "validation_context": {"trusted_ca": file("ca.crt".into())},
            "alpn_protocols": alpn,
        })
    }

    fn upstream_tls(certs: &Certs) -> Value {
        let common = certificates(certs, "client", &["istio-peer-exchange", "istio"]);
        let config = json!({
            "@type": format!("{TLS}.UpstreamTlsContext"), "common_tls_context": common,
        });
        json!({"name": "tls", "typed_config": config})
    }

    fn downstream_tls(certs: &Certs, alpn: &[&str]) -> Value {
        let config = json!({
            "@type": format!("{TLS}.DownstreamTlsContext"),
            "common_tls_context": certificates(certs, "server", alpn),
            "require_client_certificate": true,
        });
        json!({"name": "tls", "typed_config": config})
    }

    /// A node as Istio's agent describes it.
    fn node(app: &str) -> Value {
        json!({
            "id": format!("sidecar~127.0.0.1~{app}-0.default~default.svc.cluster.local"),
            "cluster": app,
            "metadata": {
                "NAME": format!("{app}-0"), "NAMESPACE": "default", "CLUSTER_ID": "Kubernetes",
                "WORKLOAD_NAME": format!("{app}-v1"), "ISTIO_VERSION": "1.32.0",
                "OWNER": format!("kubernetes://apis/apps/v1/namespaces/default/deployments/{app}-v1"),
                "LABELS": {
                    "app": app, "version": "v1", "service.istio.io/canonical-name": app,
                    "service.istio.io/canonical-revision": "v1",
                },
            },
        })
    }

    fn bootstrap(app: &str, admin: u16, listeners: Vec<Value>, clusters: Vec<Value>) -> Value {
        json!({
            "node": node(app),
            "admin": {"address": address(admin)},
            // As Istio says it: its own metrics are let through by their names.
            "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [
                {"prefix": "istio"}, {"prefix": "metadata_exchange"}, {"prefix": "cluster.echo.grpc"},
            ]}}},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        })
    }

    /// What a server's proxy has for clients with certificates: HTTP and bytes, told apart by ALPN.
    fn inbound_listener(certs: &Certs, port: u16, inbound_stats: &Value) -> Value {
        let http_filters =
            vec![http_exchange("downstream"), grpc_stats(), stats(inbound_stats.clone()), router()];
        let chain = |matches: &[&str], alpn: &[&str], filters: Vec<Value>| {
            json!({
                "filter_chain_match": {"application_protocols": matches},
                "transport_socket": downstream_tls(certs, alpn),
                "filters": filters,
            })
        };
        let by_peers = vec![tcp_exchange(), stats(inbound_stats.clone()), tcp_proxy("bytes")];
        let inspector =
            "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
        json!({
            "name": "inbound", "address": address(port), "traffic_direction": "INBOUND",
            "listener_filters": [filter("tls", json!({"@type": inspector}))],
            "filter_chains": [
                chain(
                    &["istio-http/1.0", "istio-http/1.1", "istio-h2"],
                    &["h2", "http/1.1"],
                    vec![tcp_exchange(), manager("app", http_filters)],
                ),
                chain(
                    &["istio-peer-exchange", "istio"],
                    &["istio-peer-exchange", "h2", "http/1.1"],
                    by_peers,
                ),
            ],
        })
    }

    /// Upstreams are spoken to as clients speak.
    fn as_the_client() -> Value {
        let protocol = json!({
            "@type": H2, "use_downstream_protocol_config": {"http2_protocol_options": {}},
        });
        let options = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol});
        json!({"typed_extension_protocol_options": options})
    }

    /// The server, as its clients' proxies know it.
    fn echo(certs: &Certs) -> Value {
        let services = json!([{"host": "echo.default.svc.cluster.local", "name": "echo", "namespace": "default"}]);
        let mut echo = as_the_client();
        echo["transport_socket"] = upstream_tls(certs);
        echo["metadata"] = json!({"filter_metadata": {"istio": {"services": services}}});
        echo["filters"] = json!([tcp_exchange()]);
        echo
    }

    /// What a client's proxy has: HTTP, bytes, and HTTP with other labels.
    fn outbound_listeners([http, tcp, changed]: [u16; 3]) -> Vec<Value> {
        let outbound =
            |stats: Value| vec![http_exchange("upstream"), alpn(), grpc_stats(), stats, router()];
        let mut other_labels = outbound(stats(json!({"metrics": [
            {"name": "requests_total", "dimensions": {"request_method": "request.method"}, "tags_to_remove": ["response_flags"]},
            {"name": "request_bytes", "drop": true},
        ]})));
        other_labels.remove(2);
        let bytes = vec![stats(json!({"tcp_reporting_duration": "0.2s"})), tcp_proxy("echo")];
        let requests = manager("echo", outbound(stats(json!({}))));
        vec![
            listener("http", http, "OUTBOUND", vec![requests]),
            listener("tcp", tcp, "OUTBOUND", bytes),
            listener("changed", changed, "OUTBOUND", vec![manager("echo", other_labels)]),
        ]
    }

    impl Mesh {
        async fn start(inbound_stats: Value) -> Self {
            let scratch = [(); 3].map(|()| Scratch::new().unwrap());
            let [own, client_dir, server_dir] = &scratch;
            let certs = Arc::new(Certs::create(&own.path().join("certs")).unwrap());
            let upstreams = Upstreams::start(&certs, own.path()).await.unwrap();
            let [inbound, http, tcp] = [(); 3].map(|()| free_port().unwrap());
            let [server_admin, client_admin] = [(); 2].map(|()| free_port().unwrap());
            let [changed, scraped_at] = [(); 2].map(|()| free_port().unwrap());
            let (scraped, admin) = scraped(scraped_at, server_admin);
            let server = bootstrap(
                "echo",
                server_admin,
                vec![inbound_listener(&certs, inbound, &inbound_stats), scraped],
                vec![
                    admin,
                    cluster("app", upstreams.ports["UPSTREAM1"], as_the_client()),
                    cluster("bytes", upstreams.ports["TCP1"], json!({})),
                ],
            );
            let listeners = outbound_listeners([http, tcp, changed]);
            let echo = cluster("echo", inbound, echo(&certs));
            let client = bootstrap("sleep", client_admin, listeners, vec![echo]);
            let binary = binary::built().unwrap();
            let server =
                Proxy::start(&binary, &server, server_dir.path(), server_admin).await.unwrap();
            let client =
                Proxy::start(&binary, &client, client_dir.path(), client_admin).await.unwrap();
            let recorder = Arc::clone(&upstreams.recorder);
            let mut ports = upstreams.ports.clone();
            ports.extend([
                ("http".to_owned(), http),
                ("tcp".to_owned(), tcp),
                ("changed".to_owned(), changed),
                ("scraped".to_owned(), scraped_at),
                ("inbound".to_owned(), inbound),
            ]);
            let ends = Ends { ports, dir: own.path().to_owned(), certs, recorder };
            Self { client, server, ends, _scratch: scratch, _upstreams: upstreams }
        }

        async fn exchange(&self, client: Value, script: Value) -> Heard {
            self.ends.recorder.begin(Script::from_value(script).unwrap());
            let client: Client = serde_json::from_value(client).unwrap();
            client.run(&self.ends).await.unwrap()
        }
    }

    /// The series of a proxy that begin with `name`, once `enough` of them are there.
    async fn series(proxy: &Proxy, name: &str, enough: usize) -> Vec<String> {
        for _ in 0..100 {
            let (_, text) = proxy.admin.get("/stats/prometheus").await.unwrap();
            let lines: Vec<_> =
                text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect();
            if lines.len() >= enough {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (_, text) = proxy.admin.get("/stats/prometheus").await.unwrap();
        panic!("{name}: not {enough} series in\n{text}");
    }

    /// Labels of both reporters that say who talks to whom.
    fn peers(reporter: &str) -> String {
        format!(
            "reporter=\"{reporter}\",source_workload=\"sleep-v1\",source_canonical_service=\"sleep\",\
             source_canonical_revision=\"v1\",source_workload_namespace=\"default\",\
             source_principal=\"spiffe://cluster.local/ns/default/sa/client\",source_app=\"sleep\",\
             source_version=\"v1\",source_cluster=\"Kubernetes\",destination_workload=\"echo-v1\",\
             destination_workload_namespace=\"default\",\
             destination_principal=\"spiffe://cluster.local/ns/default/sa/server\",\
             destination_app=\"echo\",destination_version=\"v1\",\
             destination_service=\"{host}\",destination_canonical_service=\"echo\",\
             destination_canonical_revision=\"v1\",destination_service_name=\"echo\",\
             destination_service_namespace=\"default\",destination_cluster=\"Kubernetes\"",
            host = if reporter == "source" { "echo.default.svc.cluster.local" } else { "echo" },
        )
    }

    const SECURITY: [(&str, &str); 2] = [("source", "unknown"), ("destination", "mutual_tls")];

    #[tokio::test]
    async fn requests_are_reported_by_both_sides() {
        let mesh = Mesh::start(json!({"disable_host_header_fallback": true})).await;
        let get = json!({"to": "http", "get": "/x"});
        let heard = mesh.exchange(get, json!([{"status": 200, "body": "hello"}])).await;
        let head = &heard.responses.first().unwrap().head;
        assert_eq!(head.status(), 200);
        assert!(!format!("{head:?}").contains("x-envoy-peer-metadata"), "{head:?}");
        let seen = mesh.ends.recorder.seen();
        let seen = format!("{:?}", seen.first().unwrap().head);
        assert!(!seen.contains("x-envoy-peer-metadata"), "the application sees {seen}");

        for (proxy, (reporter, security)) in [&mesh.client, &mesh.server].into_iter().zip(SECURITY)
        {
            let peers = peers(reporter);
            let labels = format!(
                "{peers},request_protocol=\"http\",response_code=\"200\",grpc_response_status=\"\",\
                 response_flags=\"-\",connection_security_policy=\"{security}\""
            );
            let total = series(proxy, "istio_requests_total{", 1).await;
            assert_eq!(total, [format!("istio_requests_total{{{labels}}} 1")]);
            for name in ["request_bytes", "response_bytes", "request_duration_milliseconds"] {
                let count = series(proxy, &format!("istio_{name}_count{{"), 1).await;
                assert_eq!(count, [format!("istio_{name}_count{{{labels}}} 1")]);
            }
            let sum = series(proxy, "istio_request_bytes_sum{", 1).await;
            let bytes: u64 = sum.first().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
            assert!(bytes > 30, "a head alone is longer: {sum:?}");
            let build = series(proxy, "istio_build{", 1).await;
            assert_eq!(build, ["istio_build{component=\"proxy\",tag=\"1.32.0\"} 1"]);
            let (_, text) = proxy.admin.get("/stats/prometheus").await.unwrap();
            assert!(text.contains("# TYPE istio_requests_total counter\n"), "{text}");
            assert!(text.contains("# TYPE istio_build gauge\n") && !text.contains("# HELP"));
        }
    }

    #[tokio::test]
    async fn calls_and_their_messages_are_reported_by_both_sides() {
        let mesh = Mesh::start(json!({"disable_host_header_fallback": true})).await;
        let message = "\u{0}\u{0}\u{0}\u{0}\u{3}abc";
        let request = json!({
            "method": "POST", "path": "/a.B/C", "body": format!("{message}{message}"),
            "headers": ["content-type: application/grpc", "te: trailers"],
        });
        let reply = json!([{
            "headers": ["content-type: application/grpc"], "body": message,
            "trailers": ["grpc-status: 7"],
        }]);
        let heard = mesh.exchange(json!({"to": "http", "requests": [request]}), reply).await;
        assert_eq!(heard.responses.first().unwrap().head.status(), 200);
        for (proxy, (reporter, security)) in [&mesh.client, &mesh.server].into_iter().zip(SECURITY)
        {
            let peers = peers(reporter);
            let total = series(proxy, "istio_requests_total{", 1).await;
            let expected = format!(
                "istio_requests_total{{{peers},request_protocol=\"grpc\",response_code=\"200\",\
                 grpc_response_status=\"7\",response_flags=\"-\",connection_security_policy=\"{security}\"}} 1"
            );
            assert_eq!(total, [expected]);
            for (name, count) in [("request", 2), ("response", 1)] {
                let name = format!("istio_{name}_messages_total{{");
                assert_eq!(series(proxy, &name, 1).await, [format!("{name}{peers}}} {count}")]);
            }
        }
        let (_, text) = mesh.client.admin.get("/stats?filter=grpc").await.unwrap();
        for line in [
            "failure: 1",
            "total: 1",
            "7: 1",
            "request_message_count: 2",
            "response_message_count: 1",
        ] {
            assert!(text.contains(&format!("cluster.echo.grpc.{line}\n")), "{line} in {text}");
        }
    }

    #[tokio::test]
    async fn connections_are_reported_by_both_sides_while_they_last() {
        let mesh = Mesh::start(json!({"disable_host_header_fallback": true})).await;
        // The server speaks first: nothing may wait for the client's bytes.
        let steps = json!([{"await_text": "TCP1>"}, {"raw": "hello"}, {"await_text": "hello"}, {"pause_ms": 600}, "shutdown", {"await_text": "bye"}]);
        let labels = |reporter: &str, security: &str| {
            let peers = peers(reporter);
            format!(
                "{peers},request_protocol=\"tcp\",response_flags=\"-\",connection_security_policy=\"{security}\""
            )
        };
        let opened = async {
            let opened = series(&mesh.client, "istio_tcp_connections_opened_total{", 1).await;
            (opened, mesh.client.admin.get("/stats/prometheus").await.unwrap().1)
        };
        let exchange = mesh.exchange(json!({"to": "tcp", "steps": steps}), json!([]));
        let (heard, (opened, during)) = tokio::join!(exchange, opened);
        assert!(
            heard.bytes.starts_with(b"TCP1>hello"),
            "{:?}",
            String::from_utf8_lossy(&heard.bytes)
        );
        let source = labels("source", "unknown");
        assert_eq!(opened, [format!("istio_tcp_connections_opened_total{{{source}}} 1")]);
        assert!(!during.contains("istio_tcp_connections_closed_total{"), "closed before its end");

        for (proxy, (reporter, security)) in [&mesh.client, &mesh.server].into_iter().zip(SECURITY)
        {
            let labels = labels(reporter, security);
            let closed = series(proxy, "istio_tcp_connections_closed_total{", 1).await;
            assert_eq!(closed, [format!("istio_tcp_connections_closed_total{{{labels}}} 1")]);
            let received = series(proxy, "istio_tcp_received_bytes_total{", 1).await;
            assert_eq!(received, [format!("istio_tcp_received_bytes_total{{{labels}}} 5")]);
            let sent = series(proxy, "istio_tcp_sent_bytes_total{", 1).await;
            assert_eq!(
                sent,
                [format!("istio_tcp_sent_bytes_total{{{labels}}} {}", heard.bytes.len())]
            );
            let (_, text) = proxy.admin.get("/stats?filter=metadata_exchange").await.unwrap();
            assert!(text.contains("metadata_exchange.alpn_protocol_found: 1\n"), "{text}");
            assert!(text.contains("metadata_exchange.metadata_added: 1\n"), "{text}");
        }
    }

    #[tokio::test]
    async fn labels_are_changed_metric_by_metric() {
        let mesh = Mesh::start(json!({})).await;
        mesh.exchange(json!({"to": "changed", "get": "/x"}), json!([{"status": 404}])).await;
        let total = series(&mesh.client, "istio_requests_total{", 1).await;
        let total = total.first().unwrap();
        let end = "grpc_response_status=\"\",connection_security_policy=\"unknown\",request_method=\"GET\"} 1";
        assert!(total.ends_with(end), "{total}");
        let sizes = series(&mesh.client, "istio_response_bytes_count{", 1).await;
        assert!(sizes.first().unwrap().contains("response_flags=\"-\""), "{sizes:?}");
        let (_, text) = mesh.client.admin.get("/stats/prometheus").await.unwrap();
        assert!(!text.contains("istio_request_bytes"), "{text}");
        // The host is the service where nobody disables it and the cluster says nothing.
        let total = series(&mesh.server, "istio_requests_total{", 1).await;
        assert!(total.first().unwrap().contains("destination_service=\"a.test\""), "{total:?}");
    }

    #[tokio::test]
    async fn bytes_of_another_proxy_are_understood_and_ours_are_what_it_expects() {
        let mesh = Mesh::start(json!({"disable_host_header_fallback": true})).await;
        let raw = |bytes: &[u8]| -> String { bytes.iter().copied().map(char::from).collect() };
        let told = frame("stranger-v7");
        let (begin, rest) = told.split_at(11);
        let rest = [rest, b"hello"].concat();
        let steps = json!([
            {"raw": raw(begin)}, {"pause_ms": 50}, {"raw": raw(&rest)}, {"await_text": "hello"}, "shutdown", {"await_text": "bye"},
        ]);
        let tls = json!({"alpn": ["istio-peer-exchange"], "cert": "client"});
        let client = json!({"to": "inbound", "tls": tls, "steps": steps});
        let heard = mesh.exchange(client, json!([])).await;
        let (magic, after) = heard.bytes.split_at(4);
        assert_eq!(magic, [0x3d, 0x23, 0x04, 0x67], "{:?}", raw(&heard.bytes));
        let (length, after) = after.split_first_chunk::<4>().unwrap();
        let (any, application) = after.split_at(u32::from_be_bytes(*length) as usize);
        assert!(application.starts_with(b"TCP1>hello"), "{:?}", raw(application));
        let type_url = field(1, b"type.googleapis.com/google.protobuf.Struct");
        assert!(any.starts_with(&type_url), "{:?}", raw(any));
        for part in [
            entry("WORKLOAD_NAME", &field(3, b"echo-v1")),
            entry("NAMESPACE", &field(3, b"default")),
            entry("app", &field(3, b"echo")),
            entry(
                "x-envoy-peer-metadata-id",
                &field(3, b"sidecar~127.0.0.1~echo-0.default~default.svc.cluster.local"),
            ),
        ] {
            assert!(any.windows(part.len()).any(|window| window == part), "{:?}", raw(&part));
        }
        let closed = series(&mesh.server, "istio_tcp_connections_closed_total{", 1).await;
        let labels = "source_workload=\"stranger-v7\",source_canonical_service=\"unknown\",source_canonical_revision=\"latest\",\
                      source_workload_namespace=\"default\"";
        assert!(closed.first().unwrap().contains(labels), "{closed:?}");
    }

    #[tokio::test]
    async fn what_is_scraped_comes_compressed_for_who_asks() {
        let mesh = Mesh::start(json!({"disable_host_header_fallback": true})).await;
        mesh.exchange(json!({"to": "http", "get": "/x"}), json!([{"status": 200}])).await;
        series(&mesh.server, "istio_requests_total{", 1).await;
        let scrape = |accepted: &'static str| {
            let headers = json!([format!("accept-encoding: {accepted}")]);
            let get = json!({"to": "scraped", "get": "/stats/prometheus", "headers": headers});
            async { mesh.exchange(get, json!([])).await.responses.remove(0) }
        };
        let plain = scrape("identity").await;
        assert_eq!(plain.head.value("content-encoding"), None);
        let zipped = scrape("zstd, br, gzip;q=0.5").await;
        assert_eq!(zipped.head.value("content-encoding"), Some(&b"gzip"[..]));
        assert_eq!(zipped.head.value("vary"), Some(&b"Accept-Encoding"[..]));
        assert!(zipped.body.len() * 3 < plain.body.len(), "{}", zipped.body.len());
        let mut text = String::new();
        GzDecoder::new(&*zipped.body).read_to_string(&mut text).unwrap();
        for text in [&*text, &*String::from_utf8_lossy(&plain.body)] {
            let peers = peers("destination");
            assert!(text.contains(&format!("istio_requests_total{{{peers},")), "{text}");
            assert!(text.ends_with('\n'));
        }
    }

    #[tokio::test]
    async fn what_never_reached_a_host_is_reported_too() {
        let mesh = Mesh::start(json!({"disable_host_header_fallback": true})).await;
        mesh.exchange(json!({"to": "http", "get": "/x"}), json!([{"fail": "reset"}])).await;
        let total = series(&mesh.server, "istio_requests_total{", 1).await;
        let total = total.first().unwrap();
        assert!(
            total.contains("response_code=\"503\"") && total.contains("response_flags=\"UC\""),
            "{total}"
        );
        assert!(total.contains(&peers("destination")), "{total}");
    }
}
