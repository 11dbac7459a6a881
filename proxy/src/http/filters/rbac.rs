//! Role-based access control of requests. (envoy: envoy.filters.http.rbac)

use std::sync::{Arc, LazyLock};

use outrigger_policy::authz::{
    DENIED_BODY, DENIED_STATUS, Decision, Engine, PeerIdentity, Request,
};
use outrigger_policy::verdict::{Cause, CauseCode};

use super::{FilterOverride, Step};
use crate::exchange::Exchange;
use crate::http::local_reply::LocalReply;
use crate::telemetry::StreamInfo;
use crate::telemetry::metrics::{RbacShadowStat, RbacShadowStats, RbacStat, RbacStats};

/// Rules, and where their decisions are counted and noted.
#[derive(Debug)]
pub struct RbacConfig {
    /// The rules.
    pub engine: Engine,
    /// `shadow_rules_stat_prefix`: begins the names of what is noted of shadow rules.
    pub shadow_prefix: Box<str>,
    /// Counters.
    pub stats: RbacStats,
    /// Those of shadow rules.
    pub shadow_stats: RbacShadowStats,
}

/// The filter.
#[derive(Debug)]
pub struct RbacFilter {
    /// Its rules where no route says otherwise.
    pub config: Arc<RbacConfig>,
}

/// The name under which decisions are noted in dynamic metadata.
const METADATA: &str = "envoy.filters.http.rbac";

impl RbacFilter {
    pub(super) fn on_request(
        &self,
        exchange: &mut Exchange,
        change: Option<&FilterOverride>,
    ) -> Step {
        let config = match change {
            Some(FilterOverride::Rbac(config)) => config.clone(),
            _ => self.config.clone(),
        };
        let request = Request { head: Some(&exchange.request), ..request_of(&exchange.info) };
        let outcome = config.engine.decide(&request);
        if let Some(shadow) = outcome.shadow {
            config.shadow_stats.inc(if shadow.allowed {
                RbacShadowStat::shadow_allowed
            } else {
                RbacShadowStat::shadow_denied
            });
            config.note_shadow(&mut exchange.info, shadow);
        }
        if let Some(enforced) = outcome.enforced {
            config.stats.inc(if enforced.allowed { RbacStat::allowed } else { RbacStat::denied });
        }
        let Some(denial) = outcome.denial() else { return Step::Continue };
        let subject = denial.policy.unwrap_or("none");
        let mut reply = LocalReply::new(DENIED_STATUS, "")
            .with_body(DENIED_BODY)
            .because(Cause::about(CauseCode::Denied, subject));
        reply.details = denial.details().into();
        Step::Answer(Box::new(reply))
    }

    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "the form of every filter"
    )]
    pub(super) const fn on_response(&self, _: &mut Exchange) {}
}

impl RbacConfig {
    /// Notes what shadow rules would have done, for access logs.
    fn note_shadow(&self, info: &mut StreamInfo, decision: Decision<'_>) {
        let key = |name: &str| format!("{}{name}", self.shadow_prefix).into_boxed_str();
        if let Some(policy) = decision.policy {
            info.metadata.push((METADATA, key("shadow_effective_policy_id"), policy.into()));
        }
        let result = if decision.allowed { "allowed" } else { "denied" };
        info.metadata.push((METADATA, key("shadow_engine_result"), result.into()));
    }
}

/// What authorization may know of a stream besides its head.
#[must_use]
pub fn request_of(info: &StreamInfo) -> Request<'_> {
    static NOBODY: LazyLock<PeerIdentity> = LazyLock::new(PeerIdentity::default);
    let connection = &*info.connection;
    Request {
        head: None,
        source: connection.remote.ip(),
        direct_remote: connection.direct_remote.ip(),
        remote: info.remote.ip(),
        destination: connection.local.socket(),
        sni: connection.server_name.as_deref(),
        peer: connection.tls.as_ref().map(|tls| match &tls.peer {
            Some(peer) => &peer.identity,
            None => &*NOBODY,
        }),
    }
}
