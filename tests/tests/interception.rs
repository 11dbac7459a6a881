//! Redirected connections, as a sidecar gets them: real `iptables` rules in a network namespace, Envoy and Outrigger on the same bootstrap, and what
//! clients, applications and access logs saw of both.
//!
//! Needs root, `ip` and `iptables`; elsewhere it says so and proves nothing. The test starts itself once more inside the namespace (`inside`).

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    use std::{env, fs, process, thread};

    use outrigger_tests::binary;
    use outrigger_tests::child::Process;
    use outrigger_tests::scratch::Scratch;
    use serde_json::{Value, json};

    /// The user whose connections are not redirected, as in Istio's rules.
    const PROXY: &str = "1337";
    const PATIENCE: Duration = Duration::from_secs(10);
    /// No bytes, but the end of them only after the listener filters have given up.
    const LATE: &str = "late";
    const FILES: &str = "OUTRIGGER_INTERCEPTION";

    /// A network namespace, gone with its owner.
    struct Namespace(String);

    impl Namespace {
        fn new(side: &str) -> Self {
            let name = format!("outrigger-{}-{side}", process::id());
            run("ip", &["netns", "add", &name]);
            Self(name)
        }
    }

    impl Drop for Namespace {
        fn drop(&mut self) {
            drop(Command::new("ip").args(["netns", "del", &self.0]).status());
        }
    }

    fn run(program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    }

    fn is_possible() -> bool {
        let works = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let name = format!("outrigger-{}-try", process::id());
        let is_root = works("ip", &["netns", "add", &name]);
        let has_rules = is_root
            && works("ip", &["netns", "exec", &name, "iptables", "-t", "nat", "-L"])
            && works("ip", &["netns", "exec", &name, "ip6tables", "-t", "nat", "-L"])
            && works("setpriv", &["--reuid", PROXY, "true"]);
        if is_root {
            run("ip", &["netns", "del", &name]);
        }
        has_rules
    }

    #[test]
    fn redirected_connections_reach_what_they_were_meant_for() {
        if !is_possible() {
            eprintln!("NOT PROVEN: interception needs root, ip, iptables and setpriv");
            return;
        }
        let own = observe("outrigger", &binary::built().unwrap());
        let told = |name: &str| own.get(name).map(String::as_str);
        for (name, answer) in [
            ("a listener that is not bound takes its port", "app 10.9.1.5:8081 from 10.9.1.1"),
            ("a host that no route knows is reached itself", "app 10.9.1.1:80 from 10.9.1.1"),
            ("no HTTP on the port", "app 10.9.1.1:80 from 10.9.1.1 raw: hello\r\n"),
            ("the exact address goes before all addresses", "app 10.9.1.4:9001 from 10.9.1.1"),
            ("nobody's port stays where it arrived", "app 10.9.1.1:9000 from 10.9.1.1"),
            ("inbound", "app 10.9.0.1:8080 from 127.0.0.6"),
            ("inbound, another port", "app 10.9.0.1:9000 from 127.0.0.6 raw: hello\r\n"),
            ("inbound, a client that waits", "app 10.9.0.1:9000 from 127.0.0.6"),
            ("IPv6", "app [fd00:9::2]:9000 from fd00:9::2"),
            ("IPv6, inbound", "app [fd00:9::1]:8080 from ::6"),
            ("nobody listens there", ""),
            ("the proxy's own port", ""),
            ("the proxy's own inbound port", ""),
            ("hosts that nobody uses are forgotten", "0"),
        ] {
            assert_eq!(told(name), Some(answer), "{name}: {own:#?}");
        }
        match binary::locate("../.venv/bin/envoy") {
            Ok(envoy) => assert_eq!(observe("envoy", &envoy), own, "Envoy, Outrigger"),
            Err(error) => eprintln!("NOT COMPARED: {error:#}"),
        }
    }

    /// What a proxy does in a namespace of its own.
    fn observe(side: &str, proxy: &Path) -> BTreeMap<String, String> {
        let scratch = Scratch::new().unwrap();
        let namespace = Namespace::new(side);
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let binary = scratch.path().join("proxy");
        fs::copy(proxy, &binary).unwrap();
        let own = env::current_exe().unwrap();
        let output = Command::new("ip")
            .args(["netns", "exec", &namespace.0])
            .arg(own)
            .args(["--exact", "tests::inside", "--ignored", "--nocapture"])
            .env(FILES, scratch.path())
            .output()
            .unwrap();
        let seen = fs::read(scratch.path().join("seen.json")).ok();
        let seen = seen.and_then(|text| serde_json::from_slice(&text).ok());
        let text = String::from_utf8_lossy(&output.stderr);
        let log = fs::read_to_string(scratch.path().join("proxy.log")).unwrap_or_default();
        seen.unwrap_or_else(|| panic!("{side}: {text}\n{log}"))
    }

    #[test]
    #[ignore = "the other test runs it in a namespace"]
    fn inside() {
        let files = PathBuf::from(env::var_os(FILES).unwrap());
        plumb();
        for address in [
            "10.9.0.1:8080",
            "10.9.0.1:9000",
            "10.9.1.1:80",
            "10.9.1.1:9000",
            "10.9.1.4:9001",
            "10.9.1.5:8081",
            "[fd00:9::1]:8080",
            "[fd00:9::2]:9000",
        ] {
            application(address);
        }
        let config = files.join("bootstrap.json");
        fs::write(&config, bootstrap(&files).to_string()).unwrap();
        let as_proxy = ["--reuid", PROXY, "--regid", PROXY, "--clear-groups"].map(String::from);
        let mut arguments = as_proxy.to_vec();
        arguments.push(files.join("proxy").display().to_string());
        let flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"];
        arguments.extend(flags.map(String::from));
        arguments.extend(["--file-flush-interval-msec", "20", "-c"].map(String::from));
        arguments.push(config.display().to_string());
        let log = files.join("proxy.log");
        let mut proxy = Process::start(Path::new("/usr/bin/setpriv"), &arguments, log).unwrap();
        let limit = Instant::now() + PATIENCE;
        while !admin("/ready").contains("200 OK") {
            assert!(proxy.ended().is_none() && Instant::now() < limit, "{}", proxy.last_output(9));
            thread::sleep(Duration::from_millis(20));
        }
        let mut seen = BTreeMap::new();
        let get = |to: &str, host: &str| body(&talk(to, &request(host)));
        let mut note = |name: &str, value: String| {
            seen.insert(name.to_owned(), value);
        };
        let named = get("10.9.1.3:80", "known");
        note("a listener that is not bound takes its port", named);
        note("a host that no route knows is reached itself", get("10.9.1.1:80", "other"));
        note("no HTTP on the port", talk("10.9.1.1:80", "hello\r\n"));
        note("the exact address goes before all addresses", talk("10.9.1.2:9000", ""));
        note("nobody's port stays where it arrived", talk("10.9.1.1:9000", ""));
        note("inbound", get("10.9.0.1:8080", "app"));
        note("inbound, another port", talk("10.9.0.1:9000", "hello\r\n"));
        note("inbound, a client that waits", talk("10.9.0.1:9000", LATE));
        note("IPv6", talk("[fd00:9::2]:9000", ""));
        note("IPv6, inbound", get("[fd00:9::1]:8080", "app"));
        note("nobody listens there", talk("10.9.1.1:9999", ""));
        note("the proxy's own port", talk("127.0.0.1:15001", ""));
        note("the proxy's own inbound port", talk("127.0.0.1:15006", "hello\r\n"));
        let stat = |name: &str| {
            let stats = admin("/stats");
            let start = format!("{name}: ");
            let found = stats.lines().find_map(|line| line.strip_prefix(&start));
            found.unwrap_or_default().to_owned()
        };
        let limit = Instant::now() + PATIENCE;
        while stat("cluster.passthrough.membership_total") != "0" && Instant::now() < limit {
            thread::sleep(Duration::from_millis(100));
        }
        let left = stat("cluster.passthrough.membership_total");
        note("hosts that nobody uses are forgotten", left);
        for name in [
            "listener.0.0.0.0_15001.downstream_cx_total",
            "listener.0.0.0.0_80.downstream_cx_total",
            "listener.10.9.1.2_9000.downstream_cx_total",
            "listener.0.0.0.0_15006.downstream_cx_total",
            "listener.0.0.0.0_15001.no_filter_chain_match",
            "listener.0.0.0.0_15001.downstream_cx_active",
            "cluster.passthrough.upstream_cx_total",
            "cluster.inbound.upstream_cx_total",
            "cluster.black_hole.upstream_cx_none_healthy",
            "http_inspector.http_not_found",
        ] {
            note(name, stat(name));
        }
        drop(proxy);
        let lines = fs::read_to_string(files.join("access.log")).unwrap_or_default();
        let mut lines: Vec<_> = lines.lines().collect();
        lines.sort_unstable();
        note("access log", lines.join("\n"));
        fs::write(files.join("seen.json"), json!(seen).to_string()).unwrap();
    }

    /// Addresses and rules: what leaves for 10.9.1.0/24 is redirected to 15001, what is for the pod's own address to 15006, but for the proxy's own.
    fn plumb() {
        let ip = |line: &str| run("ip", &line.split(' ').collect::<Vec<_>>());
        ip("link set lo up");
        ip("addr add 10.9.0.1/24 dev lo");
        for host in 1..=5 {
            ip(&format!("addr add 10.9.1.{host}/24 dev lo"));
        }
        ip("addr add fd00:9::1/64 dev lo nodad");
        ip("addr add fd00:9::2/64 dev lo nodad");
        // Istio's rules leave the proxy's IPv6 source to the pod as well.
        ip("addr add ::6/128 dev lo nodad");
        let rule = |program: &str, line: &str| {
            let line = format!("-t nat -A OUTPUT {line}");
            run(program, &line.split(' ').collect::<Vec<_>>());
        };
        for program in ["iptables", "ip6tables"] {
            rule(program, &format!("-m owner --uid-owner {PROXY} -j RETURN"));
        }
        rule("iptables", "-p tcp -d 10.9.0.1 -j REDIRECT --to-ports 15006");
        rule("iptables", "-p tcp -d 10.9.1.0/24 -j REDIRECT --to-ports 15001");
        rule("ip6tables", "-p tcp -d fd00:9::1 -j REDIRECT --to-ports 15006");
        rule("ip6tables", "-p tcp -d fd00:9::2 -j REDIRECT --to-ports 15001");
    }

    /// Answers every connection with where it arrived and from where, and with what it said if that was no HTTP.
    fn application(address: &str) {
        let socket = TcpListener::bind(address).unwrap();
        thread::spawn(move || {
            for stream in socket.incoming() {
                thread::spawn(move || answer(stream.unwrap()));
            }
        });
    }

    fn answer(mut stream: TcpStream) {
        let (at, from) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap().ip());
        let text = format!("app {at} from {from}");
        let mut buffer = [0; 4096];
        let mut said = Vec::new();
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => said.extend_from_slice(&buffer[..length]),
            }
            if said.ends_with(b"\r\n\r\n") {
                let length = text.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all((head + &text).as_bytes()).unwrap();
                said.clear();
                return;
            }
        }
        let said = String::from_utf8_lossy(&said);
        let raw = if said.is_empty() { String::new() } else { format!(" raw: {said}") };
        drop(stream.write_all((text + &raw).as_bytes()));
    }

    fn request(host: &str) -> String {
        format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
    }

    /// All that comes back for these bytes.
    fn talk(to: &str, bytes: &str) -> String {
        let to: SocketAddr = to.parse().unwrap();
        let Ok(mut stream) = TcpStream::connect_timeout(&to, PATIENCE) else {
            return "refused".into();
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let bytes = if bytes == LATE {
            thread::sleep(Duration::from_secs(1));
            ""
        } else {
            bytes
        };
        if stream.write_all(bytes.as_bytes()).is_err() {
            return String::new();
        }
        if !bytes.starts_with("GET") {
            // Envoy's inspectors do not look at bytes that come with the end of them.
            thread::sleep(Duration::from_millis(200));
            drop(stream.shutdown(Shutdown::Write));
        }
        let mut heard = Vec::new();
        drop(stream.read_to_end(&mut heard));
        String::from_utf8_lossy(&heard).into_owned()
    }

    fn body(response: &str) -> String {
        response.split_once("\r\n\r\n").map_or(response, |(_, body)| body).to_owned()
    }

    fn admin(path: &str) -> String {
        talk(
            "127.0.0.1:15000",
            &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        )
    }

    fn address(host: &str, port: u16) -> Value {
        json!({"socket_address": {"address": host, "port_value": port}})
    }

    fn original(name: &str, rest: Value) -> Value {
        let mut cluster = json!({
            "name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
            "connect_timeout": "2s", "cleanup_interval": "0.5s",
        });
        if let (Some(cluster), Value::Object(rest)) = (cluster.as_object_mut(), rest) {
            cluster.extend(rest);
        }
        cluster
    }

    fn fixed(name: &str, host: Option<(&str, u16)>) -> Value {
        let endpoints: Vec<_> = host
            .into_iter()
            .map(|(host, port)| json!({"endpoint": {"address": address(host, port)}}))
            .collect();
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "2s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        })
    }

    fn log(files: &Path) -> Value {
        let format = "%UPSTREAM_CLUSTER% %UPSTREAM_HOST% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% \
             %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS% %RESPONSE_CODE% \
             %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n";
        json!([{"name": "file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": files.join("access.log"),
            "log_format": {"text_format_source": {"inline_string": format}},
        }}])
    }

    fn tcp(cluster: &str, files: &Path) -> Value {
        json!([{"name": "tcp", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": cluster, "cluster": cluster, "access_log": log(files),
        }}])
    }

    fn http(hosts: &Value, files: &Path) -> Value {
        json!([{"name": "http", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "http", "access_log": log(files),
            "route_config": {"name": "r", "virtual_hosts": hosts},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            }}],
        }}])
    }

    fn host(domain: &str, cluster: &str) -> Value {
        let route = json!({"match": {"prefix": "/"}, "route": {"cluster": cluster}});
        json!({"name": cluster, "domains": [domain], "routes": [route]})
    }

    fn listener_filter(name: &str) -> Value {
        let (package, message) = match name {
            "original_dst" => ("original_dst", "OriginalDst"),
            _ => ("http_inspector", "HttpInspector"),
        };
        let of_type =
            format!("type.googleapis.com/envoy.extensions.filters.listener.{package}.v3.{message}");
        json!({"name": name, "typed_config": {"@type": of_type}})
    }

    fn bootstrap(files: &Path) -> Value {
        let port = |port: u16| json!({"destination_port": port});
        let outbound = |name: &str, at: &str| {
            json!({
                "name": name, "address": address(at, 15001), "use_original_dst": true,
                "traffic_direction": "OUTBOUND",
                "filter_chains": [
                    {"name": "own", "filter_chain_match": port(15001), "filters": tcp("black_hole", files)},
                    {"name": "others", "filters": tcp("passthrough", files)},
                ],
            })
        };
        let inbound = |name: &str, at: &str| {
            json!({
                "name": name, "address": address(at, 15006), "traffic_direction": "INBOUND",
                "listener_filters": [listener_filter("original_dst"), listener_filter("http_inspector")],
                "listener_filters_timeout": "0.5s", "continue_on_listener_filters_timeout": true,
                "connection_balance_config": {"exact_balance": {}},
                "filter_chains": [
                    {"name": "own", "filter_chain_match": port(15006), "filters": tcp("black_hole", files)},
                    {"name": "8080", "filter_chain_match": port(8080),
                     "filters": http(&json!([host("*", "inbound")]), files)},
                    {"name": "others", "filters": tcp("inbound", files)},
                ],
            })
        };
        let source = json!({"upstream_bind_config": {
            "source_address": {"address": "127.0.0.6", "port_value": 0},
            "extra_source_addresses": [{"address": {"address": "::6", "port_value": 0}}],
        }});
        let unknown = json!({"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "passthrough"}},
        ]});
        json!({
            "admin": {"address": address("127.0.0.1", 15000)},
            "static_resources": {
                "listeners": [
                    outbound("outbound", "0.0.0.0"),
                    outbound("outbound6", "::"),
                    inbound("inbound", "0.0.0.0"),
                    inbound("inbound6", "::"),
                    {
                        "name": "0.0.0.0_80", "address": address("0.0.0.0", 80), "bind_to_port": false,
                        "listener_filters": [listener_filter("http_inspector")],
                        "filter_chains": [{
                            "filter_chain_match": {"application_protocols": ["http/1.1", "h2c"]},
                            "filters": http(&json!([host("known", "known"), unknown]), files),
                        }],
                        "default_filter_chain": {"filters": tcp("passthrough", files)},
                    },
                    {
                        "name": "10.9.1.2_9000", "address": address("10.9.1.2", 9000), "bind_to_port": false,
                        "filter_chains": [{"filters": tcp("exact", files)}],
                    },
                    {
                        "name": "0.0.0.0_9001", "address": address("0.0.0.0", 9001), "bind_to_port": false,
                        "filter_chains": [{"filters": tcp("black_hole", files)}],
                    },
                ],
                "clusters": [
                    original("passthrough", json!({})),
                    original("inbound", source),
                    fixed("black_hole", None),
                    fixed("known", Some(("10.9.1.5", 8081))),
                    fixed("exact", Some(("10.9.1.4", 9001))),
                ],
            },
        })
    }
}
