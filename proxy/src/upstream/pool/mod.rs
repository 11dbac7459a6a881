//! Connections of one worker to the hosts of one cluster.
//!
//! A pool belongs to its worker: no lock, no atomic. Only limits are shared between workers, and they are exact: a request that finds
//! no idle connection and no permit for a new one waits, other workers are asked to close an idle connection, and whoever
//! closes one tells those who wait. A connection comes back only when both directions ended cleanly.

mod active;
mod checkout;
mod connection;
mod host_pool;

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use outrigger_policy::lb::{Availability, Cursor, NoHost, Reason};
use rustc_hash::FxHashMap;

use super::cluster::Cluster;
use super::destinations::Destinations;
use super::host::Host;
use super::host_set::HostSet;
use super::tried::Tried;
use crate::clock;
use crate::telemetry::metrics::ClusterStat;
use crate::tls::Alpn;
use crate::worker::{self, Mail};

pub use active::ActiveRequest;
pub use checkout::Checkout;
pub use connection::{Ended, Http1Connection, Http2Connection, Http2Lease, Leased, Meta};
pub use host_pool::HostPool;

/// Time between two looks at idle connections.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How a host is picked that stands at the request's own destination.
const DESTINED: Reason =
    Reason { priority: 0, availability: Availability::Healthy, in_panic: false, locality: None };

/// Which HTTP a pool's connections speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1: one request at a time.
    Http1,
    /// HTTP/2: many.
    Http2,
}

/// A cluster as one worker uses it.
#[derive(Debug)]
pub struct ClusterPool {
    cluster: Arc<Cluster>,
    cursor: RefCell<Cursor>,
    /// Hosts of original destinations that this worker has met, so that it asks nobody else for them.
    destinations: RefCell<FxHashMap<SocketAddr, Arc<Host>>>,
    hosts: RefCell<Cache<HostsOf, Arc<HostSet>>>,
    pools: RefCell<FxHashMap<PoolKey, Rc<HostPool>>>,
}

/// Connections are kept apart by host, protocol, the server name that requests bring, and what is offered in TLS on their behalf.
type PoolKey = (u64, Protocol, Option<Arc<str>>, Option<Arc<Alpn>>);

/// Leads a cache to the hosts of its cluster.
#[derive(Debug)]
struct HostsOf(Arc<Cluster>);

impl Deref for HostsOf {
    type Target = ArcSwap<HostSet>;

    fn deref(&self) -> &Self::Target {
        self.0.hosts()
    }
}

thread_local! {
    static POOLS: RefCell<FxHashMap<u64, Rc<ClusterPool>>> = RefCell::default();
}

/// This worker's pool of a cluster.
#[must_use]
pub fn of(cluster: &Arc<Cluster>) -> Rc<ClusterPool> {
    POOLS.with_borrow_mut(|pools| {
        let new = || Rc::new(ClusterPool::new(cluster.clone()));
        pools.entry(cluster.id).or_insert_with(new).clone()
    })
}

