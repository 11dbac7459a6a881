//! The transport against a server that does what a test tells it to. Here is that server; it speaks through pipes in memory.

mod ends;
mod flow;

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::cluster::v3::Cluster;
use outrigger_xds_api::envoy::config::core::v3::Node;
use outrigger_xds_api::envoy::service::discovery::v3 as api;
use prost::Message;
use tokio::io::DuplexStream;
use tokio::task::LocalSet;

use super::frames::{Frames, frame};
use super::*;

const CDS: ResourceType = ResourceType::Cluster;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on one thread, as the control runtime does.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async { tokio::time::timeout(PATIENCE, test).await.expect("it hangs") };
    LocalSet::new().block_on(&runtime, test);
}

fn config(service: Service) -> Config {
    let node = Node { id: "node".into(), ..Node::default() };
    let identity = Identity { node, on_first_message_only: true };
    let backoff = Backoff::new(Duration::from_millis(5), Some(Duration::from_millis(20)));
    Config { backoff, ..Config::new(service, "xds-grpc", identity) }
}

const SOTW: Service = Service::Aggregated(Mode::Sotw);
const DELTA: Service = Service::Aggregated(Mode::Delta);

/// A client that wants all clusters, and the server.
struct Both {
    client: Client,
    events: mpsc::Receiver<Event>,
    server: Server,
    /// The server refuses connections while this is set.
    is_down: Rc<Cell<bool>>,
}

fn start(config: Config) -> Both {
    let (sender, pipes) = mpsc::channel(1);
    let is_down = Rc::new(Cell::new(false));
    let down = is_down.clone();
    let connect = async move || {
        if down.get() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        sender.send(theirs).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(ours)
    };
    let (client, events, work) = open(config, connect);
    client.subscribe(CDS, &[Subject::All]);
    tokio::task::spawn_local(work);
    Both { client, events, server: Server { pipes }, is_down }
}

impl Both {
    async fn event(&mut self) -> Event {
        self.events.recv().await.unwrap()
    }

    /// The next stream, opened and asked for clusters.
    async fn opened(&mut self) -> Session {
        let session = self.server.accept().await;
        assert!(matches!(self.event().await, Event::Opened));
        session
    }

    async fn delivered(&mut self) -> Delivery {
        match self.event().await {
            Event::Delivered(delivery) => delivery,
            other => panic!("{other:?}"),
        }
    }

    async fn closed(&mut self) -> (Status, String) {
        match self.event().await {
            Event::Closed { status, text } => (status, text),
            other => panic!("{other:?}"),
        }
    }
}

struct Server {
    pipes: mpsc::Receiver<DuplexStream>,
}

impl Server {
    async fn accept(&mut self) -> Session {
        let mut connection = h2::server::handshake(self.pipes.recv().await.unwrap()).await.unwrap();
        let (request, response) = connection.accept().await.unwrap().unwrap();
        let (orders, mut ordered) = mpsc::channel(1);
        tokio::task::spawn_local(async move {
            tokio::select! {
                _ = async { while connection.accept().await.is_some() {} } => {}
                reason = ordered.recv() => if let Some(reason) = reason {
                    connection.abrupt_shutdown(reason);
                    while connection.accept().await.is_some() {}
                }
            }
        });
        let (head, body) = request.into_parts();
        Session { head, body, response, stream: None, frames: Frames::new(usize::MAX), orders }
    }
}

/// A stream, seen by the server.
struct Session {
    head: http::request::Parts,
    body: RecvStream,
    response: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    frames: Frames,
    /// Ends the connection.
    orders: mpsc::Sender<Reason>,
}

impl Session {
    /// The next request.
    async fn hear<M: Message + Default>(&mut self) -> M {
        loop {
            if let Some(message) = self.frames.next().unwrap() {
                return M::decode(message).unwrap();
            }
            let data = self.body.data().await.unwrap().unwrap();
            self.frames.push(&data);
            self.body.flow_control().release_capacity(data.len()).unwrap();
        }
    }

    /// The head of the answer.
    fn stream(&mut self) -> &mut SendStream<Bytes> {
        let Self { response, stream, .. } = self;
        stream.get_or_insert_with(|| {
            let head = Response::builder().header("content-type", "application/grpc").body(());
            response.send_response(head.unwrap(), false).unwrap()
        })
    }

    fn say_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.stream().send_data(bytes.into(), false).unwrap();
    }

    fn say(&mut self, response: &impl Message) {
        self.say_bytes(frame(&response.encode_to_vec()));
    }

    /// Ends with a status in trailers.
    fn end(&mut self, status: &str, message: &str) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        trailers.insert("grpc-message", message.parse().unwrap());
        self.stream().send_trailers(trailers).unwrap();
    }

    /// Answers with a head and nothing else.
    fn end_at_once(&mut self, status: StatusCode, headers: &[(&str, &str)]) {
        let mut head = Response::builder().status(status);
        for (name, value) in headers {
            head = head.header(*name, *value);
        }
        self.response.send_response(head.body(()).unwrap(), true).unwrap();
    }

    /// Clusters of these names.
    fn push(&mut self, version: &str, names: &[&str]) {
        let response = clusters(version, names);
        self.say(&response);
    }
}

fn cluster(name: &str) -> Cluster {
    Cluster { name: name.into(), ..Cluster::default() }
}

fn clusters(version: &str, names: &[&str]) -> api::DiscoveryResponse {
    api::DiscoveryResponse {
        version_info: version.into(),
        resources: names.iter().map(|name| any::encode(&cluster(name))).collect(),
        type_url: CDS.type_url(),
        nonce: format!("nonce {version}"),
        ..api::DiscoveryResponse::default()
    }
}
