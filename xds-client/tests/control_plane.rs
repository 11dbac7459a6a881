//! The client against go-control-plane, the library that most control planes are made of: pushes, refusals, a restart.
//!
//! The server is `tests/peers/controlplane`, built by Go on the way.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is how a test fails"
)]

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use outrigger_xds::source::grpc::{self, Client, Config, Event, Service};
use outrigger_xds::{Backoff, Delivery, Identity, Mode, Refusal, ResourceType, Subject};
use outrigger_xds_api::envoy::config::core::v3::Node;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

const CDS: ResourceType = ResourceType::Cluster;
const EDS: ResourceType = ResourceType::Endpoints;
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server, and what it says.
struct Peer {
    process: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<Value>,
}

impl Peer {
    fn start(arguments: &[&str]) -> Self {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        let mut process = Command::new(PROGRAM.get_or_init(build))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel(1024);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.blocking_send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { process, input, lines }
    }

    /// The next event that is `wanted`.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv().await.expect("the server has ended");
            if wanted(&line) {
                return line;
            }
        }
    }

    async fn address(&mut self) -> String {
        let line = self.until(|line| line["event"] == "listening").await;
        line["address"].as_str().unwrap().to_owned()
    }

    /// The next request about `kind` that is `wanted`.
    async fn request(&mut self, kind: ResourceType, wanted: impl Fn(&Value) -> bool) -> Value {
        let url = kind.type_url();
        self.until(|l| l["event"] == "request" && l["type"] == url.as_str() && wanted(l)).await
    }

    /// Lets it read its resources again.
    async fn load(&mut self, version: &str) {
        writeln!(self.input, "{version}").unwrap();
        self.until(|line| line["event"] == "loaded" && line["version"] == version).await;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn build() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/controlplane");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("controlplane");
    let built = Command::new("go")
        .args(["build", "-p", "2", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .status();
    match built {
        Ok(status) => assert!(status.success(), "go build: {status}"),
        Err(error) => panic!("this test needs Go 1.24 or newer (https://go.dev): {error}"),
    }
    program
}

/// The resources that the server serves.
struct Resources(TempDir);

impl Resources {
    fn new() -> Self {
        let resources = Self(TempDir::new().unwrap());
        resources.cluster("a");
        let url = EDS.type_url();
        resources.write("endpoints", &json!({ "@type": url, "cluster_name": "a" }));
        resources
    }

    fn cluster(&self, name: &str) {
        self.write(name, &json!({ "@type": CDS.type_url(), "name": name, "type": "EDS" }));
    }

    fn write(&self, file: &str, resource: &Value) {
        fs::write(self.path(file), resource.to_string()).unwrap();
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file).with_extension("json")
    }
}

/// The client: it refuses what is called `bad`.
struct Owner {
    client: Client,
    events: mpsc::Receiver<Event>,
}

impl Owner {
    fn start<C, S>(service: Service, connect: C) -> Self
    where
        C: AsyncFn() -> io::Result<S> + 'static,
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let node = Node { id: "sidecar".into(), ..Node::default() };
        let identity = Identity { node, on_first_message_only: true };
        let backoff = Backoff::new(Duration::from_millis(20), None);
        let config = Config { backoff, ..Config::new(service, "xds-grpc", identity) };
        let (client, events, work) = grpc::open(config, connect);
        tokio::task::spawn_local(work);
        Self { client, events }
    }

    /// Judges what comes until there is something of this type; returns its names.
    async fn applied(&mut self, kind: ResourceType) -> Vec<String> {
        loop {
            if let Event::Delivered(delivery) = self.events.recv().await.unwrap()
                && let (of, names) = self.judge(delivery)
                && of == kind
            {
                return names;
            }
        }
    }

    fn judge(&self, Delivery { update, receipt, .. }: Delivery) -> (ResourceType, Vec<String>) {
        let names: Vec<_> = update.resources.iter().map(|r| r.name.to_string()).collect();
        let is_bad = names.iter().any(|name| name == "bad");
        let refusal = Refusal { name: "bad".into(), reason: "why".into() };
        self.client.applied(receipt, if is_bad { std::slice::from_ref(&refusal) } else { &[] });
        (update.kind, names)
    }

    async fn closed(&mut self) -> String {
        loop {
            match self.events.recv().await.unwrap() {
                Event::Delivered(delivery) => drop(self.judge(delivery)),
                Event::Closed { text, .. } => return text,
                _ => {}
            }
        }
    }
}

fn is_answer(request: &Value) -> bool {
    request["nonce"] != ""
}

/// The first stream: a push arrives, an answer is heard, a refusal too.
async fn first_stream(peer: &mut Peer, owner: &mut Owner, resources: &Resources) {
    owner.client.subscribe(CDS, &[Subject::All]);
    let first = peer.request(CDS, |_| true).await;
    assert_eq!((&first["node"], &first["nonce"]), (&json!("sidecar"), &json!("")));
    assert_eq!(owner.applied(CDS).await, ["a"]);
    assert_eq!(peer.request(CDS, is_answer).await["error"], "");

    owner.client.subscribe(EDS, &[Subject::Name("a".into())]);
    assert_eq!(owner.applied(EDS).await, ["a"]);
    assert_eq!(peer.request(EDS, is_answer).await["error"], "");

    resources.cluster("bad");
    peer.load("2").await;
    assert!(owner.applied(CDS).await.contains(&"bad".into()));
    let answer = peer.request(CDS, is_answer).await;
    assert_eq!(answer["error"], "Error adding/updating cluster(s) bad: why");
    fs::remove_file(resources.path("bad")).unwrap();
}

