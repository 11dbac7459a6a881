//! A proxy under a control plane, in both forms of the protocol: what is pushed is served, what is refused is told and changes nothing, and a
//! control plane that dies takes nothing with it.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_tests::control::resources::{cluster, endpoints, listener, routes, routes_of};
    use outrigger_tests::control::small::{BOTH, answer, is, mesh, says};
    use outrigger_tests::load::Backend;
    use serde_json::json;
    use tokio::time::sleep;

    #[tokio::test]
    async fn what_is_pushed_is_served() {
        for form in BOTH {
            let (one, two) =
                (Backend::start(Duration::ZERO).unwrap(), Backend::start(Duration::ZERO).unwrap());
            let mut world = mesh(form, &one).unwrap();
            world.start().await.unwrap();
            // Ready means that all of it is there.
            assert_eq!(world.get("/").await.map(|(status, _)| status), Some(200), "{form:?}");
            for (name, least) in [
                ("control_plane.connected_state", 1),
                ("cluster_manager.cds.update_success", 1),
                ("listener_manager.lds.update_success", 1),
                ("http.mesh.rds.r.update_success", 1),
                ("cluster.a.update_success", 1),
                ("cluster_manager.cds.update_attempt", 2),
                ("listener_manager.workers_started", 1),
            ] {
                let value = world.stat(name).await.unwrap();
                assert!(value >= Some(least), "{form:?} {name}: {value:?}");
            }
            assert_eq!(world.stat("server.state").await.unwrap(), Some(0));

            world.write("endpoints", &endpoints("a", &[two.port()])).unwrap();
            world.push().await.unwrap();
            let before = two.total();
            world.until("/", |_| two.total() > before).await.unwrap();

            world.write("routes", &routes_of("r", answer("by itself"))).unwrap();
            world.push().await.unwrap();
            world.until("/", says("by itself")).await.unwrap();

            // A cluster goes away, and the route stays: nobody is there to answer.
            world.write("routes", &routes("r", "a")).unwrap();
            world.remove("cluster").unwrap();
            world.remove("endpoints").unwrap();
            world.push().await.unwrap();
            world.until("/", is(503)).await.unwrap();
            // It comes back, under the same name and with other endpoints.
            world.write("cluster", &cluster("a", json!({}))).unwrap();
            world.write("endpoints", &endpoints("a", &[one.port()])).unwrap();
            world.push().await.unwrap();
            world.until("/", is(200)).await.unwrap();

            world.remove("listener").unwrap();
            world.push().await.unwrap();
            world.until("/", |answer| answer.is_none()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_refused_is_told_and_the_last_good_stays() {
        for form in BOTH {
            let backend = Backend::start(Duration::ZERO).unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();

            // Good and bad in one response: the good one is taken.
            let bad = json!({ "lb_subset_config": { "subset_selectors": [{ "keys": ["v"] }] } });
            world.write("bad", &cluster("bad", bad)).unwrap();
            world.write("cluster2", &cluster("b", json!({}))).unwrap();
            world.write("endpoints2", &endpoints("b", &[backend.port()])).unwrap();
            let chain = json!({ "filters": [{ "name": "nosuch", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "x",
            } }] });
            world.write("listener", &listener("main", world.port, "r", chain)).unwrap();
            world.push().await.unwrap();
            let plane = world.plane().unwrap();
            let refusal = plane.refusal("Cluster").await.unwrap();
            assert_eq!(
                refusal,
                "Error adding/updating cluster(s) bad: lb_subset_config: balancing over subsets is not supported",
                "{form:?}"
            );
            world.until_stat("cluster_manager.cds.update_rejected", |n| n > 0).await.unwrap();
            world.until_stat("listener_manager.lds.update_rejected", |n| n > 0).await.unwrap();
            assert_eq!(world.get("/").await.unwrap().0, 200, "the last good stays");

            let dump = world.dump("resource=dynamic_listeners").await.unwrap();
            let [main] = dump["configs"].as_array().unwrap().as_slice() else { panic!("{dump}") };
            let details = main["error_state"]["details"].as_str().unwrap();
            assert!(details.starts_with("filter_chains[0].filters[0]"), "{details}");
            assert!(main["error_state"]["last_update_attempt"].is_string(), "{main}");
            assert_eq!(main["active_state"]["listener"]["name"], "main");
            let dump = world.dump("resource=dynamic_active_clusters").await.unwrap();
            assert!(dump.to_string().contains("\"name\":\"b\""), "the good one is taken: {dump}");

            world.remove("bad").unwrap();
            world.write("listener", &listener("main", world.port, "r", json!({}))).unwrap();
            world.write("routes", &routes_of("r", answer("recovered"))).unwrap();
            let taken = "listener_manager.lds.update_success";
            let before = world.stat(taken).await.unwrap().unwrap_or(0);
            world.push().await.unwrap();
            world.until("/", says("recovered")).await.unwrap();
            // Types come in any order.
            world.until_stat(taken, |n| n > before).await.unwrap();
            let dump = world.dump("resource=dynamic_listeners").await.unwrap();
            assert!(dump["configs"][0]["error_state"].is_null(), "{dump}");
        }
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_had_is_told() {
        for form in BOTH {
            let backend = Backend::start(Duration::ZERO).unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = taken.local_addr().unwrap().port();
            world.write("second", &listener("second", port, "r", json!({}))).unwrap();
            world.push().await.unwrap();
            let refusal = world.plane().unwrap().refusal("Listener").await.unwrap();
            let expected = format!(
                "Error adding/updating listener(s) second: listener second: cannot bind '127.0.0.1:{port}'"
            );
            assert!(refusal.starts_with(&expected), "{refusal}");
            let dump = world.dump("resource=dynamic_listeners").await.unwrap().to_string();
            assert!(dump.contains("cannot bind"), "{dump}");
            assert_eq!(world.get("/").await.unwrap().0, 200, "the other one serves");
        }
    }

    #[tokio::test]
    async fn a_control_plane_that_dies_takes_nothing_with_it() {
        for form in BOTH {
            let backend = Backend::start(Duration::ZERO).unwrap();
            let mut world = mesh(form, &backend).unwrap();
            world.start().await.unwrap();
            for round in ["one", "two"] {
                world.kill_plane().unwrap();
                world.until_stat("control_plane.connected_state", |n| n == 0).await.unwrap();
                assert!(world.get("/").await.is_some(), "{form:?}");
                world.until_stat("cluster_manager.cds.update_failure", |n| n > 1).await.unwrap();
                sleep(Duration::from_millis(300)).await;
                assert!(world.get("/").await.is_some(), "{form:?}");
                world.write("routes", &routes_of("r", answer(round))).unwrap();
                world.start_plane().await.unwrap();
                world.until("/", says(round)).await.unwrap();
                world.until_stat("control_plane.connected_state", |n| n == 1).await.unwrap();
            }
        }
    }
}
