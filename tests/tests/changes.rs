//! Configuration that changes under load: routes, endpoints, clusters, listeners and certificates are replaced, the control plane dies and comes
//! back, and no request is lost.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use outrigger_tests::certs::Certs;
    use outrigger_tests::control::resources::{
        certificate, cluster, endpoints, listener, merged, mutual_tls, roots, routes_of, sds,
    };
    use outrigger_tests::control::{Form, World};
    use outrigger_tests::load::{self, Backend, Tally};
    use outrigger_tests::ports::free_port;
    use serde_json::json;
    use tokio::time::{Instant, sleep};

    const LASTS: Duration = Duration::from_secs(6);
    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: load\r\n\r\n";

    fn unlimited() -> serde_json::Value {
        json!({ "circuit_breakers": { "thresholds": [{
            "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000, "max_retries": 100_000
        }] } })
    }

    /// Routes that are other ones in every round, and lead to the same clusters.
    fn shuffled(round: u32) -> serde_json::Value {
        let to = |cluster: &str| json!({ "cluster": cluster, "timeout": "30s" });
        let weighted = json!({ "weighted_clusters": { "clusters": [
            { "name": "one", "weight": 1 + round % 99 },
            { "name": "two", "weight": 100 - round % 99 },
        ] } });
        json!([
            { "match": { "prefix": format!("/nobody-{round}") }, "route": to("one") },
            { "match": { "prefix": "/" }, "route": if round.is_multiple_of(3) { to("two") } else { weighted } },
        ])
    }

    #[expect(clippy::too_many_lines, reason = "one story, told in its order")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_request_is_lost_while_everything_changes() {
        for form in [Form::Delta, Form::Sotw] {
            let mut world = World::new(form).unwrap();
            let delay = Duration::from_millis(1);
            let backends: Vec<_> = (0..3).map(|_| Backend::start(delay).unwrap()).collect();
            let ports: Vec<_> = backends.iter().map(Backend::port).collect();
            let certs = Certs::create(&world.scratch.path().join("certs")).unwrap();
            let pem = |file: &str| fs::read_to_string(certs.dir().join(file)).unwrap();
            // The second cluster leads through this proxy once more, over mutual TLS.
            let inner = free_port().unwrap();
            let source = sds("sds-grpc", "0s");
            let up = json!({ "transport_socket": mutual_tls("Upstream", &source, json!({})) });
            let required = json!({ "require_client_certificate": true, });
            let down = json!({
                "name": "inner", "transport_socket": mutual_tls("Downstream", &source, required),
            });
            world.write("one", &cluster("one", unlimited())).unwrap();
            world.write("two", &cluster("two", merged(unlimited(), up))).unwrap();
            world.write("e-one", &endpoints("one", &ports)).unwrap();
            world.write("e-two", &endpoints("two", &[inner])).unwrap();
            world
                .write("outer", &listener("outer", world.port, "r", json!({ "name": "outer" })))
                .unwrap();
            world.write("inner", &listener("inner", inner, "in", down)).unwrap();
            world.write("routes", &routes_of("r", shuffled(0))).unwrap();
            let into = json!([{ "match": { "prefix": "/" }, "route": { "cluster": "one", "timeout": "30s" } }]);
            world.write("r-in", &routes_of("in", into)).unwrap();
            world.write("root", &roots("ROOTCA", &pem("ca.crt"))).unwrap();
            let own = |name: &str| {
                certificate("default", &pem(&format!("{name}.crt")), &pem(&format!("{name}.key")))
            };
            world.write("own", &own("server")).unwrap();
            world.start().await.unwrap();

            let (http1, http2) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
            let port = world.port;
            let one = tokio::spawn({
                let tally = http1.clone();
                async move { load::run(port, 20, u64::MAX, REQUEST, &tally).await }
            });
            let two = tokio::spawn({
                let tally = http2.clone();
                async move { load::run_http2(port, 4, 10, u64::MAX, &tally).await }
            });
            let until = Instant::now() + LASTS;
            let mut round = 0;
            while Instant::now() < until {
                round += 1;
                world.write("routes", &routes_of("r", shuffled(round))).unwrap();
                // One of three hosts leaves and comes back.
                let away = ports[round as usize % 3];
                let left: Vec<_> = ports.iter().copied().filter(|port| *port != away).collect();
                world.write("e-one", &endpoints("one", &left)).unwrap();
                if round % 5 == 0 {
                    world
                        .write("own", &own(if round % 2 == 0 { "other" } else { "client" }))
                        .unwrap();
                }
                if round % 7 == 0 {
                    let timeout = json!({ "connect_timeout": format!("{}s", 5 + round % 9) });
                    world.write("one", &cluster("one", merged(unlimited(), timeout))).unwrap();
                }
                if round % 11 == 0 {
                    world.kill_plane().unwrap();
                    sleep(Duration::from_millis(150)).await;
                    world.start_plane().await.unwrap();
                } else {
                    world.push().await.unwrap();
                }
                sleep(Duration::from_millis(120)).await;
            }
            http1.stop();
            http2.stop();
            one.await.unwrap();
            two.await.unwrap();
            for (protocol, tally) in [("HTTP/1", &http1), ("HTTP/2", &http2)] {
                let (answers, good) = (tally.answers(), tally.answered(200));
                println!("{form:?} {protocol}: {answers} answers in {round} rounds");
                assert_eq!(
                    (tally.lost(), answers - good),
                    (0, 0),
                    "{form:?} {protocol}: {:?} {tally:?}",
                    tally.first_loss()
                );
                assert!(answers > 1_000, "{protocol}: {answers}");
            }
            for name in
                ["cluster_manager.cds.update_rejected", "listener_manager.lds.update_rejected"]
            {
                assert_eq!(world.stat(name).await.unwrap(), Some(0), "{name}");
            }
            assert!(world.stat("sds.default.update_success").await.unwrap() > Some(3));
            // What handshakes have settled is counted on both sides; clients go no further than TLS 1.2 unless they are told to.
            for owner in ["cluster.two".to_owned(), format!("listener.127.0.0.1_{inner}")] {
                let handshakes = world.stat(&format!("{owner}.ssl.handshake")).await.unwrap();
                let versions = world.stat(&format!("{owner}.ssl.versions.TLSv1.2")).await.unwrap();
                assert!(handshakes > Some(0) && versions == handshakes, "{owner}: {versions:?}");
            }
            // Nobody was told to leave: the clients have the connections that they began with.
            let connections = format!("listener.127.0.0.1_{port}.downstream_cx_total");
            assert_eq!(world.stat(&connections).await.unwrap(), Some(24), "{form:?}");
        }
    }
}
