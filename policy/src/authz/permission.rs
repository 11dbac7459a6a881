//! What a request may do: the tests of a permission. (envoy: config.rbac.v3.Permission)

use std::net::IpAddr;

use super::path::{PathTemplate, path};
use super::request::Request;
use super::rule::{Rule, RuleError, Test};
use crate::matcher::{CidrSet, HeaderMatcher, StringMatcher};

/// A rule about what is asked for.
pub type Permission = Rule<PermissionTest>;

/// One test of a [`Permission`].
#[derive(Clone, Debug)]
pub enum PermissionTest {
    /// `header`; on TCP it cannot be asked.
    Header(HeaderMatcher),
    /// `url_path`: the path without query and fragment.
    UrlPath(StringMatcher),
    /// `uri_template`, over the same path.
    UriTemplate(PathTemplate),
    /// `destination_ip`
    DestinationIp(CidrSet),
    /// `destination_port` and `destination_port_range`
    DestinationPort(PortRange),
    /// `requested_server_name`; without a server name the empty string is matched.
    RequestedServerName(StringMatcher),
}

/// Ports, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    start: u32,
    end: u32,
}

impl PortRange {
    /// One port.
    #[must_use]
    pub const fn one(port: u16) -> Self {
        Self { start: port as u32, end: port as u32 + 1 }
    }

    /// `start..end`. (envoy: type.v3.Int32Range)
    ///
    /// # Errors
    /// If a bound is not within 0 and 65,536, or the range is empty.
    pub fn new(start: i32, end: i32) -> Result<Self, RuleError> {
        let bound = |bound| u32::try_from(bound).ok().filter(|bound| *bound <= 65_536);
        match (bound(start), bound(end)) {
            (Some(start), Some(end)) if start < end => Ok(Self { start, end }),
            _ => Err(RuleError::PortRange(start, end)),
        }
    }

    /// True if `port` lies in the range.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.start <= port as u32 && (port as u32) < self.end
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.start)?;
        if self.end - self.start == 1 { Ok(()) } else { write!(f, "-{}", self.end - 1) }
    }
}

impl Test for PermissionTest {
    fn ask(&self, request: &Request<'_>) -> Option<bool> {
        Some(match self {
            Self::Header(matcher) => matcher.matches(request.head?),
            Self::UrlPath(matcher) => matcher.matches(path(request)?),
            Self::UriTemplate(template) => template.matches(path(request)?),
            Self::DestinationIp(ranges) => ranges.contains(destination(request)?),
            Self::DestinationPort(ports) => ports.contains(request.destination?.port()),
            Self::RequestedServerName(matcher) => {
                matcher.matches(request.sni.unwrap_or_default().as_bytes())
            }
        })
    }

    fn is_costly(&self) -> bool {
        match self {
            Self::UriTemplate(_) => true,
            Self::Header(matcher) => matcher.is_regex(),
            Self::UrlPath(matcher) | Self::RequestedServerName(matcher) => matcher.is_regex(),
            Self::DestinationIp(_) | Self::DestinationPort(_) => false,
        }
    }
}

fn destination(request: &Request<'_>) -> Option<IpAddr> {
    request.destination.map(|address| address.ip())
}

#[cfg(test)]
mod tests;
