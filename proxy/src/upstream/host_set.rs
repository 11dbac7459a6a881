//! The hosts of a cluster at one moment, ready for picks. Replaced as a whole, never changed.

use std::collections::HashMap;
use std::sync::Arc;

use outrigger_policy::lb::{self, Balancer, Settings};
use outrigger_policy::outlier::HostMonitor;

use super::host::{Host, HostSpec};

/// Hosts of one locality within one priority.
#[derive(Clone, Debug)]
pub struct LocalitySpec {
    /// Its share of load, if localities are weighted.
    pub weight: u32,
    /// 0 is the most preferred.
    pub priority: u32,
    /// Its hosts.
    pub hosts: Vec<HostSpec>,
}

/// Hosts and the balancer over them.
#[derive(Debug)]
pub struct HostSet {
    /// Every host, in the order of configuration.
    pub hosts: Box<[Arc<Host>]>,
    /// Picks among them.
    pub balancer: Balancer<Host>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    weight: u32,
    priority: u32,
    hosts: Vec<Arc<Host>>,
}

/// What changed from one host set to the next. (envoy: stats `membership_change`)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Hosts that are new.
    pub added: usize,
    /// Hosts that are gone.
    pub removed: usize,
}

impl HostSet {
    /// No hosts.
    #[must_use]
    pub fn empty(settings: &Settings) -> Self {
        Self::build(settings, Vec::new())
    }

    /// The next set: hosts that are named again stay the same objects, those that are not are retired.
    #[must_use]
    pub fn next(
        &self,
        settings: &Settings,
        localities: &[LocalitySpec],
        watch: impl Fn(u64) -> Option<Arc<HostMonitor>>,
    ) -> (Self, Change) {
        let mut held: HashMap<_, Vec<&Arc<Host>>> = HashMap::new();
        for host in &self.hosts {
            held.entry(&host.address).or_default().push(host);
        }
        let mut change = Change::default();
        let groups = localities
            .iter()
            .map(|locality| {
                let hosts = locality.hosts.iter().map(|spec| {
                    let known = held.get_mut(&spec.address).and_then(|candidates| {
                        let place = candidates.iter().position(|host| host.is(spec))?;
                        Some(candidates.swap_remove(place))
                    });
                    if let Some(host) = known {
                        host.update(spec);
                        return host.clone();
                    }
                    change.added += 1;
                    Host::new(spec.clone(), &watch)
                });
                Group {
                    weight: locality.weight,
                    priority: locality.priority,
                    hosts: hosts.collect(),
                }
            })
            .collect();
        for host in held.into_values().flatten() {
            host.retire();
            change.removed += 1;
        }
        (Self::build(settings, groups), change)
    }

    /// The same hosts after the health of one has changed.
    #[must_use]
    pub fn rebuilt(&self, settings: &Settings) -> Self {
        Self::build(settings, self.groups.clone())
    }

    /// Retires every host: the cluster is gone.
    pub fn retire(&self) {
        for host in &self.hosts {
            host.retire();
        }
    }

    fn build(settings: &Settings, groups: Vec<Group>) -> Self {
        let count = groups.iter().map(|group| group.priority + 1).max().unwrap_or(0);
        let mut priorities: Vec<Vec<lb::Locality<Host>>> = Vec::new();
        priorities.resize_with(count as usize, Vec::new);
        for group in &groups {
            if let Some(priority) = priorities.get_mut(group.priority as usize) {
                let hosts = group.hosts.clone();
                priority.push(lb::Locality { weight: group.weight, hosts });
            }
        }
        let balancer = Balancer::new(settings, &priorities);
        let hosts = groups.iter().flat_map(|group| group.hosts.iter().cloned()).collect();
        Self { hosts, balancer, groups }
    }
}
