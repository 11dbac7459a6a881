//! Role-based access control of connections. (envoy: envoy.filters.network.rbac)

use std::rc::Rc;

use outrigger_policy::authz::Engine;

use crate::http::filters::request_of;
use crate::listener::{Connection, FilterChain};
use crate::telemetry::StreamInfo;
use crate::telemetry::metrics::{RbacShadowStat, RbacShadowStats, RbacStat, RbacStats};

/// Rules for connections.
#[derive(Debug)]
pub struct RbacNetwork {
    /// The rules.
    pub engine: Engine,
    /// Counters of `<stat_prefix>.rbac.`.
    pub stats: RbacStats,
    /// Those of shadow rules.
    pub shadow_stats: RbacShadowStats,
}

/// Asks every filter of the chain; false if one denies.
#[must_use]
pub fn authorize(chain: &FilterChain, connection: &Rc<Connection>) -> bool {
    if chain.rbac.is_empty() {
        return true;
    }
    let info = StreamInfo::new(connection.clone(), None);
    chain.rbac.iter().all(|filter| {
        let outcome = filter.engine.decide(&request_of(&info));
        if let Some(shadow) = outcome.shadow {
            filter.shadow_stats.inc(if shadow.allowed {
                RbacShadowStat::shadow_allowed
            } else {
                RbacShadowStat::shadow_denied
            });
        }
        if let Some(enforced) = outcome.enforced {
            filter.stats.inc(if enforced.allowed { RbacStat::allowed } else { RbacStat::denied });
        }
        outcome.denial().is_none()
    })
}
