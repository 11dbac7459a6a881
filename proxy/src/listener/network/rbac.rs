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

/// Asks every filter of the chain.
///
/// # Errors
/// The first denial, as `%CONNECTION_TERMINATION_DETAILS%` tells of it.
pub fn authorize(chain: &FilterChain, connection: &Rc<Connection>) -> Result<(), String> {
    if chain.rbac.is_empty() {
        return Ok(());
    }
    let info = StreamInfo::new(connection.clone(), None);
    for filter in &chain.rbac {
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
        if let Some(denial) = outcome.denial() {
            return Err(denial.details());
        }
    }
    Ok(())
}
