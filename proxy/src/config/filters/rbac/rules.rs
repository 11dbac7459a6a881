//! An action and its policies. (envoy: config.rbac.v3.RBAC)

use outrigger_policy::authz::{Action, Policy, Rules};
use outrigger_policy::matcher::{HeaderMatcher, StringMatcher};
use outrigger_xds_api::envoy::config::rbac::v3::rbac::{
    Action as ActionMessage, AuditLoggingOptions,
};
use outrigger_xds_api::envoy::config::rbac::v3::{Policy as PolicyMessage, Rbac};
use outrigger_xds_api::envoy::config::route::v3::HeaderMatcher as HeaderMessage;
use outrigger_xds_api::envoy::r#type::matcher::v3::PathMatcher;
use outrigger_xds_api::envoy::r#type::matcher::v3::path_matcher::Rule as PathRule;

use super::Layer;
use super::permission::permissions;
use super::principal::principals;
use crate::config::common::{Translated, enumeration, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;

pub(super) fn rules(message: Rbac, layer: Layer, at: &At<'_>, cx: &Cx<'_>) -> Translated<Rules> {
    fields!(cx, at, message => Rbac { used: action, policies, audit_logging_options; });
    let action = match enumeration(action, &at.field("action"))? {
        ActionMessage::Allow => Action::Allow,
        ActionMessage::Deny => Action::Deny,
        ActionMessage::Log => Action::Log,
    };
    if let Some(message) = audit_logging_options {
        let at = at.field("audit_logging_options");
        fields!(cx, at, message => AuditLoggingOptions {
            refused:
                audit_condition = "audit logging",
                logger_configs = "audit logging";
        });
    }
    let at_policies = at.field("policies");
    // The map comes in any order: sorted, the same mistake is always told first.
    let mut policies: Vec<_> = policies.into_iter().collect();
    policies.sort_by(|a, b| a.0.cmp(&b.0));
    let policy =
        |(name, message): (String, _)| policy(&name, message, layer, &at_policies.key(&name), cx);
    let policies = policies.into_iter().map(policy).collect::<Result<_, _>>()?;
    Rules::new(action, policies).map_err(|error| at.error(error))
}

fn policy(
    name: &str,
    message: PolicyMessage,
    layer: Layer,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Policy> {
    fields!(cx, at, message => PolicyMessage {
        used: permissions, principals;
        refused:
            condition = "a condition in CEL",
            checked_condition = "a condition in CEL",
            cel_config = "a condition in CEL";
    });
    let permissions = self::permissions(permissions, layer, &at.field("permissions"), cx)?;
    let principals = self::principals(principals, layer, &at.field("principals"), cx)?;
    Policy::new(name, permissions, principals).map_err(|error| at.error(error))
}

/// (envoy: type.matcher.v3.PathMatcher)
pub(super) fn path(message: PathMatcher, at: &At<'_>, cx: &Cx<'_>) -> Translated<StringMatcher> {
    fields!(cx, at, message => PathMatcher { used: rule; });
    let at = at.field("path");
    let PathRule::Path(message) = required(rule, &at)?;
    matcher::string(message, &at, cx)
}

/// A test of a header, which only requests have.
pub(super) fn header(
    message: HeaderMessage,
    layer: Layer,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<HeaderMatcher> {
    match layer {
        Layer::Http => matcher::header(message, at, cx),
        Layer::Network => Err(at.error("a connection has no headers")),
    }
}
