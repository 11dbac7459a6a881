//! One type on the stream: what is wanted of it, what is held, and what was delivered and not yet judged.
//!
//! "Held" is what the owner has applied. It is what a new stream is told of, so it must be true: a resource that was refused is not in it, and one that
//! was applied out of a response with refusals is in it by name and without a version, since the server took that response for rejected as a whole.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashSet;

use super::delta::Delta;
use super::element::{Held, Malformed, Reader, Sorted};
use super::interest::{Interest, Subject};
use super::request::{self, Answer, Refusal, Request};
use super::sotw::Sotw;
use super::ttl::Deadlines;
use super::wire::{ResourceError, Response};
use super::{Failure, Mode};
use crate::resource::{Resource, ResourceType};
use crate::update::{Extent, Update};

/// `google.rpc.Code.NOT_FOUND`
const NOT_FOUND: i32 = 5;

#[derive(Debug)]
enum Protocol {
    Sotw(Sotw),
    Delta(Delta),
}

#[derive(Debug)]
pub(super) struct Subscription {
    kind: ResourceType,
    interest: Interest,
    held: Held,
    protocol: Protocol,
    deliveries: VecDeque<Delivered>,
    pub(super) is_on_hold: bool,
}

/// What was handed to the owner.
#[derive(Debug)]
struct Delivered {
    serial: u64,
    /// None once its stream is gone: nobody waits for the answer.
    nonce: Option<String>,
    version: Arc<str>,
    resources: Vec<(Resource, Option<Instant>)>,
    removed: Vec<Arc<str>>,
    extent: Extent,
}

/// What became of a response.
pub(super) enum Taken {
    /// The owner is to judge it.
    Update(Update, Vec<Failure>),
    /// It is answered already, or needs no answer.
    Done,
}

impl Subscription {
    pub(super) fn new(kind: ResourceType, mode: Mode) -> Self {
        Self {
            kind,
            interest: Interest::default(),
            held: Held::default(),
            protocol: match mode {
                Mode::Sotw => Protocol::Sotw(Sotw::default()),
                Mode::Delta => Protocol::Delta(Delta::default()),
            },
            deliveries: VecDeque::new(),
            is_on_hold: false,
        }
    }

    pub(super) fn subscribe(&mut self, subject: &Subject) {
        if !self.interest.insert(subject) {
            return;
        }
        match &mut self.protocol {
            Protocol::Sotw(sotw) => sotw.subscribe(),
            Protocol::Delta(delta) => delta.subscribe(subject),
        }
    }

    pub(super) fn unsubscribe(&mut self, subject: &Subject, deadlines: &mut Deadlines) {
        if !self.interest.remove(subject) {
            return;
        }
        match &mut self.protocol {
            Protocol::Sotw(sotw) => sotw.unsubscribe(subject),
            Protocol::Delta(delta) => delta.unsubscribe(subject),
        }
        // What the owner does not want it forgets. A name that is also one of all stays until the server says what is to become of it.
        let forgotten: Vec<Arc<str>> = match subject {
            Subject::All => {
                self.held.keys().filter(|n| !self.interest.covers(n)).cloned().collect()
            }
            Subject::Name(_) if self.interest.all => Vec::new(),
            Subject::Name(name) => vec![name.clone()],
        };
        for name in forgotten {
            self.forget(&name, deadlines);
        }
        for delivered in &mut self.deliveries {
            delivered.resources.retain(|(resource, _)| self.interest.covers(&resource.name));
        }
    }

    /// The stream is gone: what is delivered will still be applied, but nobody waits for the answer.
    pub(super) fn restart(&mut self) {
        match &mut self.protocol {
            Protocol::Sotw(sotw) => sotw.restart(),
            Protocol::Delta(delta) => delta.restart(),
        }
        for delivered in &mut self.deliveries {
            delivered.nonce = None;
        }
    }

    pub(super) fn awaits_judgement(&self) -> bool {
        !self.deliveries.is_empty()
    }

    pub(super) fn is_answer_due(&self) -> bool {
        match &self.protocol {
            Protocol::Sotw(sotw) => sotw.is_answer_due(),
            Protocol::Delta(delta) => delta.is_answer_due(),
        }
    }

    pub(super) fn next_request(&mut self) -> Option<Request> {
        if self.is_on_hold {
            return None;
        }
        let is_judging = self.awaits_judgement();
        match &mut self.protocol {
            // It would carry an old nonce, and a server ignores what does.
            Protocol::Sotw(_) if is_judging => None,
            // A new stream is told of what is held, which is not known while the owner is at it.
            Protocol::Delta(delta) if is_judging && !delta.is_open() => None,
            Protocol::Sotw(sotw) => sotw.next_request(self.kind, &self.interest).map(Request::Sotw),
            Protocol::Delta(delta) => {
                delta.next_request(self.kind, &self.interest, &self.held).map(Request::Delta)
            }
        }
    }

