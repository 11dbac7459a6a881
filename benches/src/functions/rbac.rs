//! Authorization among many policies, as one for each workload that may call: the last one allows.

use anyhow::Result;
use outrigger_policy::authz::{
    Action, PeerIdentity, Permission, PermissionTest, Policy, Principal, PrincipalTest, Request,
    Rule, Rules,
};
use outrigger_policy::head::RequestHead;
use outrigger_policy::matcher::{StringMatcher, StringRule};

/// Policies, and a request that only the last one allows.
pub struct Policies {
    rules: Rules,
    head: RequestHead,
    peer: PeerIdentity,
}

impl Policies {
    /// `count` policies.
    ///
    /// # Errors
    /// If they do not compile.
    pub fn new(count: usize) -> Result<Self> {
        let policies = (0..count).map(policy).collect::<Result<_>>()?;
        let peer = PeerIdentity {
            uri_sans: Box::new([identity(count.saturating_sub(1)).into()]),
            ..PeerIdentity::default()
        };
        Ok(Self {
            rules: Rules::new(Action::Allow, policies)?,
            head: RequestHead::new(b"GET", b"items.shop", b"/api/v1/items?page=2"),
            peer,
        })
    }

    /// The name of the policy that allows the request.
    #[must_use]
    pub fn decide(&self) -> Option<&str> {
        let request =
            Request { head: Some(&self.head), peer: Some(&self.peer), ..Request::default() };
        self.rules.decide(&request).policy
    }
}

fn policy(index: usize) -> Result<Policy> {
    let caller = StringMatcher::exact(&identity(index));
    let path = StringMatcher::new(StringRule::Prefix(b"/api/v1/".as_slice().into()), false);
    Ok(Policy::new(
        &format!("ns[shop]-policy[caller-{index:05}]-rule[0]"),
        vec![Permission::all(vec![Rule::from(PermissionTest::UrlPath(path))])?],
        vec![Principal::all(vec![Rule::from(PrincipalTest::AuthenticatedAs(caller))])?],
    )?)
}

fn identity(index: usize) -> String {
    format!("spiffe://cluster.local/ns/shop/sa/caller-{index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_policy_allows() {
        for count in [10, 1_000] {
            let policies = Policies::new(count).unwrap();
            let expected = format!("ns[shop]-policy[caller-{:05}]-rule[0]", count - 1);
            assert_eq!(policies.decide(), Some(&*expected));
        }
    }
}
