//! The hosts of a cluster at one moment, ready for picks. Replaced as a whole, never changed.

use std::collections::{HashMap, HashSet};
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

/// The hosts of a cluster as configuration, EDS or DNS gives them. (envoy: config.endpoint.v3.ClusterLoadAssignment)
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Its localities.
    pub localities: Vec<LocalitySpec>,
    /// 100 × (1 + spare capacity). (envoy: Policy.overprovisioning_factor)
    pub overprovisioning_percent: u32,
    /// A priority's health is that of its weight. (envoy: Policy.weighted_priority_health)
    pub weighted_priority_health: bool,
}

impl Default for Assignment {
    fn default() -> Self {
        let Settings { overprovisioning_percent, weighted_priority_health, .. } =
            Settings::default();
        Self { localities: Vec::new(), overprovisioning_percent, weighted_priority_health }
    }
}

impl Assignment {
    /// Leaves out hosts whose address came before, in whatever locality: what EDS and DNS name twice is one host. Static hosts are as
    /// many as are configured.
    #[must_use]
    pub fn without_duplicates(mut self) -> Self {
        let mut seen = HashSet::new();
        for locality in &mut self.localities {
            locality.hosts.retain(|host| seen.insert(host.address.clone()));
        }
        self
    }
}

/// Hosts and the balancer over them.
#[derive(Debug)]
pub struct HostSet {
    /// Every host, in the order of configuration.
    pub hosts: Box<[Arc<Host>]>,
    /// Picks among them.
    pub balancer: Balancer<Host>,
    settings: Settings,
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
        Self::build(settings.clone(), Vec::new())
    }

    /// The next set: hosts that are named again stay the same objects, those that are not are retired.
    #[must_use]
    pub fn next(
        &self,
        settings: &Settings,
        assignment: &Assignment,
        watch: impl Fn(u64) -> Option<Arc<HostMonitor>>,
    ) -> (Self, Change) {
        let mut held: HashMap<_, Vec<&Arc<Host>>> = HashMap::new();
        for host in &self.hosts {
            held.entry(&host.address).or_default().push(host);
        }
        let mut change = Change::default();
        let localities = &assignment.localities;
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
        let settings = Settings {
            overprovisioning_percent: assignment.overprovisioning_percent,
            weighted_priority_health: assignment.weighted_priority_health,
            ..settings.clone()
        };
        (Self::build(settings, groups), change)
    }

    /// The same hosts after the health of one has changed.
    #[must_use]
    pub fn rebuilt(&self) -> Self {
        Self::build(self.settings.clone(), self.groups.clone())
    }

    /// Retires every host: the cluster is gone.
    pub fn retire(&self) {
        for host in &self.hosts {
            host.retire();
        }
    }

    fn build(settings: Settings, groups: Vec<Group>) -> Self {
        let count = groups.iter().map(|group| group.priority + 1).max().unwrap_or(0);
        let mut priorities: Vec<Vec<lb::Locality<Host>>> = Vec::new();
        priorities.resize_with(count as usize, Vec::new);
        for group in &groups {
            if let Some(priority) = priorities.get_mut(group.priority as usize) {
                let hosts = group.hosts.clone();
                priority.push(lb::Locality { weight: group.weight, hosts });
            }
        }
        let balancer = Balancer::new(&settings, &priorities);
        let hosts = groups.iter().flat_map(|group| group.hosts.iter().cloned()).collect();
        Self { hosts, balancer, settings, groups }
    }
}
