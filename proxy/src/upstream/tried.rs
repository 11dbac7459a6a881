//! What earlier attempts of a request tried, as far as its retries care: asked before every pick, told after it.

use std::sync::Arc;

use outrigger_policy::lb::{Balancer, Share};
use outrigger_policy::retry::{PreviousHosts, PreviousPriorities, RetryPolicy};

use super::host::Host;

/// See the module.
#[derive(Debug)]
pub struct Tried {
    hosts: Option<PreviousHosts<Host>>,
    priorities: Option<PreviousPriorities>,
}

impl Tried {
    /// Nothing yet; `None` if retries go wherever they like.
    #[must_use]
    pub fn of(policy: &RetryPolicy) -> Option<Self> {
        let hosts = policy.avoids_previous_hosts.then(PreviousHosts::default);
        let priorities = policy.leaves_priorities_after.map(PreviousPriorities::new);
        (hosts.is_some() || priorities.is_some()).then_some(Self { hosts, priorities })
    }

    /// True for a host that the next attempt should pass over.
    #[must_use]
    pub fn avoids(&self, host: &Host) -> bool {
        self.hosts.as_ref().is_some_and(|hosts| hosts.contains(host))
    }

    /// How the next attempt shares the load among priorities; `None` if as all requests do.
    pub fn shares(&mut self, balancer: &Balancer<Host>) -> Option<Box<[Share]>> {
        let priorities = self.priorities.as_mut().filter(|p| !p.excluded().is_empty())?;
        let shares = balancer.shares_without(priorities.excluded());
        if shares.is_none() {
            priorities.forget();
        }
        shares
    }

    /// An attempt goes to this host.
    pub fn add(&mut self, host: &Arc<Host>) {
        if let Some(hosts) = &mut self.hosts {
            hosts.add(host);
        }
        if let Some(priorities) = &mut self.priorities {
            priorities.add(host.priority());
        }
    }
}
