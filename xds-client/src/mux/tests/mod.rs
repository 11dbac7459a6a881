//! The rules of the protocol, each under its number, and a model server that loses what it can. Here is what both need: a stream made of values.

mod config;
mod delta;
mod hostile;
mod model;
mod sotw;

use std::time::{Duration, Instant};

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::cluster::v3::Cluster;
use outrigger_xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use outrigger_xds_api::envoy::config::listener::v3::Listener;
use outrigger_xds_api::envoy::config::route::v3::RouteConfiguration;
use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::Secret;
use outrigger_xds_api::envoy::service::discovery::v3 as api;
use outrigger_xds_api::google::protobuf::Any;
use prost::Message;

use super::*;
use crate::resource::Resource;
use crate::update::Extent;

const CDS: ResourceType = ResourceType::Cluster;
const EDS: ResourceType = ResourceType::Endpoints;
const LDS: ResourceType = ResourceType::Listener;
const RDS: ResourceType = ResourceType::Routes;

/// A client with its stream open, and time that stands still.
struct Client {
    mux: Mux,
    now: Instant,
}

impl Client {
    fn new(mode: Mode) -> Self {
        let node = Node { id: "node".into(), ..Node::default() };
        let mut mux = Mux::new(mode, Identity { node, on_first_message_only: true });
        mux.on_stream_open();
        Self { mux, now: Instant::now() }
    }

    fn want(&mut self, kind: ResourceType, names: &[&str]) {
        self.mux.subscribe(kind, &subjects(names));
    }

    fn give_up(&mut self, kind: ResourceType, names: &[&str]) {
        self.mux.unsubscribe(kind, &subjects(names));
    }

    fn reconnect(&mut self) {
        self.mux.on_stream_closed();
        self.mux.on_stream_open();
    }

    fn receive(&mut self, response: &impl Message) -> Received {
        self.mux.on_message(response.encode_to_vec().into(), self.now).unwrap()
    }

    fn deliver(&mut self, response: &impl Message) -> Delivery {
        match self.receive(response) {
            Received::Delivery(delivery) => delivery,
            other => panic!("{other:?}"),
        }
    }

    /// Delivers and accepts; returns what was delivered.
    fn accept(&mut self, response: &impl Message) -> Update {
        let delivery = self.deliver(response);
        self.mux.on_applied(delivery.receipt, &[]);
        delivery.update
    }

    /// Delivers and refuses some of it.
    fn refuse(&mut self, response: &impl Message, names: &[&str]) -> Update {
        let delivery = self.deliver(response);
        let refusal = |name: &&str| Refusal { name: (*name).into(), reason: "bad".into() };
        let refusals: Vec<_> = names.iter().map(refusal).collect();
        self.mux.on_applied(delivery.receipt, &refusals);
        delivery.update
    }

    fn sotw(&mut self) -> Vec<api::DiscoveryRequest> {
        let next = || match self.mux.next_request()? {
            Request::Sotw(request) => Some(request),
            Request::Delta(request) => panic!("{request:?}"),
        };
        std::iter::from_fn(next).collect()
    }

    fn sotw_one(&mut self) -> api::DiscoveryRequest {
        let mut requests = self.sotw();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    fn delta(&mut self) -> Vec<api::DeltaDiscoveryRequest> {
        let next = || match self.mux.next_request()? {
            Request::Delta(mut request) => {
                request.resource_names_subscribe.sort();
                Some(request)
            }
            Request::Sotw(request) => panic!("{request:?}"),
        };
        std::iter::from_fn(next).collect()
    }

    fn delta_one(&mut self) -> api::DeltaDiscoveryRequest {
        let mut requests = self.delta();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// What a new stream is told of.
    fn held(&mut self, kind: ResourceType) -> Vec<(String, String)> {
        self.reconnect();
        let requests = self.delta();
        let request = requests.into_iter().find(|r| r.type_url == kind.type_url()).unwrap();
        let mut held: Vec<_> = request.initial_resource_versions.into_iter().collect();
        held.sort();
        held
    }
}

/// `*` is all.
fn subjects(names: &[&str]) -> Vec<Subject> {
    let subject = |name: &&str| match *name {
        "*" => Subject::All,
        name => Subject::Name(name.into()),
    };
    names.iter().map(subject).collect()
}

/// A resource that says something.
fn body(kind: ResourceType, name: &str, text: &str) -> Any {
    let (name, text) = (name.to_owned(), text.to_owned());
    match kind {
        CDS => any::encode(&Cluster { name, alt_stat_name: text, ..Cluster::default() }),
        EDS => any::encode(&ClusterLoadAssignment {
            cluster_name: name,
            named_endpoints: [(text, Default::default())].into(),
            ..ClusterLoadAssignment::default()
        }),
        LDS => any::encode(&Listener { name, stat_prefix: text, ..Listener::default() }),
        RDS => any::encode(&RouteConfiguration {
            name,
            internal_only_headers: vec![text],
            ..RouteConfiguration::default()
        }),
        ResourceType::Secret => any::encode(&Secret { name, ..Secret::default() }),
    }
}

fn response(
    kind: ResourceType,
    version: &str,
    nonce: &str,
    names: &[&str],
) -> api::DiscoveryResponse {
    api::DiscoveryResponse {
        version_info: version.into(),
        resources: names.iter().map(|name| body(kind, name, version)).collect(),
        type_url: kind.type_url(),
        nonce: nonce.into(),
        ..api::DiscoveryResponse::default()
    }
}

/// A resource of a delta response, without a body if that is none.
fn wrapped(name: &str, version: &str, body: Option<Any>) -> api::Resource {
    api::Resource {
        name: name.into(),
        version: version.into(),
        resource: body,
        ..api::Resource::default()
    }
}

fn delta_response(
    kind: ResourceType,
    version: &str,
    nonce: &str,
    names: &[&str],
    removed: &[&str],
) -> api::DeltaDiscoveryResponse {
    let resource = |name: &&str| wrapped(name, version, Some(body(kind, name, version)));
    api::DeltaDiscoveryResponse {
        system_version_info: format!("system {version}"),
        resources: names.iter().map(resource).collect(),
        removed_resources: strings(removed),
        type_url: kind.type_url(),
        nonce: nonce.into(),
        ..api::DeltaDiscoveryResponse::default()
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn names_in(update: &Update) -> Vec<&str> {
    update.resources.iter().map(|resource| &*resource.name).collect()
}

fn lifetime(seconds: u64) -> Option<outrigger_xds_api::google::protobuf::Duration> {
    let seconds = i64::try_from(seconds).unwrap();
    Some(outrigger_xds_api::google::protobuf::Duration { seconds, nanos: 0 })
}

const SECOND: Duration = Duration::from_secs(1);
