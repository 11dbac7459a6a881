//! Authorization: Envoy's role-based access control as a pure function of a request.
//!
//! The proxy's translator builds [`Rule`]s out of messages and gives them to [`Rules::new`]; the HTTP and
//! the network filter ask an [`Engine`]. Nothing here reads a certificate, a socket or a clock. Absent on
//! purpose: conditions in CEL, matcher trees, and matchers of metadata and filter state, which the
//! translator refuses by name. (envoy: config.rbac.v3)

mod explain;
mod index;
mod path;
mod permission;
mod principal;
mod rbac;
mod request;
mod rule;

pub use path::{PathTemplate, TemplateError};
pub use permission::{Permission, PermissionTest, PortRange};
pub use principal::{Principal, PrincipalTest};
pub use rbac::{Action, DENIED_BODY, DENIED_STATUS, Decision, Engine, Outcome, Policy, Rules};
pub use request::{PeerIdentity, Request};
pub use rule::{MAX_DEPTH, Rule, RuleError, Test};
