//! Policies and their decision. (envoy: config.rbac.v3.RBAC)
//!
//! The HTTP and the network filter of the proxy ask an [`Engine`] and turn a denial into a local reply or a
//! closed connection. Policies are tried in the order of their names' bytes, and the first that matches
//! is reported, as Envoy does.

use super::index::Index;
use super::permission::Permission;
use super::principal::Principal;
use super::request::Request;
use super::rule::{Rule, RuleError, Unasked};

/// Status of a denied HTTP request; gRPC status 7.
pub const DENIED_STATUS: u16 = 403;

/// Body of a denied HTTP request, and the gRPC message.
pub const DENIED_BODY: &str = "RBAC: access denied";

/// What a match does. (envoy: config.rbac.v3.RBAC.Action)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// A match is required.
    #[default]
    Allow,
    /// A match is refused.
    Deny,
    /// A match is marked for the access log; nothing is refused.
    Log,
}

/// Who may do what, under a name. (envoy: config.rbac.v3.Policy)
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) name: Box<str>,
    pub(super) permission: Permission,
    pub(super) principal: Principal,
    /// The principal runs regular expressions and the permission none.
    principal_last: bool,
}

impl Policy {
    /// A policy that matches if one of the permissions and one of the principals holds.
    ///
    /// # Errors
    /// If either is empty, or the rules become too deep.
    pub fn new(
        name: &str,
        permissions: Vec<Permission>,
        principals: Vec<Principal>,
    ) -> Result<Self, RuleError> {
        if permissions.is_empty() || principals.is_empty() {
            let what = if permissions.is_empty() { "permissions" } else { "principals" };
            return Err(RuleError::Empty(what));
        }
        let (permission, principal) = (Rule::one_of(permissions)?, Rule::one_of(principals)?);
        let principal_last = principal.is_costly() && !permission.is_costly();
        Ok(Self { name: name.into(), permission, principal, principal_last })
    }

    fn matches(&self, request: &Request<'_>, unasked: Unasked) -> bool {
        let principal = || self.principal.holds(request, unasked);
        (self.principal_last || principal())
            && self.permission.holds(request, unasked)
            && (!self.principal_last || principal())
    }
}

/// An action and its policies.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) action: Action,
    pub(super) policies: Box<[Policy]>,
    index: Index,
}

impl Rules {
    /// Puts `policies` in order and indexes them. Without policies [`Action::Allow`] denies everything.
    ///
    /// # Errors
    /// If two policies have the same name.
    pub fn new(action: Action, mut policies: Vec<Policy>) -> Result<Self, RuleError> {
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some([twice, _]) = policies.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(RuleError::DuplicateName(twice.name.clone()));
        }
        let index = Index::new(&policies);
        Ok(Self { action, policies: policies.into(), index })
    }

    /// Decides about one request.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision<'_> {
        let mut candidates = self.index.candidates(request);
        let matched = candidates.find_map(|position| {
            self.policies.get(position as usize).filter(|policy| self.matches(policy, request))
        });
        let allowed = match self.action {
            Action::Allow => matched.is_some(),
            Action::Deny => matched.is_none(),
            Action::Log => true,
        };
        Decision { action: self.action, allowed, policy: matched.map(|policy| &*policy.name) }
    }

    fn matches(&self, policy: &Policy, request: &Request<'_>) -> bool {
        policy.matches(request, self.unasked())
    }

    pub(super) const fn unasked(&self) -> Unasked {
        match self.action {
            Action::Allow => Unasked::GRANTS_NOTHING,
            Action::Deny | Action::Log => Unasked::IS_FALSE,
        }
    }
}

/// What [`Rules`] say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'r> {
    /// The action of the rules.
    pub action: Action,
    /// False if the request must be refused.
    pub allowed: bool,
    /// The first policy that matched. Envoy reports a policy with an empty name as none.
    pub policy: Option<&'r str>,
}

impl Decision<'_> {
    /// `%RESPONSE_CODE_DETAILS%` of a refused request, `%CONNECTION_TERMINATION_DETAILS%` of a refused
    /// connection.
    #[must_use]
    pub fn details(&self) -> String {
        let name = self.policy.filter(|name| !name.is_empty()).unwrap_or("none");
        let white = |c: char| c.is_ascii_whitespace() || c == '\x0b';
        format!("rbac_access_denied_matched_policy[{}]", name.replace(white, "_"))
    }

    /// `<prefix>enforced_engine_result` or `<prefix>shadow_engine_result` in the filter's metadata.
    #[must_use]
    pub const fn engine_result(&self) -> &'static str {
        if self.allowed { "allowed" } else { "denied" }
    }

    /// `access_log_hint` in the metadata `envoy.common`, which only [`Action::Log`] sets, and only by
    /// enforced rules.
    #[must_use]
    pub fn access_log_hint(&self) -> Option<bool> {
        (self.action == Action::Log).then_some(self.policy.is_some())
    }
}

/// Rules that are enforced and rules that are tried out.
/// (envoy: extensions.filters.http.rbac.v3.RBAC, extensions.filters.network.rbac.v3.RBAC)
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// Enforced; without them everything is allowed.
    pub rules: Option<Rules>,
    /// Only reported.
    pub shadow: Option<Rules>,
}

/// What an [`Engine`] says of a request; `None` for rules that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'e> {
    /// The decision that counts.
    pub enforced: Option<Decision<'e>>,
    /// The decision that would have been.
    pub shadow: Option<Decision<'e>>,
}

impl Engine {
    /// Decides about one request.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Outcome<'_> {
        Outcome {
            enforced: self.rules.as_ref().map(|rules| rules.decide(request)),
            shadow: self.shadow.as_ref().map(|rules| rules.decide(request)),
        }
    }
}

impl<'e> Outcome<'e> {
    /// The decision by which the request must be refused, if it must.
    #[must_use]
    pub fn denial(&self) -> Option<Decision<'e>> {
        self.enforced.filter(|decision| !decision.allowed)
    }
}

#[cfg(test)]
mod tests;
