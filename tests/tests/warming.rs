//! The order of the start and of changes: nothing is open before all of it is there, nothing is replaced before its successor is complete, and what
//! has not changed is left alone.

#[cfg(test)]
mod tests {
    use outrigger_tests::control::World;
    use outrigger_tests::control::resources::{
        cluster, endpoints, listener, merged, routes, routes_of,
    };
    use outrigger_tests::control::small::{A_WHILE, BOTH, answer, backend, is, mesh, says};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::sleep;

    fn names(request: &Value) -> Vec<&str> {
        request["subscribe"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// One request on a connection that stays: the head of the answer.
    async fn ask(stream: &mut TcpStream) -> Option<String> {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.ok()?;
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).await.ok()?;
        Some(String::from_utf8_lossy(bytes.get(..read)?).into_owned())
    }

    #[tokio::test]
    async fn rule_37_clusters_then_endpoints_then_listeners_then_routes() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.remove("endpoints").unwrap();
            world.remove("routes").unwrap();
            world.start_plane().await.unwrap();
            let bootstrap = world.bootstrap();
            world.launch(&bootstrap).unwrap();
            let plane = world.plane().unwrap();
            let first = plane.until(|line| line["event"] == "request").await.unwrap();
            assert!(first["type"].as_str().unwrap().ends_with(".Cluster"), "{first}");
            assert_eq!(names(&first), [""; 0], "rule 3");
            assert!(first["node"].as_str().unwrap().starts_with("sidecar~"), "{first}");
            let asked = plane.request("ClusterLoadAssignment", |_| true).await.unwrap();
            assert_eq!(names(&asked), ["a"]);
            sleep(A_WHILE).await;
            assert_eq!(world.stat("listener_manager.lds.update_attempt").await.unwrap(), Some(0));
            assert_eq!(world.stat("server.state").await.unwrap(), Some(2), "{form:?}");

            world.write("endpoints", &endpoints("a", &[backend.port()])).unwrap();
            world.push().await.unwrap();
            let plane = world.plane().unwrap();
            let asked = plane.request("RouteConfiguration", |_| true).await.unwrap();
            assert_eq!(names(&asked), ["r"]);
            sleep(A_WHILE).await;
            assert!(world.get("/").await.is_none(), "open without its routes");
            assert_eq!(world.stat("server.state").await.unwrap(), Some(3), "{form:?}");
            assert_eq!(world.stat("listener_manager.workers_started").await.unwrap(), Some(0));

            world.write("routes", &routes("r", "a")).unwrap();
            world.push().await.unwrap();
            world.proxy().unwrap().ready().await.unwrap();
            assert_eq!(world.get("/").await.unwrap().0, 200, "{form:?}");
        }
    }

    #[tokio::test]
    async fn rule_38_what_never_comes_is_given_up_in_time() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            let patience = json!({ "eds_cluster_config": { "eds_config": {
                "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0.3s"
            } } });
            world.write("cluster2", &cluster("never", patience)).unwrap();
            world.start().await.unwrap();
            assert_eq!(world.get("/").await.unwrap().0, 200);
            world.write("routes", &routes("r", "never")).unwrap();
            world.push().await.unwrap();
            world.until("/", is(503)).await.unwrap();
            assert_eq!(world.stat("cluster.never.init_fetch_timeout").await.unwrap(), Some(1));
        }
    }

    #[tokio::test]
    async fn rule_17_clusters_are_acknowledged_when_none_is_warming() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            world.write("cluster2", &cluster("late", json!({}))).unwrap();
            world.push().await.unwrap();
            let plane = world.plane().unwrap();
            let is_late = |line: &Value| names(line).contains(&"late");
            plane.request("ClusterLoadAssignment", is_late).await.unwrap();
            assert_eq!(world.stat("cluster_manager.warming_clusters").await.unwrap(), Some(1));
            let plane = world.plane().unwrap();
            let answer = tokio::time::timeout(A_WHILE, plane.request("Cluster", |_| true)).await;
            assert!(answer.is_err(), "{form:?}: {answer:?}");
            world.write("endpoints2", &endpoints("late", &[backend.port()])).unwrap();
            world.push().await.unwrap();
            let plane = world.plane().unwrap();
            let answer = plane.request(".Cluster", |_| true).await.unwrap();
            assert_eq!(answer["error"], "");
            assert_eq!(world.stat("cluster_manager.warming_clusters").await.unwrap(), Some(0));
        }
    }

    #[tokio::test]
    async fn a_server_that_dies_while_a_cluster_is_warming_is_asked_for_all_again() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            world.write("cluster2", &cluster("late", json!({}))).unwrap();
            world.push().await.unwrap();
            let is_late = |line: &Value| names(line).contains(&"late");
            world.plane().unwrap().request("ClusterLoadAssignment", is_late).await.unwrap();
            world.kill_plane().unwrap();
            // The next server knows nothing of that cluster.
            world.remove("cluster2").unwrap();
            world.write("routes", &routes_of("r", answer("again"))).unwrap();
            world.start_plane().await.unwrap();
            world.until("/", says("again")).await.unwrap();
            world.until_stat("cluster_manager.warming_clusters", |n| n == 0).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_listener_serves_as_before_until_its_successor_has_its_routes() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
            assert!(ask(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));

            world.write("listener", &listener("main", world.port, "next", json!({}))).unwrap();
            world.push().await.unwrap();
            let is_next = |line: &Value| names(line).contains(&"next");
            world.plane().unwrap().request("RouteConfiguration", is_next).await.unwrap();
            sleep(A_WHILE).await;
            assert_eq!(world.get("/").await.unwrap().0, 200, "{form:?}");
            let dump = world.dump("resource=dynamic_listeners").await.unwrap();
            assert!(dump["configs"][0]["warming_state"].is_object(), "{dump}");
            assert!(dump["configs"][0]["active_state"].is_object(), "{dump}");

            world.write("routes2", &routes_of("next", answer("next"))).unwrap();
            world.push().await.unwrap();
            world.until("/", says("next")).await.unwrap();
            let answer = ask(&mut stream).await.unwrap();
            assert!(answer.ends_with("next"), "the old connection follows: {answer}");
            assert!(!answer.contains("connection: close"), "{answer}");
        }
    }

    #[tokio::test]
    async fn what_is_said_again_drains_nothing_and_is_not_news() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            // A chain without a name has no successor: a connection would have to go if the listener were made anew.
            let unnamed = listener("main", world.port, "r", json!({ "name": "" }));
            world.write("listener", &unnamed).unwrap();
            world.start().await.unwrap();
            let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
            assert!(ask(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
            for round in 0..5 {
                world.write("cluster2", &cluster(&format!("c{round}"), json!({}))).unwrap();
                world.write("endpoints2", &endpoints(&format!("c{round}"), &[1])).unwrap();
                world.push().await.unwrap();
                let name = format!("c{round}");
                let plane = world.plane().unwrap();
                plane
                    .request("ClusterLoadAssignment", |l| names(l).contains(&name.as_str()))
                    .await
                    .unwrap();
                // Clusters are acknowledged when none warms (rule 17), and this server says nothing more of them before.
                world.until_stat("cluster_manager.warming_clusters", |n| n == 0).await.unwrap();
                assert!(!ask(&mut stream).await.unwrap().contains("connection: close"));
            }
            for name in ["listener_manager.listener_modified", "cluster_manager.cluster_modified"] {
                assert_eq!(world.stat(name).await.unwrap(), Some(0), "{form:?} {name}");
            }
        }
    }

    #[tokio::test]
    async fn a_new_subset_is_called_as_soon_as_it_is_there() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.write("routes", &routes("r", "outbound|80|v3|a")).unwrap();
            world.start().await.unwrap();
            assert_eq!(world.get("/").await.unwrap().0, 503, "rule 40");
            world.write("subset", &cluster("outbound|80|v3|a", json!({}))).unwrap();
            world.write("of_subset", &endpoints("outbound|80|v3|a", &[backend.port()])).unwrap();
            world.push().await.unwrap();
            world.until("/", is(200)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn rule_42_an_address_can_be_taken_over_in_one_push() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            world.remove("listener").unwrap();
            world.write("renamed", &listener("other", world.port, "r2", json!({}))).unwrap();
            world.write("routes2", &routes_of("r2", answer("other"))).unwrap();
            world.push().await.unwrap();
            world.until("/", says("other")).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_change_of_one_chain_leaves_connections_of_the_others_alone() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.write("listener", &two_chains(&world, "one")).unwrap();
            world.start().await.unwrap();
            let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
            assert!(ask(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
            world.write("listener", &two_chains(&world, "two")).unwrap();
            world.push().await.unwrap();
            let updated = "listener_manager.listener_in_place_updated";
            world.until_stat(updated, |n| n == 1).await.unwrap();
            assert!(!ask(&mut stream).await.unwrap().contains("connection: close"), "{form:?}");
            // Its own chain changes, and has no name to be found by: it has to go.
            let changed = listener(
                "main",
                world.port,
                "r",
                json!({
                    "name": "", "transport_socket_connect_timeout": "3s",
                }),
            );
            world.write("listener", &changed).unwrap();
            world.push().await.unwrap();
            world.until_stat(updated, |n| n == 2).await.unwrap();
            assert!(ask(&mut stream).await.unwrap().contains("connection: close"), "{form:?}");
        }
    }

    fn two_chains(world: &World, prefix: &str) -> Value {
        let one = listener("main", world.port, "r", json!({ "name": "" }));
        let mut chain = one["filter_chains"][0].clone();
        chain["filters"][0]["typed_config"]["stat_prefix"] = prefix.into();
        chain["filter_chain_match"] = json!({ "source_ports": [1] });
        merged(one.clone(), json!({ "filter_chains": [one["filter_chains"][0].clone(), chain] }))
    }
}
