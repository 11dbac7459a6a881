//! State of the world: every request says all names, the last version that was accepted and the last nonce, so the latest one is all that counts.

use std::sync::Arc;

use outrigger_xds_api::envoy::service::discovery::v3::DiscoveryRequest;

use super::interest::{Interest, WILDCARD};
use super::request::{self, Answer};
use crate::resource::ResourceType;

#[derive(Debug, Default)]
pub(super) struct Sotw {
    /// Of the last response that was accepted. It outlives the stream, the nonce does not.
    pub(super) version: Arc<str>,
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
}

impl Sotw {
    /// Forgets the stream.
    pub(super) fn restart(&mut self) {
        self.stream = Stream::default();
    }

    pub(super) const fn is_open(&self) -> bool {
        self.stream.is_open
    }

    pub(super) const fn is_answer_due(&self) -> bool {
        self.stream.is_answer_due
    }

    pub(super) const fn change(&mut self) {
        self.stream.is_due = true;
    }

    /// Answers a response. An answer that was not sent yet is overtaken: the newer one implies it.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.note(answer.nonce);
        self.stream.rejection = answer.rejection;
        self.stream.is_due = true;
        self.stream.is_answer_due = true;
    }

    /// Takes note of a response that needs no answer of its own.
    pub(super) fn note(&mut self, nonce: String) {
        self.stream.nonce = nonce;
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
        stream.is_open = true;
        stream.is_due = false;
        stream.is_answer_due = false;
        stream.was_explicit |= !interest.names.is_empty();
        let mut resource_names = Vec::with_capacity(interest.names.len());
        if interest.all && stream.was_explicit {
            resource_names.push(WILDCARD.into());
        }
        resource_names.extend(interest.names.iter().map(|name| String::from(&**name)));
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
