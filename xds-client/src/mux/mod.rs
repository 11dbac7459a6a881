//! The xDS protocol for one stream that several types share: state of the world or delta. No clock, no sockets.
//!
//! The owner of a [`Mux`] says what it wants of which type, and judges every [`Delivery`]; whoever owns the stream feeds it messages and asks it for
//! requests. What it decides: which names go into which request, what is answered to a response and when, what counts as held when a stream is
//! replaced. Deliberately absent: what a resource means, back-off, fetch timeouts, and everything with a file descriptor.

mod delta;
mod element;
mod forgotten;
mod interest;
mod request;
mod sotw;
mod subscription;
#[cfg(test)]
mod tests;
mod ttl;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use outrigger_xds_api::envoy::config::core::v3::Node;

pub use element::Malformed;
pub use interest::Subject;
pub use request::{Refusal, Request};
pub use wire::MessageError;

use crate::resource::ResourceType;
use crate::update::Update;
use subscription::{Subscription, Taken};
use ttl::Deadlines;
use wire::Response;

/// The two forms of the protocol. (envoy: config.core.v3.ApiConfigSource.api_type)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A response says all that there is, a request all that is wanted.
    Sotw,
    /// Both say what has changed.
    Delta,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node of the bootstrap.
    pub node: Node,
    /// Say it once in a stream. (envoy: config.core.v3.ApiConfigSource.set_node_on_first_message_only)
    pub on_first_message_only: bool,
}

/// Which delivery a judgement is about. Each is judged once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the server waits for the answer"]
pub struct Receipt {
    kind: ResourceType,
    serial: u64,
}

/// A response for the owner to judge.
#[derive(Debug)]
pub struct Delivery {
    /// What has changed.
    pub update: Update,
    /// To be given back with the judgement, on which the answer to the server waits.
    pub receipt: Receipt,
    /// Resources that the server cannot give; to be remembered until they come. (xDS: "resource_errors")
    pub failures: Vec<Failure>,
}

/// A resource that the server cannot give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub name: Arc<str>,
    /// `google.rpc.Code`
    pub code: i32,
    /// Why.
    pub message: String,
}

