//! Who asks: the tests of a principal. (envoy: config.rbac.v3.Principal)

use super::path::path;
use super::request::Request;
use super::rule::{Rule, Test};
use crate::matcher::{CidrSet, HeaderMatcher, StringMatcher};

/// A rule about who asks.
pub type Principal = Rule<PrincipalTest>;

/// One test of a [`Principal`].
#[derive(Clone, Debug)]
pub enum PrincipalTest {
    /// `authenticated` without a name: any TLS connection that the listener accepted, which is any peer
    /// with a certificate only if the listener requires one.
    Authenticated,
    /// `authenticated.principal_name`: some URI name, DNS name or the subject of the peer. A peer without
    /// certificate has the empty subject.
    AuthenticatedAs(StringMatcher),
    /// `source_ip`
    SourceIp(CidrSet),
    /// `direct_remote_ip`
    DirectRemoteIp(CidrSet),
    /// `remote_ip`
    RemoteIp(CidrSet),
    /// `header`; on TCP it cannot be asked.
    Header(HeaderMatcher),
    /// `url_path`: the path without query and fragment.
    UrlPath(StringMatcher),
}

impl Test for PrincipalTest {
    fn ask(&self, request: &Request<'_>) -> Option<bool> {
        Some(match self {
            Self::Authenticated => request.peer.is_some(),
            Self::AuthenticatedAs(matcher) => request
                .peer
                .is_some_and(|peer| peer.names().any(|name| matcher.matches(name.as_bytes()))),
            Self::SourceIp(ranges) => ranges.contains(request.source?),
            Self::DirectRemoteIp(ranges) => ranges.contains(request.direct_remote?),
            Self::RemoteIp(ranges) => ranges.contains(request.remote?),
            Self::Header(matcher) => matcher.matches(request.head?),
            Self::UrlPath(matcher) => matcher.matches(path(request)?),
        })
    }

    fn is_costly(&self) -> bool {
        match self {
            Self::AuthenticatedAs(matcher) | Self::UrlPath(matcher) => matcher.is_regex(),
            Self::Header(matcher) => matcher.is_regex(),
            Self::Authenticated
            | Self::SourceIp(_)
            | Self::DirectRemoteIp(_)
            | Self::RemoteIp(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
