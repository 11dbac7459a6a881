//! State of the world: every request says all names, the last version that was accepted and the last nonce, so the latest one is all that counts.

use std::sync::Arc;

use outrigger_xds_api::envoy::service::discovery::v3::DiscoveryRequest;

use super::forgotten::Forgotten;
use super::interest::{Interest, Subject, WILDCARD};
use super::request::{self, Answer};
use crate::resource::ResourceType;

#[derive(Debug, Default)]
pub(super) struct Sotw {
    /// Of the last response that was accepted. It outlives the stream, the nonce does not.
    pub(super) version: Arc<str>,
    /// The number of the last response that was answered.
    answered: u64,
    stream: Stream,
}

/// What was said on this stream.
#[derive(Debug, Default)]
struct Stream {
    /// A first request was sent.
    is_open: bool,
    nonce: String,
    rejection: Option<String>,
    is_due: bool,
    is_answer_due: bool,
    /// A name was asked for: from then on no names means none, not all.
    was_explicit: bool,
    forgotten: Forgotten,
}

impl Sotw {
    /// Forgets the stream.
    pub(super) fn restart(&mut self) {
        self.stream = Stream::default();
    }

    pub(super) const fn is_answer_due(&self) -> bool {
        self.stream.is_answer_due
    }

    pub(super) const fn subscribe(&mut self) {
        self.stream.is_due = true;
    }

    pub(super) fn unsubscribe(&mut self, subject: &Subject) {
        self.stream.is_due = true;
        if let Subject::Name(name) = subject
            && self.stream.is_open
        {
            self.stream.forgotten.insert(name);
        }
    }

    /// The owner has a resource of this name.
    pub(super) fn apply(&mut self, name: &str) {
        self.stream.forgotten.remove(name);
    }

    /// Answers a response of this version. An answer that was not sent yet is overtaken, and one that comes after that to a later response is not
    /// given: the later one implies it.
    pub(super) fn answer(&mut self, version: Arc<str>, answer: Answer) {
        if answer.serial < self.answered {
            return;
        }
        self.answered = answer.serial;
        if answer.rejection.is_none() {
            self.version = version;
        }
        if let Some(nonce) = answer.nonce {
            self.stream.forgotten.renew();
            self.stream.nonce = nonce;
            self.stream.rejection = answer.rejection;
            self.stream.is_due = true;
            self.stream.is_answer_due = true;
        }
    }

    /// A response that crossed with the request that gave the last name up. An empty one says what is so, and needs no answer; any other is rejected by
    /// its version, which stays behind. (envoy: MUX)
    pub(super) fn ignore(&mut self, serial: u64, version: String, nonce: String, is_empty: bool) {
        self.answered = serial;
        self.stream.forgotten.renew();
        self.stream.nonce = nonce;
        if is_empty {
            self.version = version.into();
        } else {
            self.stream.is_due = true;
            self.stream.is_answer_due = true;
        }
    }

    pub(super) fn next_request(
        &mut self,
        kind: ResourceType,
        interest: &Interest,
    ) -> Option<DiscoveryRequest> {
        let stream = &mut self.stream;
        let is_due = if stream.is_open { stream.is_due } else { !interest.is_empty() };
        if !is_due {
            return None;
        }
        let forgotten = stream.forgotten.take(interest);
        stream.is_open = true;
        stream.is_due = !forgotten.is_empty();
        stream.is_answer_due = false;
        stream.was_explicit |= !interest.names.is_empty();
        let all = (interest.all && stream.was_explicit).then(|| WILDCARD.into());
        let names = interest.names.iter().filter(|name| !forgotten.contains(name));
        let resource_names = all.into_iter().chain(names.map(ToString::to_string)).collect();
        Some(DiscoveryRequest {
            version_info: String::from(&*self.version),
            node: None,
            resource_names,
            resource_locators: Vec::new(),
            type_url: kind.type_url(),
            response_nonce: stream.nonce.clone(),
            error_detail: stream.rejection.take().map(request::status),
        })
    }
}
