//! A control plane that is newer than the proxy: fields that the proxy does not know are accepted, counted once for each change, logged with the resource
//! that has them, and shown in `/config_dump`. A bootstrap that is newer is refused, unless a flag says otherwise.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_tests::binary;
    use outrigger_tests::control::resources::{address, cluster, endpoints, listener, routes};
    use outrigger_tests::control::{Form, World};
    use outrigger_tests::load::Backend;
    use outrigger_tests::ports::free_port;
    use outrigger_tests::proxy::{Ended, Proxy};
    use outrigger_tests::scratch::Scratch;
    use serde_json::json;

    /// Field 9999 = 1.
    const UNKNOWN: [u8; 4] = [0xf8, 0xf0, 0x04, 1];
    const COUNTER: &str = "server.dynamic_unknown_fields";

    /// The same in field 4 of a cluster, `connect_timeout`.
    fn in_timeout() -> Vec<u8> {
        [&[0x22, 4][..], &UNKNOWN].concat()
    }

    #[tokio::test]
    async fn rule_67_unknown_fields_are_accepted_counted_and_told() {
        for form in [Form::Sotw, Form::Delta] {
            let backend = Backend::start(Duration::ZERO).unwrap();
            let mut world = World::new(form).unwrap();
            world.write("cluster", &cluster("a", json!({}))).unwrap();
            world.write_tail("cluster", &[UNKNOWN.to_vec(), in_timeout()].concat()).unwrap();
            world.write("endpoints", &endpoints("a", &[backend.port()])).unwrap();
            world.write("listener", &listener("main", world.port, "r", json!({}))).unwrap();
            world.write("routes", &routes("r", "a")).unwrap();
            world.start().await.unwrap();
            assert_eq!(world.get("/").await.map(|(status, _)| status), Some(200), "{form:?}");
            assert_eq!(world.stat(COUNTER).await.unwrap(), Some(2), "{form:?}");
            assert_eq!(world.stat("cluster_manager.cds.update_rejected").await.unwrap(), Some(0));
            let log = world.proxy().unwrap().last_output(1000);
            let told = "cluster a: 2 unknown fields have no effect: connect_timeout.9999, 9999";
            assert!(log.contains(told), "{log}");
            let dump = world.dump("").await.unwrap();
            let found = json!([{
                "type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a",
                "count": 2, "paths": ["connect_timeout.9999", "9999"],
            }]);
            assert_eq!(dump["unknown_fields"], found);

            // The same again is not searched again, whatever else changes.
            let clusters = "cluster_manager.cds.update_success";
            let before = world.stat(clusters).await.unwrap().unwrap();
            world.write("cluster2", &cluster("b", json!({}))).unwrap();
            world.write("endpoints2", &endpoints("b", &[backend.port()])).unwrap();
            world.push().await.unwrap();
            world.until_stat(clusters, |n| n > before).await.unwrap();
            assert_eq!(world.stat(COUNTER).await.unwrap(), Some(2), "{form:?}");

            // Another resource of another type is.
            world.write_tail("routes", &UNKNOWN).unwrap();
            world.push().await.unwrap();
            world.until_stat(COUNTER, |n| n == 3).await.unwrap();
            let dump = world.dump("").await.unwrap();
            assert_eq!(dump["unknown_fields"][1]["name"], "r");

            // The server has learned: nothing is left to tell of.
            let updates = [clusters, "http.mesh.rds.r.update_success"];
            let mut before = Vec::new();
            for stat in updates {
                before.push(world.stat(stat).await.unwrap().unwrap());
            }
            world.write_tail("cluster", &[]).unwrap();
            world.write_tail("routes", &[]).unwrap();
            world.push().await.unwrap();
            for (stat, before) in updates.into_iter().zip(before) {
                world.until_stat(stat, |n| n > before).await.unwrap();
            }
            let dump = world.dump("").await.unwrap();
            assert!(dump["unknown_fields"].is_null(), "{}", dump["unknown_fields"]);
            assert_eq!(world.stat(COUNTER).await.unwrap(), Some(3), "{form:?}");
            assert_eq!(world.get("/").await.map(|(status, _)| status), Some(200), "{form:?}");
        }
    }
    #[tokio::test]
    async fn unknown_fields_of_a_bootstrap_are_refused_or_counted() {
        let (scratch, port) = (Scratch::new().unwrap(), free_port().unwrap());
        let bootstrap = json!({
            "admin": { "address": address(port) },
            "static_resources": { "clusters": [{
                "name": "a", "type": "STATIC", "no_such_field": 1,
                "load_assignment": { "cluster_name": "a", "nor_this": {} },
            }] },
        });
        let binary = binary::built().unwrap();
        let start = async |flags: &[&str]| {
            Proxy::start_with(&binary, &bootstrap, scratch.path(), port, flags).await
        };
        let refused = start(&[]).await.unwrap_err();
        assert!(refused.downcast_ref::<Ended>().is_some_and(Ended::in_order), "{refused:#}");
        let told = "static_resources.clusters[0].no_such_field: no such field";
        assert!(refused.to_string().contains(told), "{refused:#}");

        let proxy = start(&["--allow-unknown-static-fields"]).await.unwrap();
        let counter = "server.static_unknown_fields".to_owned();
        // As Envoy counts: the bootstrap is one message, however many of its fields are unknown.
        assert_eq!(proxy.admin.stats(std::slice::from_ref(&counter)).await.unwrap()[&counter], 1);
        let log = proxy.last_output(100);
        for path in ["clusters[0].no_such_field", "clusters[0].load_assignment.nor_this"] {
            assert!(
                log.contains(&format!("unknown field in the bootstrap: static_resources.{path}")),
                "{log}"
            );
        }
    }
}
