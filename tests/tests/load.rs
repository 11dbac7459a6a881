//! What must hold while many requests are under way: a proxy that leaves loses none, a breaker lets no more through than its limit, a backend that
//! dies is not noticed.

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use outrigger_tests::binary;
    use outrigger_tests::load::{self, Backend, Tally};
    use outrigger_tests::ports::free_port;
    use outrigger_tests::proxy::Proxy;
    use outrigger_tests::scratch::Scratch;
    use serde_json::{Value, json};
    use tokio::time::{Instant, sleep, timeout};

    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: load\r\n\r\n";

    struct Running {
        proxy: Proxy,
        port: u16,
        scratch: Scratch,
    }

    /// A proxy in front of these hosts; `cluster` and `route` are laid over what both have anyway.
    async fn start(hosts: &[u16], cluster: Value, route: Value, flags: &[&str]) -> Running {
        let scratch = Scratch::new().unwrap();
        let (port, admin) = (free_port().unwrap(), free_port().unwrap());
        let address =
            |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
        let endpoints: Vec<_> =
            hosts.iter().map(|port| json!({ "endpoint": { "address": address(*port) } })).collect();
        let mut service = json!({
            "name": "service",
            "connect_timeout": "5s",
            "load_assignment": {
                "cluster_name": "service", "endpoints": [{ "lb_endpoints": endpoints }]
            },
        });
        merge(&mut service, cluster);
        let mut action = json!({ "cluster": "service", "timeout": "30s" });
        merge(&mut action, route);
        let bootstrap = json!({
            "admin": { "address": address(admin) },
            "static_resources": {
                "listeners": [{
                    "name": "load",
                    "address": address(port),
                    "filter_chains": [{ "filters": [{
                        "name": "hcm",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                            "stat_prefix": "load",
                            "codec_type": "AUTO",
                            "route_config": { "virtual_hosts": [{
                                "name": "all", "domains": ["*"],
                                "routes": [{ "match": { "prefix": "/" }, "route": action }]
                            }] },
                            "http_filters": [{
                                "name": "router",
                                "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" }
                            }]
                        }
                    }] }]
                }],
                "clusters": [service]
            }
        });
        let binary: PathBuf = binary::built().unwrap();
        let proxy =
            Proxy::start_with(&binary, &bootstrap, scratch.path(), admin, flags).await.unwrap();
        Running { proxy, port, scratch }
    }

    fn merge(value: &mut Value, over: Value) {
        if let (Value::Object(value), Value::Object(over)) = (value, over) {
            value.extend(over);
        }
    }

    fn unlimited() -> Value {
        json!({ "circuit_breakers": { "thresholds": [{
            "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000, "max_retries": 100_000
        }] } })
    }

    async fn ended(running: &mut Running) -> String {
        let wait = async {
            loop {
                if let Some(status) = running.proxy.ended() {
                    return status;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(40), wait).await.unwrap()
    }

    /// Requests before, while and after the proxy is told to leave, until it takes no more connections.
    async fn drained_under_load(leave: impl AsyncFn(&Running), ends_by_itself: bool) {
        const ENOUGH: u64 = 20_000;
        let backend = Backend::start(Duration::from_millis(2)).unwrap();
        let flags = ["--concurrency", "2", "--drain-time-s", "5"];
        let mut running = start(&[backend.port()], unlimited(), json!({}), &flags).await;
        let tally = Arc::new(Tally::default());
        let port = running.port;
        let http1 = tokio::spawn({
            let tally = tally.clone();
            async move { load::run(port, 40, u64::MAX, REQUEST, &tally).await }
        });
        let http2 = tokio::spawn({
            let tally = tally.clone();
            async move { load::run_http2(port, 4, 10, u64::MAX, &tally).await }
        });
        let limit = Instant::now() + Duration::from_secs(60);
        while tally.answers() < ENOUGH && Instant::now() < limit {
            sleep(Duration::from_millis(20)).await;
        }
        let before = tally.answers();
        leave(&running).await;
        sleep(Duration::from_secs(2)).await;
        let during = tally.answers() - before;
        // The load balancer in front has taken the proxy out by now.
        tally.stop();
        http1.await.unwrap();
        http2.await.unwrap();
        if ends_by_itself {
            assert_eq!(ended(&mut running).await, "exit status: 0");
        }
        assert!(before >= ENOUGH, "only {before} requests");
        assert!(during > 100, "only {during} requests while draining");
        assert_eq!(tally.answered(200), tally.answers());
        assert_eq!((tally.lost(), tally.first_loss()), (0, None));
        println!("drained: {} answered, {during} of them while draining, 0 lost", tally.answers());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn leaving_by_signal_loses_nothing() {
        drained_under_load(async |running: &Running| running.proxy.signal("TERM").unwrap(), true)
            .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn draining_by_the_admin_port_loses_nothing() {
        let drain = async |running: &Running| {
            let (status, _) = running.proxy.admin.post("/drain_listeners?graceful").await.unwrap();
            assert_eq!(status, 200);
        };
        drained_under_load(drain, false).await;
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once() {
        let backend = Backend::start(Duration::from_secs(60)).unwrap();
        let flags = ["--drain-time-s", "600"];
        let mut running = start(&[backend.port()], json!({}), json!({}), &flags).await;
        let tally = Arc::new(Tally::default());
        let port = running.port;
        let client = tokio::spawn({
            let tally = tally.clone();
            async move { load::run(port, 1, 1, REQUEST, &tally).await }
        });
        while backend.total() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        running.proxy.signal("TERM").unwrap();
        sleep(Duration::from_millis(500)).await;
        assert_eq!(running.proxy.ended(), None);
        let told = Instant::now();
        running.proxy.signal("TERM").unwrap();
        ended(&mut running).await;
        assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
        client.await.unwrap();
        assert_eq!(tally.lost(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_breaker_lets_no_more_through_than_its_limit() {
        let backend = Backend::start(Duration::from_millis(50)).unwrap();
        let limits = json!({ "circuit_breakers": { "thresholds": [{ "max_requests": 5 }] } });
        let running = start(&[backend.port()], limits, json!({}), &["--concurrency", "2"]).await;
        let tally = Arc::new(Tally::default());
        load::run(running.port, 1000, 50_000, REQUEST, &tally).await;
        assert_eq!((tally.lost(), tally.first_loss()), (0, None));
        assert_eq!(tally.answered(200) + tally.answered(503), tally.answers());
        assert!(tally.answered(503) > 0 && tally.answered(200) > 5);
        assert_eq!(backend.most(), 5);
        println!("breaker: {} let through, {} refused", tally.answered(200), tally.answered(503));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_backend_that_is_killed_each_second_fails_no_request() {
        const ENOUGH: u64 = 20_000;
        let mut backends = Vec::new();
        for _ in 0..4 {
            backends.push(Backend::start(Duration::from_millis(1)).unwrap());
        }
        let ports: Vec<_> = backends.iter().map(Backend::port).collect();
        let retries = json!({ "retry_policy": {
            "retry_on": "connect-failure,reset",
            "num_retries": 3,
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": { "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" }
            }],
            "host_selection_retry_max_attempts": 5
        } });
        let running = start(&ports, unlimited(), retries, &["--concurrency", "2"]).await;
        let tally = Arc::new(Tally::default());
        let port = running.port;
        let clients = tokio::spawn({
            let tally = tally.clone();
            async move { load::run(port, 64, u64::MAX, REQUEST, &tally).await }
        });
        let mut kills = 0;
        let limit = Instant::now() + Duration::from_secs(60);
        while (tally.answers() < ENOUGH || kills < 8) && Instant::now() < limit {
            let victim = kills % backends.len();
            backends[victim].kill().await;
            sleep(Duration::from_secs(1)).await;
            backends[victim].revive().unwrap();
            kills += 1;
        }
        tally.stop();
        clients.await.unwrap();
        let retried = "cluster.service.upstream_rq_retry".to_owned();
        let stats = running.proxy.admin.stats(std::slice::from_ref(&retried)).await.unwrap();
        assert!(tally.answers() >= ENOUGH, "only {} requests", tally.answers());
        assert_eq!(tally.answered(200), tally.answers());
        assert_eq!((tally.lost(), tally.first_loss()), (0, None));
        assert!(stats[&retried] > 0, "nothing was retried");
        println!(
            "backends: {} answered, {kills} killed, {} retries, 0 failed",
            tally.answers(),
            stats[&retried]
        );
        drop(running.scratch);
    }
}