    /// Takes a response in.
    ///
    /// # Errors
    /// Why it is rejected as a whole; the answer says so already.
    pub(super) fn receive(
        &mut self,
        mode: Mode,
        response: Response,
        now: Instant,
        serial: u64,
        deadlines: &mut Deadlines,
    ) -> Result<Taken, Malformed> {
        let Response { nonce, version, shown_version, elements, removed, errors, .. } = response;
        if self.interest.is_empty() {
            match &mut self.protocol {
                Protocol::Sotw(sotw) => sotw.ignore(serial, version, nonce, elements.is_empty()),
                Protocol::Delta(delta) => {
                    delta.answer(Answer { serial, nonce: Some(nonce), rejection: None });
                }
            }
            return Ok(Taken::Done);
        }
        let nonce = Some(nonce);
        let version: Arc<str> = version.into();
        let Self { kind, interest, held, .. } = &*self;
        let reader = Reader { kind: *kind, mode, version: &version, interest, held };
        let Sorted { mut resources, alive } = match reader.read_all(elements, &removed, now) {
            Ok(sorted) => sorted,
            Err(malformed) => {
                let rejection = Some(malformed.to_string());
                self.answer(version, Answer { serial, nonce, rejection });
                return Err(malformed);
            }
        };
        for (name, at) in &alive {
            deadlines.set(self.kind, name, *at);
        }
        let (missing, failures) = self.failures(mode, errors);
        let removed = removed.into_iter().chain(missing).map(Arc::from);
        let removed: Vec<_> =
            removed.filter(|name: &Arc<str>| self.interest.covers(name)).collect();
        let is_sign_of_life = !alive.is_empty() && resources.is_empty();
        if is_sign_of_life && removed.is_empty() && failures.is_empty() {
            self.answer(version, Answer { serial, nonce, rejection: None });
            return Ok(Taken::Done);
        }
        let is_whole = mode == Mode::Sotw && self.kind.absence_removes() && !is_sign_of_life;
        if is_whole {
            // They are said to be there, in few words.
            let alive =
                alive.iter().filter_map(|(name, at)| Some((self.held.get(name)?.clone(), *at)));
            resources.extend(alive);
        }
        let extent = if is_whole { Extent::Everything } else { Extent::Some };
        let update = Update {
            kind: self.kind,
            version: shown_version.into(),
            resources: resources.iter().map(|(resource, _)| resource.clone()).collect(),
            removed: removed.clone(),
            extent,
        };
        self.deliveries.push_back(Delivered { serial, nonce, version, resources, removed, extent });
        Ok(Taken::Update(update, failures))
    }

    /// Errors of single resources: names that do not exist, and others. (xDS: "resource_errors")
    fn failures(&self, mode: Mode, errors: Vec<ResourceError>) -> (Vec<String>, Vec<Failure>) {
        let (mut missing, mut failures) = (Vec::new(), Vec::new());
        for ResourceError { resource_name, error_detail } in errors {
            let name = resource_name.unwrap_or_default().lossy();
            let status = error_detail.unwrap_or_default();
            if mode == Mode::Delta && status.code == NOT_FOUND {
                missing.push(name);
            } else if self.interest.covers(&name) {
                let (code, message) = (status.code, status.message);
                failures.push(Failure { name: name.into(), code, message });
            }
        }
        (missing, failures)
    }

    /// The owner has judged what was delivered under this number.
    pub(super) fn judge(&mut self, serial: u64, refusals: &[Refusal], deadlines: &mut Deadlines) {
        let Some(place) = self.deliveries.iter().position(|d| d.serial == serial) else { return };
        let Some(delivered) = self.deliveries.remove(place) else { return };
        let Delivered { nonce, version, resources, removed, extent, .. } = delivered;
        for name in removed {
            self.forget(&name, deadlines);
        }
        if extent == Extent::Everything {
            let named: HashSet<&str> = resources.iter().map(|(r, _)| &*r.name).collect();
            let gone: Vec<_> =
                self.held.keys().filter(|name| !named.contains(&***name)).cloned().collect();
            gone.iter().for_each(|name| self.forget(name, deadlines));
        }
        let refused: HashSet<&str> = refusals.iter().map(|refusal| &*refusal.name).collect();
        for (mut resource, at) in resources {
            if refused.contains(&*resource.name) {
                continue;
            }
            if !refusals.is_empty() {
                resource.version = Arc::default();
            }
            if let Protocol::Sotw(sotw) = &mut self.protocol {
                sotw.apply(&resource.name);
            }
            deadlines.set(self.kind, &resource.name, at);
            // Most of what a server sends is what it has sent before.
            if self.held.get(&resource.name) != Some(&resource) {
                self.held.insert(resource.name.clone(), resource);
            }
        }
        let rejection = (!refusals.is_empty()).then(|| request::describe(self.kind, refusals));
        self.answer(version, Answer { serial, nonce, rejection });
    }

    /// A resource was not repeated in time; what is to be told of it.
    pub(super) fn expire(&mut self, name: Arc<str>) -> Option<Update> {
        self.held.remove(&name)?;
        Some(Update {
            kind: self.kind,
            version: match &self.protocol {
                Protocol::Sotw(sotw) => sotw.version.clone(),
                Protocol::Delta(_) => Arc::default(),
            },
            resources: Vec::new(),
            removed: vec![name],
            extent: Extent::Some,
        })
    }

    fn forget(&mut self, name: &Arc<str>, deadlines: &mut Deadlines) {
        self.held.remove(name);
        deadlines.set(self.kind, name, None);
    }

    fn answer(&mut self, version: Arc<str>, answer: Answer) {
        match &mut self.protocol {
            Protocol::Sotw(sotw) => sotw.answer(version, answer),
            Protocol::Delta(delta) => delta.answer(answer),
        }
    }
}