/// What became of a message.
#[derive(Debug)]
pub enum Received {
    /// To be judged.
    Delivery(Delivery),
    /// Nothing to be judged: a sign of life, or nothing that is wanted any more.
    Done,
    /// A type that nobody asked for, or that is not known. It stays without an answer.
    Unknown {
        /// As it came.
        type_url: String,
    },
    /// No part of it is used; the server will be told.
    Rejected {
        /// The type.
        kind: ResourceType,
        /// Why.
        reason: Malformed,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Mux {
    mode: Mode,
    identity: Identity,
    subscriptions: BTreeMap<ResourceType, Subscription>,
    stream: Stream,
    deadlines: Deadlines,
    serial: u64,
    control_plane: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Closed,
    /// Nobody has said who asks.
    New,
    Introduced,
}

impl Mux {
    /// Nothing is wanted, and there is no stream.
    #[must_use]
    pub fn new(mode: Mode, identity: Identity) -> Self {
        Self {
            mode,
            identity,
            subscriptions: BTreeMap::new(),
            stream: Stream::Closed,
            deadlines: Deadlines::default(),
            serial: 0,
            control_plane: Arc::default(),
        }
    }

    /// The form of the protocol.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What the server calls itself, or nothing. (envoy: config.core.v3.ControlPlane.identifier)
    #[must_use]
    pub const fn control_plane(&self) -> &Arc<str> {
        &self.control_plane
    }

    /// Wants these too. A name that was given up and is wanted again is asked for again, whether or not the server heard of it in between.
    pub fn subscribe(&mut self, kind: ResourceType, subjects: &[Subject]) {
        let mode = self.mode;
        let subscription =
            self.subscriptions.entry(kind).or_insert_with(|| Subscription::new(kind, mode));
        subjects.iter().for_each(|subject| subscription.subscribe(subject));
    }

    /// Wants these no more; the owner has forgotten what it had of them.
    pub fn unsubscribe(&mut self, kind: ResourceType, subjects: &[Subject]) {
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        for subject in subjects {
            subscription.unsubscribe(subject, &mut self.deadlines);
        }
    }

    /// Sends no request of this type, answers included, until it is [released](Self::release): there is more to come, or the server is not to
    /// believe yet that all is in force. (envoy: `GrpcMux::pause`)
    pub fn hold(&mut self, kind: ResourceType) {
        let mode = self.mode;
        self.subscriptions
            .entry(kind)
            .or_insert_with(|| Subscription::new(kind, mode))
            .is_on_hold = true;
    }

    /// Ends [`Mux::hold`].
    pub fn release(&mut self, kind: ResourceType) {
        if let Some(subscription) = self.subscriptions.get_mut(&kind) {
            subscription.is_on_hold = false;
        }
    }

    /// There is a stream: everything that is wanted is asked for on it.
    pub fn on_stream_open(&mut self) {
        self.on_stream_closed();
        self.stream = Stream::New;
    }

    /// There is none any more. What is held stays held.
    pub fn on_stream_closed(&mut self) {
        self.stream = Stream::Closed;
        self.subscriptions.values_mut().for_each(Subscription::restart);
    }

    /// Takes a message of the stream in.
    ///
    /// # Errors
    /// If it is no response at all: the stream is of no use.
    pub fn on_message(&mut self, message: Bytes, now: Instant) -> Result<Received, MessageError> {
        let response = Response::decode(self.mode, message)?;
        if let Some(identifier) = &response.control_plane
            && **identifier != *self.control_plane
        {
            self.control_plane = identifier.as_str().into();
        }
        let kind = ResourceType::of_url(&response.type_url);
        let Some((kind, subscription)) =
            kind.and_then(|kind| Some((kind, self.subscriptions.get_mut(&kind)?)))
        else {
            return Ok(Received::Unknown { type_url: response.type_url });
        };
        self.serial += 1;
        let serial = self.serial;
        Ok(match subscription.receive(self.mode, response, now, serial, &mut self.deadlines) {
            Ok(Taken::Update(update, failures)) => {
                Received::Delivery(Delivery { update, receipt: Receipt { kind, serial }, failures })
            }
            Ok(Taken::Done) => Received::Done,
            Err(reason) => Received::Rejected { kind, reason },
        })
    }

    /// The owner has taken a delivery in, all but what it refused. The answer is the next request of the type. A judgement of what came on
    /// an earlier stream counts as well, though nobody is told.
    pub fn on_applied(&mut self, receipt: Receipt, refusals: &[Refusal]) {
        let Receipt { kind, serial } = receipt;
        if let Some(subscription) = self.subscriptions.get_mut(&kind) {
            subscription.judge(serial, refusals, &mut self.deadlines);
        }
    }

    /// True if something that was delivered is not yet judged. More may be taken in then, but need not.
    #[must_use]
    pub fn awaits_judgement(&self) -> bool {
        self.subscriptions.values().any(Subscription::awaits_judgement)
    }

    /// The next request that is to be sent, if any. Types of which only the wishes have changed come first: a server hears what a response made
    /// necessary before it hears that it was accepted.
    pub fn next_request(&mut self) -> Option<Request> {
        if self.stream == Stream::Closed {
            return None;
        }
        let (answers, wishes): (Vec<_>, Vec<_>) =
            self.subscriptions.values_mut().partition(|subscription| subscription.is_answer_due());
        let mut request = wishes.into_iter().chain(answers).find_map(Subscription::next_request)?;
        if self.stream == Stream::New || !self.identity.on_first_message_only {
            self.stream = Stream::Introduced;
            let node = Some(self.identity.node.clone());
            match &mut request {
                Request::Sotw(request) => request.node = node,
                Request::Delta(request) => request.node = node,
            }
        }
        Some(request)
    }

    /// When [`Mux::on_time`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Resources that were not repeated in time are gone: one update for each, to be applied and not judged. (xDS: "TTL")
    pub fn on_time(&mut self, now: Instant) -> Vec<Update> {
        let mut expired = Vec::new();
        while let Some((kind, name)) = self.deadlines.pop(now) {
            let subscription = self.subscriptions.get_mut(&kind);
            expired.extend(subscription.and_then(|subscription| subscription.expire(name)));
        }
        expired
    }
}
