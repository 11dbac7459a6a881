//! What a real istiod was recorded to send, over the wire into the real binary: it becomes ready, and `tests/tapes/refused.txt` says what it refuses.
//!
//! `UPDATE_TAPES=1 cargo test -p outrigger-tests --test tapes` writes that file anew.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use outrigger_tests::certs::Certs;
    use outrigger_tests::control::replay::{Replay, Secrets};
    use outrigger_tests::control::resources::{certificate, roots, server_cluster};
    use outrigger_tests::control::tape::{Tape, folder, names};
    use outrigger_tests::control::{Form, World};
    use serde_json::Value;

    /// A proxy under a tape; its secrets come from a control plane of their own, as from Istio's agent.
    async fn start(tape: Tape) -> (World, Replay) {
        let form = if tape.is_delta { Form::Delta } else { Form::Sotw };
        let mut world = World::new(form).unwrap();
        let certs = Certs::create(&world.scratch.path().join("certs")).unwrap();
        let pem = |file: &str| fs::read_to_string(certs.dir().join(file)).unwrap();
        let (chain, key, ca) = (pem("server.crt"), pem("server.key"), pem("ca.crt"));
        for (file, name) in
            [("default", "default"), ("cert", "file-cert:/etc/certs/cert.pem~/etc/certs/key.pem")]
        {
            world.write(file, &certificate(name, &chain, &key)).unwrap();
        }
        for (file, name) in [
            ("rootca", "ROOTCA"),
            ("root", "file-root:/etc/certs/ca.pem"),
            ("system", "file-root:/etc/ssl/certs/ca-certificates.crt"),
        ] {
            world.write(file, &roots(name, &ca)).unwrap();
        }
        world.start_plane().await.unwrap();
        let socket = world.scratch.path().join("istiod");
        let secrets = Secrets { chain, key, authority: ca };
        let replay = Replay::start(tape, secrets, &socket).unwrap();
        let mut bootstrap = world.bootstrap();
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
        clusters[0] = server_cluster("xds-grpc", socket.to_str().unwrap());
        world.launch(&bootstrap).unwrap();
        world.proxy().unwrap().ready().await.unwrap();
        replay.answered().await.unwrap();
        (world, replay)
    }

    /// What is refused: the name of each resource, and why.
    async fn refused(world: &World) -> BTreeSet<String> {
        let dump = world.dump("include_eds").await.unwrap();
        let mut refused = BTreeSet::new();
        collect(&dump, &mut refused);
        refused
    }

    fn collect(value: &Value, refused: &mut BTreeSet<String>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(value, refused)),
            Value::Object(fields) => {
                if let Some(details) = value["error_state"]["details"].as_str() {
                    let failed = &value["error_state"]["failed_configuration"];
                    let kind = failed["@type"].as_str().unwrap().rsplit('.').next().unwrap();
                    let names = [&failed["name"], &failed["cluster_name"]];
                    let name = names.into_iter().find_map(Value::as_str).unwrap();
                    // Another process may have the address: that is no refusal.
                    if !details.contains("cannot bind") {
                        refused.insert(format!("{kind} {name}: {details}"));
                    }
                }
                fields.values().for_each(|value| collect(value, refused));
            }
            _ => {}
        }
    }

    #[tokio::test]
    async fn a_proxy_becomes_ready_under_every_tape() {
        let mut text = String::new();
        let sotw = ["seed-httpbin.responses", "rich-sleep.responses"];
        for name in names().unwrap() {
            let (world, replay) = start(Tape::read(&name, true).unwrap()).await;
            let found = refused(&world).await;
            let told = replay.asked().into_iter().filter(|asked| !asked.error.is_empty()).count();
            assert_eq!(told > 0, !found.is_empty(), "{name}: what is refused is told");
            let unknown = world.stat("server.dynamic_unknown_fields").await.unwrap();
            assert_eq!(unknown, Some(0), "{name}: istiod says nothing that we do not know");
            if sotw.contains(&&*name) {
                let tape = Tape::read(&format!("sotw/{name}"), false).unwrap();
                let (world, _replay) = start(tape).await;
                assert_eq!(refused(&world).await, found, "{name}: both forms say the same");
            }
            let name = name.trim_end_matches(".responses");
            text.extend(found.into_iter().map(|line| format!("{name}: {line}\n")));
        }
        let path = folder().join("refused.txt");
        if std::env::var_os("UPDATE_TAPES").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        assert!(
            text == expected,
            "what is refused is not what tests/tapes/refused.txt says:\n{text}"
        );
    }

    #[tokio::test]
    async fn eight_changes_cost_what_has_changed() {
        for (file, is_delta) in [("changes/delta.packed", true), ("changes/sotw.packed", false)] {
            let tape = Tape::read(file, is_delta).unwrap();
            let changes = tape.changes();
            let (world, _replay) = start(tape).await;
            for (kind, stat) in [
                ("Cluster", "cluster_manager.cluster_modified"),
                ("Listener", "listener_manager.listener_modified"),
            ] {
                let counted = changes[kind];
                assert!(counted.repeated > 10 * counted.changed, "{kind}: {counted:?}");
                let modified = u64::try_from(world.stat(stat).await.unwrap().unwrap()).unwrap();
                // What is refused is not modified.
                assert!(modified <= counted.changed, "{kind}: {modified} of {counted:?}");
            }
            let cds = world.stat("cluster_manager.cds.update_attempt").await.unwrap();
            assert!(cds > Some(8), "{file}: {cds:?}");
        }
    }
}
