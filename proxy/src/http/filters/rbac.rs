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

/// Rules, and how their decisions are noted.
#[derive(Debug)]
pub struct RbacConfig {
    /// The rules.
    pub engine: Engine,
    /// What is noted of the rules that are enforced.
    pub enforced_keys: DecisionKeys,
    /// What is noted of shadow rules.
    pub shadow_keys: DecisionKeys,
}

/// The keys of dynamic metadata under which decisions are noted.
#[derive(Debug)]
pub struct DecisionKeys {
    policy: Arc<str>,
    result: Arc<str>,
}

/// The filter.
#[derive(Debug)]
pub struct RbacFilter {
    /// Its rules where no route says otherwise.
    pub config: Arc<RbacConfig>,
    /// Counters, whoever's rules decide.
    pub stats: RbacStats,
    /// Those of shadow rules.
    pub shadow_stats: RbacShadowStats,
}

/// The name under which decisions are noted in dynamic metadata.
const METADATA: &str = "envoy.filters.http.rbac";

/// The name under which all access logs look for a hint whether to log. (envoy: `envoy.common`)
const COMMON_METADATA: &str = "envoy.common";

static HINT: LazyLock<Arc<str>> = LazyLock::new(|| "access_log_hint".into());
static YES: LazyLock<Arc<str>> = LazyLock::new(|| "true".into());
static NO: LazyLock<Arc<str>> = LazyLock::new(|| "false".into());
static ALLOWED: LazyLock<Arc<str>> = LazyLock::new(|| "allowed".into());
static DENIED: LazyLock<Arc<str>> = LazyLock::new(|| "denied".into());

impl RbacFilter {
    pub(super) fn on_request(
        &self,
        exchange: &mut Exchange,
        change: Option<&FilterOverride>,
    ) -> Step {
        let config = match change {
            Some(FilterOverride::Rbac(config)) => config,
            _ => &self.config,
        };
        let request = Request { head: Some(&exchange.request), ..request_of(&exchange.info) };
        let outcome = config.engine.decide(&request);
        if let Some(shadow) = outcome.shadow {
            self.shadow_stats.inc(if shadow.allowed {
                RbacShadowStat::shadow_allowed
            } else {
                RbacShadowStat::shadow_denied
            });
            config.shadow_keys.note(&mut exchange.info, shadow);
        }
        if let Some(enforced) = outcome.enforced {
            if let Some(hint) = enforced.access_log_hint() {
                let hint = if hint { &YES } else { &NO };
                exchange.info.set_metadata(COMMON_METADATA, &HINT, Arc::clone(hint));
            }
            config.enforced_keys.note(&mut exchange.info, enforced);
            self.stats.inc(if enforced.allowed { RbacStat::allowed } else { RbacStat::denied });
        }
        let Some(denial) = outcome.denial() else { return Step::Continue };
        let subject = denial.policy.unwrap_or("none");
        let mut reply = LocalReply::new(DENIED_STATUS, "")
            .with_body(DENIED_BODY)
            .because(Cause::about(CauseCode::Denied, subject));
        reply.details = denial.details().into();
        Step::Answer(Box::new(reply))
    }

    #[expect(clippy::unused_self, reason = "the form of every filter")]
    pub(super) const fn on_response(&self, _: &mut Exchange) {}
}

impl DecisionKeys {
    /// Keys of enforced rules. (envoy: extensions.filters.http.rbac.v3.RBAC.rules_stat_prefix)
    #[must_use]
    pub fn enforced(prefix: &str) -> Self {
        Self::new(prefix, "enforced")
    }

    /// Keys of shadow rules. (envoy: extensions.filters.http.rbac.v3.RBAC.shadow_rules_stat_prefix)
    #[must_use]
    pub fn shadow(prefix: &str) -> Self {
        Self::new(prefix, "shadow")
    }

    fn new(prefix: &str, which: &str) -> Self {
        Self {
            policy: format!("{prefix}{which}_effective_policy_id").into(),
            result: format!("{prefix}{which}_engine_result").into(),
        }
    }

    /// Notes a decision, for access logs.
    fn note(&self, info: &mut StreamInfo, decision: Decision<'_>) {
        if let Some(policy) = decision.policy.filter(|name| !name.is_empty()) {
            info.set_metadata(METADATA, &self.policy, policy.into());
        }
        let result = if decision.allowed { &ALLOWED } else { &DENIED };
        info.set_metadata(METADATA, &self.result, Arc::clone(result));
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
