//! What a proxy costs while nothing happens.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use outrigger_tests::binary;
    use outrigger_tests::ports::free_port;
    use outrigger_tests::proxy::Proxy;
    use outrigger_tests::scratch::Scratch;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, sleep};

    /// The system calls in which a thread waits for events, and which of their arguments is the timeout. (x86-64, aarch64: epoll_wait, epoll_pwait)
    const WAITS: [&str; 3] = ["232", "281", "22"];
    const TIMEOUT: usize = 4;

    /// Whether the worker is in a wait that only an event can end.
    fn waits_for_ever(pid: u32) -> bool {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let mut workers = tasks.filter_map(|task| {
            let path = task.unwrap().path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            name.starts_with("wrk:worker").then(|| fs::read_to_string(path.join("syscall")))
        });
        let call = workers.next().expect("a worker").expect("the call in which it is");
        let fields: Vec<_> = call.split_whitespace().collect();
        let is_wait = fields.first().is_some_and(|number| WAITS.contains(number));
        // A C int in a register: its upper half is not defined.
        is_wait && fields.get(TIMEOUT).is_some_and(|timeout| timeout.ends_with("ffffffff"))
    }

    /// Every timeout in a wait costs a kernel timer that is set and cancelled, twice per request.
    #[tokio::test]
    async fn a_worker_waits_without_a_timeout_although_its_connections_have_deadlines() {
        let scratch = Scratch::new().unwrap();
        let (port, admin) = (free_port().unwrap(), free_port().unwrap());
        let address =
            |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
        let bootstrap = json!({
            "admin": { "address": address(admin) },
            "static_resources": { "listeners": [{
                "name": "idle",
                "address": address(port),
                "filter_chains": [{ "filters": [{
                    "name": "hcm",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "idle",
                        "common_http_protocol_options": { "idle_timeout": "60s", "max_connection_duration": "600s" },
                        "stream_idle_timeout": "30s",
                        "request_headers_timeout": "20s",
                        "route_config": { "virtual_hosts": [{
                            "name": "all", "domains": ["*"],
                            "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 200 } }]
                        }] },
                        "http_filters": [{
                            "name": "router",
                            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" }
                        }]
                    }
                }] }]
            }] }
        });
        let binary = binary::built().unwrap();
        let proxy = Proxy::start(&binary, &bootstrap, scratch.path(), admin).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut answer = [0; 512];
        for _ in 0..3 {
            client.write_all(b"GET / HTTP/1.1\r\nhost: idle\r\n\r\n").await.unwrap();
            let read = client.read(&mut answer).await.unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK"));
        }
        let limit = Instant::now() + Duration::from_secs(5);
        while !waits_for_ever(proxy.pid()) {
            assert!(Instant::now() < limit, "the worker waits with a timeout");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
