//! Rules of xDS that show only in a proxy: what a push does to traffic and to `/config_dump`, in both forms of the protocol. The others are tested in
//! `xds-client`, and the order of things in `warming.rs`.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use outrigger_tests::control::resources::{
        cluster, endpoints, listener, routes, routes_of, server_cluster,
    };
    use outrigger_tests::control::small::{BOTH, backend, is, mesh};
    use outrigger_tests::control::{Form, World};
    use serde_json::{Value, json};
    use tokio::time::sleep;

    /// The dynamic cluster of this name that is in force.
    async fn active(world: &World, name: &str) -> Option<Value> {
        let dump = world.dump("resource=dynamic_active_clusters").await.unwrap();
        let clusters = dump["configs"].as_array().cloned().unwrap_or_default();
        clusters.into_iter().find(|entry| entry["cluster"]["name"] == name)
    }

    async fn until_updated(world: &mut World, stat: &str) {
        let before = world.stat(stat).await.unwrap().unwrap_or(0);
        world.push().await.unwrap();
        world.until_stat(stat, |n| n > before).await.unwrap();
    }

    #[tokio::test]
    async fn rule_18_absence_of_endpoints_and_routes_means_nothing_in_state_of_the_world() {
        let backend = backend().unwrap();
        let mut world = mesh(Form::Sotw, &backend).unwrap();
        let other = self::backend().unwrap();
        world.write("cluster2", &cluster("b", json!({}))).unwrap();
        world.write("endpoints2", &endpoints("b", &[])).unwrap();
        let to = |path: &str, name: &str| json!({ "match": { "prefix": path }, "route": { "cluster": name } });
        world.write("routes", &routes_of("r", json!([to("/b", "b"), to("/", "a")]))).unwrap();
        world.start().await.unwrap();
        world.until("/b", is(503)).await.unwrap();
        world.remove("endpoints").unwrap();
        world.write("endpoints2", &endpoints("b", &[other.port()])).unwrap();
        world.push().await.unwrap();
        world.until("/b", is(200)).await.unwrap();
        assert_eq!(world.get("/").await.unwrap().0, 200, "its endpoints were not named");
    }

    #[tokio::test]
    async fn rule_20_and_21_what_is_bad_is_refused_by_itself_and_the_last_good_serves() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            let held = active(&world, "a").await.unwrap();
            world.write("cluster", &cluster("a", json!({ "connect_timeout": "-1s" }))).unwrap();
            world.write("cluster2", &cluster("b", json!({}))).unwrap();
            world.write("endpoints2", &endpoints("b", &[backend.port()])).unwrap();
            world.push().await.unwrap();
            let refusal = world.plane().unwrap().refusal("Cluster").await.unwrap();
            assert!(
                refusal.starts_with("Error adding/updating cluster(s) a: connect_timeout: "),
                "{refusal}"
            );
            world.until_stat("cluster_manager.cds.update_rejected", |n| n > 0).await.unwrap();
            world.until_stat("cluster_manager.warming_clusters", |n| n == 0).await.unwrap();
            let now = active(&world, "a").await.unwrap();
            assert_eq!(now["cluster"], held["cluster"], "{form:?}");
            assert!(now["error_state"]["details"].is_string(), "{now}");
            let metrics = world.admin("/stats/prometheus").await.unwrap();
            let refused = "outrigger_config_refused_total{resource=\"cluster\"} ";
            assert!(metrics.contains(refused), "{form:?}");
            assert!(active(&world, "b").await.is_some(), "{form:?}: the good one is taken");
            assert_eq!(world.get("/").await.unwrap().0, 200, "{form:?}");
        }
    }

    #[tokio::test]
    async fn rule_30_removed_endpoints_are_gone_in_delta() {
        let backend = backend().unwrap();
        let mut world = mesh(Form::Delta, &backend).unwrap();
        world.start().await.unwrap();
        assert_eq!(world.get("/").await.unwrap().0, 200);
        assert_eq!(world.stat("cluster.a.membership_total").await.unwrap(), Some(1));
        world.remove("endpoints").unwrap();
        world.push().await.unwrap();
        world.until("/", is(503)).await.unwrap();
        assert_eq!(world.stat("cluster.a.membership_total").await.unwrap(), Some(0));
    }

    #[tokio::test]
    async fn rule_40_discovered_routes_may_name_clusters_that_are_not_there_and_inline_ones_may_not()
     {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.write("routes", &routes("r", "later")).unwrap();
            world.start().await.unwrap();
            world.until("/", is(503)).await.unwrap();
            let mut inline = listener("inline", world.port, "r", json!({}));
            let manager = &mut inline["filter_chains"][0]["filters"][0]["typed_config"];
            manager.as_object_mut().unwrap().remove("rds");
            manager["route_config"] = routes("r", "nowhere");
            manager["route_config"].as_object_mut().unwrap().remove("@type");
            inline["address"] =
                json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
            world.write("inline", &inline).unwrap();
            world.push().await.unwrap();
            let refusal = world.plane().unwrap().refusal("Listener").await.unwrap();
            assert!(
                refusal.contains("inline: ") && refusal.contains("unknown cluster 'nowhere'"),
                "{refusal}"
            );
            world.write("cluster2", &cluster("later", json!({}))).unwrap();
            world.write("endpoints2", &endpoints("later", &[backend.port()])).unwrap();
            world.push().await.unwrap();
            world.until("/", is(200)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn rule_43_what_has_not_changed_keeps_its_version_and_its_age() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            let held = active(&world, "a").await.unwrap();
            world.write("cluster2", &cluster("b", json!({}))).unwrap();
            world.write("endpoints2", &endpoints("b", &[backend.port()])).unwrap();
            let clusters = "cluster_manager.active_clusters";
            let before = world.stat(clusters).await.unwrap().unwrap();
            world.push().await.unwrap();
            world.until_stat(clusters, |n| n > before).await.unwrap();
            assert!(active(&world, "b").await.is_some(), "{form:?}");
            assert_eq!(active(&world, "a").await.unwrap(), held, "{form:?}");
            assert_eq!(world.stat("cluster_manager.cluster_modified").await.unwrap(), Some(0));
        }
    }

    /// Also what a person is told: the flag and the details are Envoy's, the cause names the subset.
    #[tokio::test]
    async fn rule_44_a_removed_cluster_is_gone_though_routes_still_name_it() {
        for form in BOTH {
            let backend = backend().unwrap();
            let mut world = mesh(form, &backend).unwrap();
            let subset = "outbound|80|v3|a";
            world.write("subset", &cluster(subset, json!({}))).unwrap();
            world.write("of_subset", &endpoints(subset, &[backend.port()])).unwrap();
            world.write("routes", &routes("r", subset)).unwrap();
            let file = world.scratch.path().join("access.log");
            let mut logged = listener("main", world.port, "r", json!({}));
            logged["filter_chains"][0]["filters"][0]["typed_config"]["access_log"] = json!([{
                "name": "file", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": file, "log_format": { "text_format_source": { "inline_string":
                        "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %OUTRIGGER_CAUSE%\n" } },
                },
            }]);
            world.write("listener", &logged).unwrap();
            world.start().await.unwrap();
            assert_eq!(world.get("/").await.unwrap().0, 200, "{form:?}");
            world.remove("subset").unwrap();
            world.remove("of_subset").unwrap();
            world.push().await.unwrap();
            // Its endpoints may go first.
            world.until_stat("cluster_manager.cluster_removed", |n| n > 0).await.unwrap();
            world.until("/", is(503)).await.unwrap();
            let line = format!("503 NC cluster_not_found cluster_not_found({subset})");
            let mut text = String::new();
            for _ in 0..200 {
                text = fs::read_to_string(&file).unwrap_or_default();
                if text.lines().any(|found| found == line) {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
            assert!(text.lines().any(|found| found == line), "{form:?}: {text}");
            let metrics = world.admin("/stats/prometheus").await.unwrap();
            let counted = metrics.lines().find(|line| line.contains("cause=\"cluster_not_found\""));
            assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");
            let causes: Value =
                serde_json::from_str(&world.admin("/causes").await.unwrap()).unwrap();
            let causes = causes["causes"].as_array().unwrap();
            let told = causes.iter().find(|cause| cause["subject"] == subset).unwrap();
            assert_eq!(told["cause"], "cluster_not_found", "{told}");
            assert_eq!(
                world.stat("http.mesh.no_cluster").await.unwrap().map(|n| n > 0),
                Some(true)
            );
        }
    }

    #[tokio::test]
    async fn rule_45_clusters_of_the_bootstrap_stay_as_they_are() {
        for form in BOTH {
            let (own, other) = (backend().unwrap(), backend().unwrap());
            let mut world = mesh(form, &own).unwrap();
            world.write("routes", &routes("r", "fixed")).unwrap();
            world.write("fixed", &cluster("fixed", json!({}))).unwrap();
            world.write("of_fixed", &endpoints("fixed", &[other.port()])).unwrap();
            world.start_plane().await.unwrap();
            let mut bootstrap = world.bootstrap();
            let mut fixed = server_cluster("fixed", &format!("127.0.0.1:{}", own.port()));
            fixed.as_object_mut().unwrap().remove("typed_extension_protocol_options");
            bootstrap["static_resources"]["clusters"].as_array_mut().unwrap().push(fixed);
            world.launch(&bootstrap).unwrap();
            world.proxy().unwrap().ready().await.unwrap();
            assert_eq!(world.get("/").await.unwrap().0, 200, "{form:?}");
            world.remove("fixed").unwrap();
            world.remove("of_fixed").unwrap();
            until_updated(&mut world, "cluster_manager.cds.update_success").await;
            assert_eq!(world.get("/").await.unwrap().0, 200, "{form:?}");
            assert_eq!((own.total() > 0, other.total()), (true, 0), "{form:?}");
            assert!(active(&world, "fixed").await.is_none(), "{form:?}");
        }
    }
}