/// The second stream, after a restart: what is held is known, and what is new arrives.
async fn second_stream(mode: Mode, peer: &mut Peer, owner: &mut Owner, resources: &Resources) {
    let clusters = peer.request(CDS, |_| true).await;
    let endpoints = peer.request(EDS, |_| true).await;
    assert_eq!((&clusters["node"], &clusters["nonce"]), (&json!("sidecar"), &json!("")));
    assert_eq!(endpoints["subscribe"], json!(["a"]));
    match mode {
        // Version 2 was refused.
        Mode::Sotw => assert_eq!(clusters["version"], "1"),
        Mode::Delta => {
            for held in [&clusters["held"], &endpoints["held"]] {
                let held = held.as_object().unwrap();
                assert_eq!(held.keys().collect::<Vec<_>>(), ["a"]);
                assert!(held.values().all(|version| version != ""), "{held:?}");
            }
        }
    }
    resources.cluster("c");
    peer.load("4").await;
    let expected = if mode == Mode::Delta { vec!["c"] } else { vec!["a", "c"] };
    loop {
        let mut names = owner.applied(CDS).await;
        names.sort();
        if names == expected {
            break;
        }
        // The answer to the first request; with delta nothing in it is new.
        assert_eq!(names, expected[..expected.len() - 1]);
    }
}

fn story(mode: Mode, over_unix: bool) {
    run(async {
        let resources = Resources::new();
        let directory = resources.0.path().to_str().unwrap();
        let socket = resources.0.path().join("xds.sock");
        let socket = socket.to_str().unwrap();
        let network = if over_unix { "-unix" } else { "-tcp" };
        let address = if over_unix { socket } else { "127.0.0.1:0" };
        let mut peer = Peer::start(&["-dir", directory, network, address]);
        let address = peer.address().await;
        let to = address.clone();
        let service = Service::Aggregated(mode);
        let mut owner = if over_unix {
            Owner::start(service, async move || grpc::unix(&to).await)
        } else {
            Owner::start(service, async move || grpc::tcp(&to).await)
        };
        first_stream(&mut peer, &mut owner, &resources).await;

        drop(peer);
        let text = owner.closed().await;
        assert!(text.contains("gRPC config stream to xds-grpc closed: 14, "), "{text}");
        drop(fs::remove_file(socket));
        let mut peer = Peer::start(&["-dir", directory, "-version", "3", network, &address]);
        second_stream(mode, &mut peer, &mut owner, &resources).await;
    });
}

/// On one thread, as the control runtime does.
fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = async { tokio::time::timeout(PATIENCE, story).await.expect("it hangs") };
    LocalSet::new().block_on(&runtime, story);
}

#[test]
fn thousands_of_clusters_come_in_one_push() {
    run(async {
        let resources = Resources::new();
        let padding = "x".repeat(10_000);
        let url = CDS.type_url();
        for index in 0..3000 {
            let name = format!("cluster {index}");
            let cluster = json!({ "@type": url, "name": name, "alt_stat_name": padding });
            resources.write(&name, &cluster);
        }
        let directory = resources.0.path().to_str().unwrap();
        let mut peer = Peer::start(&["-dir", directory, "-tcp", "127.0.0.1:0"]);
        let to = peer.address().await;
        let mut owner =
            Owner::start(Service::Aggregated(Mode::Delta), async move || grpc::tcp(&to).await);
        owner.client.subscribe(CDS, &[Subject::All]);
        assert_eq!(owner.applied(CDS).await.len(), 3001);
        assert_eq!(peer.request(CDS, is_answer).await["error"], "");
    });
}

#[test]
fn secrets_come_from_a_service_of_their_own() {
    run(async {
        let kind = ResourceType::Secret;
        let resources = Resources::new();
        resources.write("secret", &json!({ "@type": kind.type_url(), "name": "default" }));
        let socket = resources.0.path().join("sds.sock");
        let directory = resources.0.path().to_str().unwrap();
        let mut peer = Peer::start(&["-dir", directory, "-unix", socket.to_str().unwrap()]);
        peer.address().await;
        let mut owner = Owner::start(Service::Secrets, async move || grpc::unix(&socket).await);
        owner.client.subscribe(kind, &[Subject::Name("default".into())]);
        assert_eq!(owner.applied(kind).await, ["default"]);
        let answer = peer.request(kind, is_answer).await;
        assert_eq!((&answer["version"], &answer["error"]), (&json!("1"), &json!("")));
    });
}

#[test]
fn delta_over_tcp_survives_a_refusal_and_a_restart() {
    story(Mode::Delta, false);
}

#[test]
fn delta_over_a_unix_socket_survives_a_refusal_and_a_restart() {
    story(Mode::Delta, true);
}

#[test]
fn state_of_the_world_over_tcp_survives_a_refusal_and_a_restart() {
    story(Mode::Sotw, false);
}

#[test]
fn state_of_the_world_over_a_unix_socket_survives_a_refusal_and_a_restart() {
    story(Mode::Sotw, true);
}
