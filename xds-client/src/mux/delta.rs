//! Delta: requests say what has changed since the one before, and every response has its own answer.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use outrigger_xds_api::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use super::element::Held;
use super::interest::{Interest, Subject, WILDCARD};
use super::request::{self, Answer};
use crate::resource::ResourceType;

/// Answers that may wait while requests are held back. A server that sends more without hearing of any is told of the newest.
const ANSWERS_MAX: usize = 1024;

/// What was said on this stream, and what is to be said next.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// A first request was sent.
    is_open: bool,
    subscribe: BTreeSet<Arc<str>>,
    unsubscribe: BTreeSet<Arc<str>>,
    /// Nonces, and why the response was rejected.
    answers: VecDeque<(String, Option<String>)>,
}

impl Delta {
    /// Forgets the stream.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn is_answer_due(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Asks for a name, even if the request that gives it up was not sent yet: the owner may have forgotten the resource, and wants it again.
    pub(super) fn subscribe(&mut self, subject: &Subject) {
        let name = name_of(subject);
        self.unsubscribe.remove(&name);
        self.subscribe.insert(name);
    }

    /// Gives a name up. It may never have been asked for; to say so costs little and is never wrong.
    pub(super) fn unsubscribe(&mut self, subject: &Subject) {
        let name = name_of(subject);
        self.subscribe.remove(&name);
        self.unsubscribe.insert(name);
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        let Some(nonce) = answer.nonce else { return };
        if self.answers.len() == ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back((nonce, answer.rejection));
    }

    pub(super) fn next_request(
        &mut self,
        kind: ResourceType,
        interest: &Interest,
        held: &Held,
    ) -> Option<DeltaDiscoveryRequest> {
        let mut request =
            DeltaDiscoveryRequest { type_url: kind.type_url(), ..DeltaDiscoveryRequest::default() };
        if !self.is_open {
            self.subscribe.clear();
            self.unsubscribe.clear();
            if interest.is_empty() {
                return None;
            }
            self.is_open = true;
            // The server may be another one: it hears of everything that is wanted and of everything that is held. To want all and no name
            // is said by silence, which is what older servers understand too. (xDS: "wildcard", legacy)
            if !interest.names.is_empty() {
                let all = interest.all.then(|| WILDCARD.into());
                self.subscribe = interest.names.iter().cloned().chain(all).collect();
            }
            let versions = held.values().map(|r| (r.name.to_string(), r.version.to_string()));
            request.initial_resource_versions = versions.collect();
        } else if self.answers.is_empty()
            && self.subscribe.is_empty()
            && self.unsubscribe.is_empty()
        {
            return None;
        }
        let names = |names: &mut BTreeSet<Arc<str>>| {
            std::mem::take(names).iter().map(ToString::to_string).collect()
        };
        request.resource_names_subscribe = names(&mut self.subscribe);
        request.resource_names_unsubscribe = names(&mut self.unsubscribe);
        if let Some((nonce, rejection)) = self.answers.pop_front() {
            request.response_nonce = nonce;
            request.error_detail = rejection.map(request::status);
        }
        Some(request)
    }
}

fn name_of(subject: &Subject) -> Arc<str> {
    match subject {
        Subject::All => WILDCARD.into(),
        Subject::Name(name) => name.clone(),
    }
}