impl ClusterPool {
    fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            hosts: RefCell::new(Cache::new(HostsOf(cluster.clone()))),
            cluster,
            cursor: RefCell::default(),
            destinations: RefCell::default(),
            pools: RefCell::default(),
        }
    }

    /// Picks a host: in a cluster of original destinations the one at `destination`, in others by the balancer. Hosts that were
    /// tried are passed over for `attempts` choices, then taken.
    ///
    /// # Errors
    /// If no host may be used.
    pub fn pick(
        &self,
        destination: Option<SocketAddr>,
        tried: Option<&RefCell<Tried>>,
        attempts: u32,
    ) -> Result<(Arc<Host>, Reason), NoHost> {
        if let Some(destinations) = self.cluster.destinations() {
            return self.destination(destinations, destination);
        }
        let mut hosts = self.hosts.borrow_mut();
        let set = hosts.load();
        let cursor = &mut self.cursor.borrow_mut();
        worker::with_rng(|rng| {
            let own = tried.and_then(|tried| tried.borrow_mut().shares(&set.balancer));
            let shares = own.as_deref().unwrap_or_else(|| set.balancer.shares());
            let avoid = |host: &Host| tried.is_some_and(|tried| tried.borrow().avoids(host));
            let pick = set.balancer.pick_by(shares, cursor, rng, avoid, attempts)?;
            Ok((pick.host.clone(), pick.reason))
        })
    }

    fn destination(
        &self,
        destinations: &Destinations,
        address: Option<SocketAddr>,
    ) -> Result<(Arc<Host>, Reason), NoHost> {
        let address = destinations.target(address.ok_or(NoHost::Empty)?);
        let mut held = self.destinations.borrow_mut();
        if let Some(host) = held.get(&address).filter(|host| !host.is_retired()) {
            host.touch();
            return Ok((host.clone(), DESTINED));
        }
        let host = destinations.host(&self.cluster, address).ok_or(NoHost::Empty)?;
        held.insert(address, host.clone());
        Ok((host, DESTINED))
    }

    /// The connections to a host, for requests that bring this server name.
    #[must_use]
    pub fn host(
        &self,
        host: &Arc<Host>,
        protocol: Protocol,
        requested: Option<Arc<str>>,
        alpn: Option<Arc<Alpn>>,
    ) -> Rc<HostPool> {
        let mut pools = self.pools.borrow_mut();
        let key = (host.id, protocol, requested, alpn);
        if let Some(pool) = pools.get(&key) {
            return pool.clone();
        }
        let (_, _, requested, alpn) = key.clone();
        let pool = HostPool::new(self.cluster.clone(), host.clone(), protocol, requested, alpn);
        pools.insert(key, pool.clone());
        pool
    }

    /// Closes one idle connection, of whatever host; true if there was one.
    fn shed(&self) -> bool {
        let pools: Vec<_> = self.pools.borrow().values().cloned().collect();
        pools.iter().any(|pool| pool.close_one_idle())
    }

    /// Lets waiting requests try for a connection again.
    fn grow(&self) {
        let pools: Vec<_> = self.pools.borrow().values().cloned().collect();
        for pool in pools {
            pool.grow();
        }
    }

    fn sweep(&self, cx: &mut Context<'_>) {
        let pools: Vec<_> = self.pools.borrow().values().cloned().collect();
        for pool in pools {
            pool.sweep(cx);
        }
        self.pools.borrow_mut().retain(|_, pool| !pool.is_done());
        if let Some(destinations) = self.cluster.destinations() {
            destinations.expire(&self.cluster);
            self.destinations.borrow_mut().retain(|_, host| !host.is_retired());
        }
    }
}

/// Asks for room for one more connection: closes an idle one here, or asks the other workers to. True if it is worth trying again
/// at once.
fn make_room(cluster: &Arc<Cluster>) -> bool {
    if of(cluster).shed() {
        return true;
    }
    if cluster.starve(worker::index()) {
        worker::tell_others(&|| Mail::ShedIdle(cluster.clone()));
    }
    false
}

/// A connection of `cluster` was closed: those who wait for one may try.
fn room_was_made(cluster: &Arc<Cluster>) {
    let starving = cluster.take_starving();
    if starving != 0 {
        worker::tell(starving, &|| Mail::TryConnect(cluster.clone()));
    }
}

/// Another worker needs a connection of `cluster`.
pub fn shed_idle(cluster: &Arc<Cluster>) {
    let pool = POOLS.with_borrow(|pools| pools.get(&cluster.id).cloned());
    if pool.is_some_and(|pool| pool.shed()) {
        room_was_made(cluster);
    }
}

/// A connection of `cluster` was closed somewhere.
pub fn try_connect(cluster: &Arc<Cluster>) {
    let pool = POOLS.with_borrow(|pools| pools.get(&cluster.id).cloned());
    if let Some(pool) = pool {
        pool.grow();
    }
}

/// Closes idle connections that have timed out, that their host has closed, or whose host is gone. Runs on every worker for ever.
pub async fn sweep() {
    let mut interval = clock::interval(SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    poll_fn::<(), _>(|cx| {
        while interval.poll_tick(cx).is_ready() {}
        let pools: Vec<_> = POOLS.with_borrow(|pools| pools.values().cloned().collect());
        for pool in pools {
            pool.sweep(cx);
        }
        POOLS.with_borrow_mut(|pools| {
            pools.retain(|_, pool| !(pool.cluster.is_retired() && pool.pools.borrow().is_empty()));
        });
        Poll::Pending
    })
    .await;
}

/// Counts why there was no host.
pub fn count_no_host(cluster: &Cluster) {
    cluster.counters.stats.inc(ClusterStat::upstream_cx_none_healthy);
}
