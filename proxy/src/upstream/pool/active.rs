//! A request on a connection: counted from there until its response has ended.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use outrigger_policy::bulkhead::Permit;

use super::HostPool;
use crate::telemetry::metrics::ClusterStat;

/// A place within `max_requests`, and the gauges that show it.
#[derive(Debug)]
pub struct ActiveRequest {
    pool: Rc<HostPool>,
    _permit: Permit,
}

impl ActiveRequest {
    pub(super) fn new(pool: Rc<HostPool>, permit: Permit) -> Self {
        let stats = &pool.cluster().counters.stats;
        stats.inc(ClusterStat::upstream_rq_total);
        stats.up(ClusterStat::upstream_rq_active);
        pool.host().counters.rq_total.fetch_add(1, Relaxed);
        Self { _permit: permit, pool }
    }

    /// The pool of the request's connection.
    #[must_use]
    pub const fn pool(&self) -> &Rc<HostPool> {
        &self.pool
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.pool.cluster().counters.stats.down(ClusterStat::upstream_rq_active);
    }
}
