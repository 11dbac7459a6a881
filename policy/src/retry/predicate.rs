//! Which hosts a retry should pass over: those that were tried.
//!
//! Given to [`crate::lb::Balancer::pick`] as `avoid`, with the policy's number of attempts.
//! (envoy: extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate)

use std::sync::Arc;

use smallvec::SmallVec;

/// Hosts that are remembered. Beyond it the oldest is forgotten, so that a client that asks for endless
/// retries costs no memory.
const MOST: usize = 16;

/// The hosts that a request was sent to. Two hosts are the same if they are one object.
#[derive(Debug)]
pub struct PreviousHosts<H> {
    hosts: SmallVec<[Arc<H>; 2]>,
}

impl<H> PreviousHosts<H> {
    /// Remembers `host`.
    pub fn add(&mut self, host: &Arc<H>) {
        if self.contains(host) {
            return;
        }
        if self.hosts.len() == MOST {
            self.hosts.remove(0);
        }
        self.hosts.push(Arc::clone(host));
    }

    /// True for a host that was added.
    #[must_use]
    pub fn contains(&self, host: &H) -> bool {
        self.hosts.iter().any(|previous| std::ptr::eq(&raw const **previous, host))
    }
}

impl<H> Default for PreviousHosts<H> {
    fn default() -> Self {
        Self { hosts: SmallVec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_each_host_once_and_forgets_the_oldest_of_too_many() {
        let hosts: Vec<_> = (0..=MOST).map(|_| Arc::new(7_u32)).collect();
        let mut previous = PreviousHosts::<u32>::default();
        assert!(!previous.contains(&hosts[0]));
        for host in hosts.iter().take(MOST).chain(&hosts[..3]) {
            previous.add(host);
        }
        assert!(hosts.iter().take(MOST).all(|host| previous.contains(host)));
        assert!(!previous.contains(&hosts[MOST]), "equal is not the same");
        previous.add(&hosts[MOST]);
        assert!(previous.contains(&hosts[MOST]) && !previous.contains(&hosts[0]));
    }
}
