//! State of the world: every request says all names, the last version that was accepted and the last nonce, so the latest one is all that counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use outrigger_xds_api::envoy::service::discovery::v3::DiscoveryRequest;

use super::interest::{Interest, Subject, WILDCARD};
use super::request::{self, Answer};
use crate::resource::ResourceType;

/// Names that are remembered as given up. Most never come back.
const GIVEN_UP_MAX: usize = 10_000;

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
    /// Names that were given up, and of which the server may not have heard: it ignores a request that crosses with a response.
    given_up: BTreeSet<Arc<str>>,
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
        if let Subject::Name(name) = subject {
            if self.stream.given_up.len() == GIVEN_UP_MAX {
                self.stream.given_up.clear();
            }
            self.stream.given_up.insert(name.clone());
        }
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
        // The owner has forgotten what it gave up. If it wants it again, only a request without that name, and then one with it, make the
        // server say it again. (xDS: "unsubscribing from resources")
        if !stream.is_open {
            stream.given_up.clear();
        }
        let (forgotten, names): (Vec<_>, Vec<_>) =
            interest.names.iter().partition(|name| !interest.all && stream.given_up.remove(*name));
        stream.is_open = true;
        stream.is_due = !forgotten.is_empty();
        stream.is_answer_due = false;
        stream.was_explicit |= !interest.names.is_empty();
        let all = (interest.all && stream.was_explicit).then(|| WILDCARD.into());
        let resource_names = all.into_iter().chain(names.iter().map(ToString::to_string)).collect();
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
