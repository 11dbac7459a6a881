//! Certificates and roots from a control plane: what is missing refuses handshakes and nothing else, what comes late is used, what is rotated
//! reaches new connections and no old one.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use outrigger_tests::certs::Certs;
    use outrigger_tests::control::resources::{
        ads, certificate, cluster, endpoints, listener, merged, mutual_tls, roots, routes, sds,
    };
    use outrigger_tests::control::{Form, World};
    use outrigger_tests::load::Backend;
    use outrigger_tests::ports::free_port;
    use outrigger_tests::tls::{self, ClientTls};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_rustls::client::TlsStream;

    /// A client's port leads through two hops of the same proxy: mutual TLS is between them.
    struct Mesh {
        world: World,
        certs: Certs,
        inner: u16,
        _backend: Backend,
    }

    impl Mesh {
        fn new(form: Form, source: &Value) -> Self {
            let world = World::new(form).unwrap();
            let backend = Backend::start(Duration::ZERO).unwrap();
            let certs = Certs::create(&world.scratch.path().join("certs")).unwrap();
            let inner = free_port().unwrap();
            let up = json!({ "transport_socket": mutual_tls("Upstream", source, json!({ "sni": "a.test" })) });
            let required = json!({ "require_client_certificate": true });
            let down = json!({ "transport_socket": mutual_tls("Downstream", source, required) });
            let chain = |name: &str| json!({ "name": name });
            for (file, resource) in [
                ("c1", cluster("secured", up)),
                ("e1", endpoints("secured", &[inner])),
                ("c2", cluster("backend", json!({}))),
                ("e2", endpoints("backend", &[backend.port()])),
                ("l1", listener("outer", world.port, "outer", chain("outer"))),
                ("l2", listener("inner", inner, "inner", merged(down, chain("inner")))),
                ("r1", routes("outer", "secured")),
                ("r2", routes("inner", "backend")),
            ] {
                world.write(file, &resource).unwrap();
            }
            Self { world, certs, inner, _backend: backend }
        }

        /// Writes the secrets: the certificate of this name of the test's own.
        fn secrets(&self, name: &str) {
            let pem = |file: &str| fs::read_to_string(self.certs.dir().join(file)).unwrap();
            let own =
                certificate("default", &pem(&format!("{name}.crt")), &pem(&format!("{name}.key")));
            self.world.write("default", &own).unwrap();
            self.world.write("rootca", &roots("ROOTCA", &pem("ca.crt"))).unwrap();
        }

        /// A connection to the inner listener, whose certificate must have this name.
        async fn shake(&self, name: &str) -> Option<TlsStream<TcpStream>> {
            let stream = TcpStream::connect(("127.0.0.1", self.inner)).await.ok()?;
            let tls = ClientTls {
                sni: Some(name.to_owned()),
                cert: Some("client".to_owned()),
                ..ClientTls::default()
            };
            tls::connect(stream, &tls, &self.certs).await.unwrap().ok()
        }
    }

    /// One request on a connection that stays.
    async fn ask(stream: &mut TlsStream<TcpStream>) -> Option<String> {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.ok()?;
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).await.ok()?;
        Some(String::from_utf8_lossy(bytes.get(..12.min(read))?).into_owned())
    }

    fn is(wanted: u16) -> impl Fn(Option<&(u16, String)>) -> bool {
        move |answer| answer.is_some_and(|(status, _)| *status == wanted)
    }

    #[tokio::test]
    async fn secrets_rotate_under_living_connections() {
        for (form, source) in [
            (Form::Delta, sds("sds-grpc", "0s")),
            (Form::Sotw, sds("sds-grpc", "0s")),
            (Form::Delta, ads()),
            (Form::Sotw, ads()),
        ] {
            let mut mesh = Mesh::new(form, &source);
            mesh.secrets("server");
            mesh.world.start().await.unwrap();
            assert_eq!(mesh.world.get("/").await.unwrap().0, 200, "{form:?} {source}");
            let mut old = mesh.shake("a.test").await.unwrap();
            assert_eq!(ask(&mut old).await.unwrap(), "HTTP/1.1 200");
            for name in ["sds.default.update_success", "sds.ROOTCA.update_success"] {
                assert_eq!(mesh.world.stat(name).await.unwrap(), Some(1), "{name}");
            }
            let scope = format!("listener.127.0.0.1_{}.", mesh.inner);
            let drained = format!("{scope}downstream_cx_destroy");
            let destroyed = mesh.world.stat(&drained).await.unwrap();

            mesh.secrets("other");
            mesh.world.push().await.unwrap();
            mesh.world.until_stat("sds.default.update_success", |n| n > 1).await.unwrap();
            let mut new = mesh.shake("other.test").await.expect("the new certificate is shown");
            assert_eq!(ask(&mut new).await.unwrap(), "HTTP/1.1 200");
            assert_eq!(ask(&mut old).await.unwrap(), "HTTP/1.1 200", "the old connection lives");
            assert_eq!(mesh.world.stat(&drained).await.unwrap(), destroyed);
            let updates = format!("{scope}server_ssl_socket_factory.ssl_context_update_by_sds");
            assert_eq!(mesh.world.stat(&updates).await.unwrap(), Some(2));

            let shown = mesh.world.admin("/certs").await.unwrap();
            assert!(shown.contains("other.test") && !shown.contains("a.test"), "{shown}");
            let dump =
                mesh.world.dump("resource=dynamic_active_secrets").await.unwrap().to_string();
            assert!(
                dump.contains("\"name\":\"default\"") && dump.contains("CERTIFICATE"),
                "{dump}"
            );
            assert!(!dump.contains("PRIVATE KEY"), "the key is shown");
        }
    }

    #[tokio::test]
    async fn a_secret_that_is_missing_refuses_handshakes_and_nothing_else() {
        for source in
            [sds("sds-grpc", "0.2s"), merged(ads(), json!({ "initial_fetch_timeout": "0.2s" }))]
        {
            let mut mesh = Mesh::new(Form::Delta, &source);
            let plain = merged(
                listener("plain", free_port().unwrap(), "inner", json!({})),
                json!({ "name": "plain" }),
            );
            mesh.world.write("l3", &plain).unwrap();
            mesh.world.start().await.unwrap();
            assert!(mesh.shake("a.test").await.is_none(), "{source}");
            assert_eq!(mesh.world.get("/").await.unwrap().0, 503, "nothing goes up in plain text");
            let dump = mesh.world.dump("resource=dynamic_warming_secrets").await.unwrap();
            assert_eq!(dump["configs"].as_array().map(Vec::len), Some(2), "{dump}");
            assert_eq!(mesh.world.stat("sds.default.init_fetch_timeout").await.unwrap(), Some(1));

            // It comes late.
            mesh.secrets("server");
            mesh.world.push().await.unwrap();
            mesh.world.until("/", is(200)).await.unwrap();
            // What comes next makes no sense: what was there stays.
            let bad = certificate("default", "no certificate", "no key");
            mesh.world.write("default", &bad).unwrap();
            mesh.world.push().await.unwrap();
            let refusal = mesh.world.plane().unwrap().refusal("Secret").await.unwrap();
            assert!(refusal.contains("default: tls_certificate"), "{refusal}");
            mesh.world.until_stat("sds.default.update_rejected", |n| n > 0).await.unwrap();
            assert!(mesh.shake("a.test").await.is_some());
        }
    }

    #[tokio::test]
    async fn nothing_is_served_before_secrets_that_are_waited_for() {
        let mut mesh = Mesh::new(Form::Delta, &sds("sds-grpc", "0s"));
        mesh.world.start_plane().await.unwrap();
        let bootstrap = mesh.world.bootstrap();
        mesh.world.launch(&bootstrap).unwrap();
        mesh.world.plane().unwrap().request("Secret", |_| true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!mesh.world.proxy().unwrap().admin.is_ready().await);
        assert!(mesh.world.get("/").await.is_none());
        mesh.secrets("server");
        mesh.world.push().await.unwrap();
        mesh.world.proxy().unwrap().ready().await.unwrap();
        assert_eq!(mesh.world.get("/").await.unwrap().0, 200);
    }
}
