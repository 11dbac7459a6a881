//! Role-based access control of requests, of connections and of routes.
//!
//! What a rule may ask about is decided in `permission` and `principal`. A rule that cannot be asked here is refused by name, never
//! taken for true or false: metadata, filter state, CEL, matcher trees and extensions.

mod permission;
mod principal;
mod rules;

use std::sync::Arc;

use outrigger_policy::authz::Engine;
use outrigger_xds_api::envoy::config::rbac::v3::Rbac as RulesMessage;
use outrigger_xds_api::envoy::extensions::filters::http::rbac::v3::{
    Rbac as HttpMessage, RbacPerRoute,
};
use outrigger_xds_api::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkMessage;
use outrigger_xds_api::envoy::extensions::filters::network::rbac::v3::rbac::EnforcementType;

use self::rules::rules;
use crate::config::common::{Translated, enumeration, non_empty};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::http::filters::{DecisionKeys, RbacConfig, RbacFilter};
use crate::listener::network::RbacNetwork;

/// What is authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// A request.
    Http,
    /// A connection, which has no headers.
    Network,
}

/// The HTTP filter; `scope` is the connection manager's.
/// (envoy: extensions.filters.http.rbac.v3.RBAC)
pub(super) fn filter(
    message: HttpMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
    scope: &str,
) -> Translated<RbacFilter> {
    let stats = format!("{scope}rbac.{}", with_dot(&message.rules_stat_prefix));
    let shadow_stats = format!("{scope}rbac.{}", with_dot(&message.shadow_rules_stat_prefix));
    Ok(RbacFilter {
        config: Arc::new(http(message, at, cx)?),
        stats: cx.registry.stats(&stats),
        shadow_stats: cx.registry.stats(&shadow_stats),
    })
}

/// What a route has instead of the filter's own rules: none, if it names none.
/// (envoy: extensions.filters.http.rbac.v3.RBACPerRoute)
pub fn per_route(message: RbacPerRoute, at: &At<'_>, cx: &Cx<'_>) -> Translated<RbacConfig> {
    fields!(cx, at, message => RbacPerRoute { used: rbac; });
    http(rbac.unwrap_or_default(), &at.field("rbac"), cx)
}

fn http(message: HttpMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<RbacConfig> {
    fields!(cx, at, message => HttpMessage {
        used: rules, rules_stat_prefix, shadow_rules, shadow_rules_stat_prefix;
        ignored: track_per_rule_stats = "decisions are not counted for each policy";
        refused:
            matcher = "a matcher tree",
            shadow_matcher = "a matcher tree";
    });
    Ok(RbacConfig {
        engine: engine(rules, shadow_rules, Layer::Http, at, cx)?,
        enforced_keys: DecisionKeys::enforced(&rules_stat_prefix),
        shadow_keys: DecisionKeys::shadow(&shadow_rules_stat_prefix),
    })
}

/// The network filter. (envoy: extensions.filters.network.rbac.v3.RBAC)
pub fn network(message: NetworkMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<RbacNetwork> {
    fields!(cx, at, message => NetworkMessage {
        used: rules, shadow_rules, shadow_rules_stat_prefix, stat_prefix, enforcement_type;
        refused:
            matcher = "a matcher tree",
            shadow_matcher = "a matcher tree",
            delay_deny = "a late refusal";
    });
    let stat_prefix = non_empty(stat_prefix, &at.field("stat_prefix"))?;
    // Nothing that a connection is asked about changes while it lives: once is as good as continuously.
    enumeration::<EnforcementType>(enforcement_type, &at.field("enforcement_type"))?;
    let scope = format!("{}rbac.", with_dot(&stat_prefix));
    let shadow_scope = format!("{scope}{}", with_dot(&shadow_rules_stat_prefix));
    Ok(RbacNetwork {
        engine: engine(rules, shadow_rules, Layer::Network, at, cx)?,
        stats: cx.registry.stats(&scope),
        shadow_stats: cx.registry.stats(&shadow_scope),
    })
}

fn engine(
    enforced: Option<RulesMessage>,
    shadow: Option<RulesMessage>,
    layer: Layer,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Engine> {
    let rules = |message: Option<_>, field: &'static str| {
        message.map(|message| rules(message, layer, &at.field(field), cx)).transpose()
    };
    Ok(Engine { rules: rules(enforced, "rules")?, shadow: rules(shadow, "shadow_rules")? })
}

/// A prefix of stats as it joins what follows. (envoy: `statPrefixJoin`)
fn with_dot(prefix: &str) -> String {
    if prefix.is_empty() || prefix.ends_with('.') {
        prefix.to_owned()
    } else {
        format!("{prefix}.")
    }
}
