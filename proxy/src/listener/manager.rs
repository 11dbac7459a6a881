//! Binds the sockets of listeners and hands them to workers. On the control runtime.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use outrigger_policy::bulkhead::Bulkhead;
use tokio::sync::watch;

use super::accept::{ListenSocket, ListenTask};
use super::drain::{DrainState, Phase};
use super::listener::{Bind, Direction, Listener};
use crate::net::Address;
use crate::worker::{Mail, Shared};

/// The listeners that are bound.
#[derive(Debug)]
pub struct ListenerManager {
    shared: Arc<Shared>,
    drain: Arc<DrainState>,
    global_limit: Option<Arc<Bulkhead>>,
    active: HashMap<Arc<str>, Active>,
}

#[derive(Debug)]
struct Active {
    listener: Arc<Listener>,
    bound: Vec<Address>,
    stop: watch::Sender<bool>,
}

/// A listener whose address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("listener {name}: cannot bind '{address}': {error}")]
pub struct BindError {
    /// The listener.
    pub name: Arc<str>,
    /// The address.
    pub address: Address,
    /// What the kernel said.
    pub error: io::Error,
}

impl ListenerManager {
    /// No listeners yet.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        drain: Arc<DrainState>,
        global_limit: Option<Arc<Bulkhead>>,
    ) -> Self {
        Self { shared, drain, global_limit, active: HashMap::new() }
    }

    /// Binds a listener and lets the workers accept; one that is bound already keeps its sockets.
    ///
    /// # Errors
    /// If an address cannot be had; nothing of the listener is bound then.
    pub fn add(&mut self, listener: Arc<Listener>) -> Result<(), BindError> {
        if let Some(active) = self.active.get_mut(&listener.name)
            && active.listener.binds == listener.binds
        {
            active.listener = listener;
            return Ok(());
        }
        let mut opened = Vec::new();
        for bind in &listener.binds {
            opened.push(self.open(&listener, bind)?);
        }
        let bound = opened.iter().filter_map(|sockets| local_address(sockets)).collect();
        let (stop, stopped) = watch::channel(false);
        for sockets in opened {
            for (worker, socket) in self.shared.workers().iter().zip(sockets) {
                let task = ListenTask {
                    name: listener.name.clone(),
                    listener: listener.clone(),
                    socket,
                    drain: self.drain.clone(),
                    global: self.global_limit.clone(),
                    stopped: stopped.clone(),
                };
                worker.post(Mail::Listen(task));
            }
        }
        let name = listener.name.clone();
        if let Some(old) = self.active.insert(name, Active { listener, bound, stop }) {
            old.stop.send_replace(true);
        }
        Ok(())
    }

    fn open(&self, listener: &Listener, bind: &Bind) -> Result<Vec<ListenSocket>, BindError> {
        bind.open(self.shared.workers().len()).map_err(|error| BindError {
            name: listener.name.clone(),
            address: bind.address.clone(),
            error,
        })
    }

    /// Stops accepting for a listener. Its connections go on.
    pub fn remove(&mut self, name: &str) {
        if let Some(active) = self.active.remove(name) {
            active.stop.send_replace(true);
        }
    }

    /// Stops accepting for all listeners, or for those that are inbound.
    pub fn stop(&mut self, inbound_only: bool) {
        self.active.retain(|_, active| {
            let stays = inbound_only && active.listener.direction != Direction::Inbound;
            if !stays {
                active.stop.send_replace(true);
            }
            stays
        });
    }

    /// Tells all clients to leave, or those of inbound listeners.
    pub fn drain(&self, phase: Phase, inbound_only: bool) {
        self.drain.advance(phase, inbound_only);
        self.tell_workers();
    }

    /// Tells all clients to leave for as long as health checks fail. (envoy admin: `/healthcheck/fail`)
    pub fn set_failed(&self, failed: bool) {
        self.drain.set_failed(failed);
        self.tell_workers();
    }

    fn tell_workers(&self) {
        for worker in self.shared.workers() {
            worker.post(Mail::DrainChanged);
        }
    }

    /// The listeners and the addresses that they are bound to, by name.
    #[must_use]
    pub fn active(&self) -> Vec<(Arc<Listener>, Vec<Address>)> {
        let mut active: Vec<_> = self
            .active
            .values()
            .map(|active| (active.listener.clone(), active.bound.clone()))
            .collect();
        active.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        active
    }
}

fn local_address(sockets: &[ListenSocket]) -> Option<Address> {
    match sockets.first()? {
        ListenSocket::Tcp(socket) => socket.local_addr().ok().map(Into::into),
        ListenSocket::Unix(socket) => {
            let address = socket.local_addr().ok()?;
            Some(Address::Pipe(address.as_pathname()?.to_string_lossy().into()))
        }
    }
}
