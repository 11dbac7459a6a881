//! One endpoint of a cluster. (envoy: config.endpoint.v3.LbEndpoint)
//!
//! Its identity is its address: an update that names it again keeps it, and with it its connections, counters and ejection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use outrigger_policy::lb::{Health, Target};
use outrigger_policy::outlier::HostMonitor;

use super::transport::Transport;
use crate::net::Address;
use crate::peer::Peer;

/// Where a host is. (envoy: config.core.v3.Locality)
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// Region.
    pub region: Box<str>,
    /// Zone within the region.
    pub zone: Box<str>,
    /// Zone within the zone.
    pub sub_zone: Box<str>,
}

/// Health as the control plane tells it. (envoy: config.core.v3.HealthStatus)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum EdsHealth {
    /// Nothing is known: counts as healthy.
    #[default]
    Unknown,
    /// Gets traffic.
    Healthy,
    /// Gets traffic in panic only.
    Unhealthy,
    /// Leaves: gets traffic in panic only.
    Draining,
    /// Its health check timed out.
    Timeout,
    /// Gets traffic when there are too few healthy hosts.
    Degraded,
}

impl EdsHealth {
    const ALL: [Self; 6] = [
        Self::Unknown,
        Self::Healthy,
        Self::Unhealthy,
        Self::Draining,
        Self::Timeout,
        Self::Degraded,
    ];

    /// Spelling of the enumeration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::Draining => "DRAINING",
            Self::Timeout => "TIMEOUT",
            Self::Degraded => "DEGRADED",
        }
    }
}

/// An endpoint.
#[derive(Debug)]
pub struct Host {
    /// Unique in the process.
    pub id: u64,
    /// Where it listens.
    pub address: Address,
    /// Where it listens too, in the order in which they are tried. (envoy: Endpoint.additional_addresses)
    pub additional_addresses: Box<[Address]>,
    /// The name that the address was resolved from, or that the endpoint has.
    pub hostname: Box<str>,
    /// Where it is.
    pub locality: Arc<Locality>,
    /// How it is connected to.
    pub transport: Arc<Transport>,
    /// The workload that its metadata names. (istio: `workload`)
    pub workload: Option<Arc<Peer>>,
    /// What outlier detection counts of it; `None` without detection.
    pub monitor: Option<Arc<HostMonitor>>,
    /// Requests and connections, for load balancing and `/clusters`.
    pub counters: HostCounters,
    weight: AtomicU32,
    priority: AtomicU32,
    health: AtomicU8,
    is_ejected: AtomicBool,
    is_retired: AtomicBool,
    is_touched: AtomicBool,
}

/// Counters of a host, written by all workers. (envoy: admin `/clusters`)
#[derive(Debug, Default)]
pub struct HostCounters {
    /// Connections open.
    pub cx_active: AtomicU64,
    /// Connections made.
    pub cx_total: AtomicU64,
    /// Connections that failed.
    pub cx_connect_fail: AtomicU64,
    /// Requests being served, or waiting for a connection to it.
    pub rq_active: AtomicU64,
    /// Requests sent.
    pub rq_total: AtomicU64,
    /// Requests answered by a status below 500.
    pub rq_success: AtomicU64,
    /// Requests that failed or were answered by a status from 500.
    pub rq_error: AtomicU64,
    /// Requests that timed out.
    pub rq_timeout: AtomicU64,
}

/// What a host is made of.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Where it listens.
    pub address: Address,
    /// Where it listens too.
    pub additional_addresses: Box<[Address]>,
    /// Its name.
    pub hostname: Box<str>,
    /// Where it is.
    pub locality: Arc<Locality>,
    /// How it is connected to.
    pub transport: Arc<Transport>,
    /// Its share of load, 1 or more.
    pub weight: u32,
    /// 0 is the most preferred.
    pub priority: u32,
    /// What the control plane says of it.
    pub health: EdsHealth,
    /// The workload that its metadata names.
    pub workload: Option<Arc<Peer>>,
}

impl Host {
    /// A host without history; `watch` gives it its place in outlier detection.
    #[must_use]
    pub fn new(spec: HostSpec, watch: impl Fn(u64) -> Option<Arc<HostMonitor>>) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Relaxed);
        let HostSpec { address, additional_addresses, hostname, .. } = spec;
        let HostSpec { locality, transport, weight, priority, health, workload, .. } = spec;
        Arc::new(Self {
            id,
            address,
            additional_addresses,
            hostname,
            locality,
            transport,
            workload,
            monitor: watch(id),
            counters: HostCounters::default(),
            weight: AtomicU32::new(weight.max(1)),
            priority: AtomicU32::new(priority),
            health: AtomicU8::new(health as u8),
            is_ejected: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            is_touched: AtomicBool::new(true),
        })
    }

    /// True if `spec` describes this host: all that cannot change on a living one is equal.
    #[must_use]
    pub fn is(&self, spec: &HostSpec) -> bool {
        self.address == spec.address
            && self.additional_addresses == spec.additional_addresses
            && self.hostname == spec.hostname
            && self.locality == spec.locality
            && self.workload == spec.workload
            && Arc::ptr_eq(&self.transport, &spec.transport)
    }

    /// Takes over what may change on a living host; true if something did.
    pub fn update(&self, spec: &HostSpec) -> bool {
        let weight = spec.weight.max(1);
        let changed = self.weight.swap(weight, Relaxed) != weight;
        let changed = self.priority.swap(spec.priority, Relaxed) != spec.priority || changed;
        self.health.swap(spec.health as u8, Relaxed) != spec.health as u8 || changed
    }

    /// What the control plane says of it.
    #[must_use]
    pub fn eds_health(&self) -> EdsHealth {
        let index = usize::from(self.health.load(Relaxed));
        EdsHealth::ALL.get(index).copied().unwrap_or_default()
    }

    /// Its priority.
    #[must_use]
    pub fn priority(&self) -> u32 {
        self.priority.load(Relaxed)
    }

    /// True while outlier detection keeps it out.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.is_ejected.load(Relaxed)
    }

    /// Keeps it out, or lets it back. The caller rebuilds the host set.
    pub fn set_ejected(&self, ejected: bool) {
        self.is_ejected.store(ejected, Relaxed);
    }

    /// True once no host set names it: its idle connections close, its requests end in their own time.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Relaxed)
    }

    /// Notes that somebody picked it: hosts that nobody tells of stay only while they are in use.
    pub fn touch(&self) {
        if !self.is_touched.load(Relaxed) {
            self.is_touched.store(true, Relaxed);
        }
    }

    /// True if it was picked since this was last asked, or has a connection or a request now.
    pub(super) fn take_use(&self) -> bool {
        self.is_touched.swap(false, Relaxed)
            || self.counters.cx_active.load(Relaxed) > 0
            || self.counters.rq_active.load(Relaxed) > 0
    }

    /// No host set names it any more.
    pub fn retire(&self) {
        self.is_retired.store(true, Relaxed);
    }
}

impl Target for Host {
    fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    fn health(&self) -> Health {
        match self.eds_health() {
            _ if self.is_ejected() => Health::Unhealthy,
            EdsHealth::Unknown | EdsHealth::Healthy => Health::Healthy,
            EdsHealth::Degraded => Health::Degraded,
            EdsHealth::Unhealthy | EdsHealth::Draining | EdsHealth::Timeout => Health::Unhealthy,
        }
    }

    fn active_requests(&self) -> u64 {
        self.counters.rq_active.load(Relaxed)
    }
}
