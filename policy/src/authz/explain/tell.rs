//! How an explanation words a test: its subject, what the request has there, and what is wanted.
//!
//! Everything printed comes from requests or configuration, so it is escaped and cut.

use std::fmt::Write as _;

use super::super::path::path;
use super::super::permission::PermissionTest;
use super::super::principal::PrincipalTest;
use super::super::request::Request;
use super::super::rule::Test;
use crate::matcher::{CidrSet, HeaderMatcher, HeaderRule, StringMatcher, StringRule};

/// Bytes of one name or value that are printed.
const LONGEST_VALUE: usize = 96;

/// What is printed for nothing.
pub(super) const ABSENT: &str = "(absent)";

/// Elements of one list that are printed.
const LONGEST_LIST: usize = 5;

/// A test that can say what it is about.
pub(super) trait Tell: Test {
    /// What is looked at: `method`, `header x-role`.
    fn subject(&self) -> String;
    /// What the request has there.
    fn actual(&self, request: &Request<'_>) -> String;
    /// What would satisfy the test, or what must not be if [`Tell::is_inverted`].
    fn wanted(&self) -> String;
    /// True if the test is satisfied by anything but [`Tell::wanted`].
    fn is_inverted(&self) -> bool;
}

impl Tell for PermissionTest {
    fn subject(&self) -> String {
        match self {
            Self::Header(matcher) => header_subject(matcher),
            Self::UrlPath(_) | Self::UriTemplate(_) => "path".to_owned(),
            Self::DestinationIp(_) => "destination address".to_owned(),
            Self::DestinationPort(_) => "destination port".to_owned(),
            Self::RequestedServerName(_) => "server name".to_owned(),
        }
    }

    fn actual(&self, request: &Request<'_>) -> String {
        match self {
            Self::Header(matcher) => header_actual(matcher, request),
            Self::UrlPath(_) | Self::UriTemplate(_) => shown(path(request)),
            Self::DestinationIp(_) => plain(request.destination.map(|address| address.ip())),
            Self::DestinationPort(_) => plain(request.destination.map(|address| address.port())),
            Self::RequestedServerName(_) => shown(request.sni.map(str::as_bytes)),
        }
    }

    fn wanted(&self) -> String {
        match self {
            Self::Header(matcher) => header_wanted(matcher),
            Self::UrlPath(matcher) | Self::RequestedServerName(matcher) => pattern(matcher),
            Self::UriTemplate(template) => shown(Some(template.as_str().as_bytes())),
            Self::DestinationIp(ranges) => cidrs(ranges),
            Self::DestinationPort(ports) => ports.to_string(),
        }
    }

    fn is_inverted(&self) -> bool {
        matches!(self, Self::Header(matcher) if matcher.is_inverted())
    }
}

impl Tell for PrincipalTest {
    fn subject(&self) -> String {
        match self {
            Self::Authenticated | Self::AuthenticatedAs(_) => "peer".to_owned(),
            Self::SourceIp(_) => "source address".to_owned(),
            Self::DirectRemoteIp(_) => "direct remote address".to_owned(),
            Self::RemoteIp(_) => "remote address".to_owned(),
            Self::Header(matcher) => header_subject(matcher),
            Self::UrlPath(_) => "path".to_owned(),
        }
    }

    fn actual(&self, request: &Request<'_>) -> String {
        match self {
            Self::Authenticated | Self::AuthenticatedAs(_) => match request.peer {
                None => "(no TLS)".to_owned(),
                Some(peer) => match peer.names().find(|name| !name.is_empty()) {
                    None => "(no certificate)".to_owned(),
                    Some(name) => shown(Some(name.as_bytes())),
                },
            },
            Self::SourceIp(_) => plain(request.source),
            Self::DirectRemoteIp(_) => plain(request.direct_remote),
            Self::RemoteIp(_) => plain(request.remote),
            Self::Header(matcher) => header_actual(matcher, request),
            Self::UrlPath(_) => shown(path(request)),
        }
    }

    fn wanted(&self) -> String {
        match self {
            Self::Authenticated => "*".to_owned(),
            Self::AuthenticatedAs(matcher) | Self::UrlPath(matcher) => pattern(matcher),
            Self::SourceIp(ranges) | Self::DirectRemoteIp(ranges) | Self::RemoteIp(ranges) => {
                cidrs(ranges)
            }
            Self::Header(matcher) => header_wanted(matcher),
        }
    }

    fn is_inverted(&self) -> bool {
        matches!(self, Self::Header(matcher) if matcher.is_inverted())
    }
}

fn header_subject(matcher: &HeaderMatcher) -> String {
    match matcher.name().as_str() {
        ":method" => "method".to_owned(),
        ":authority" | "host" => "host".to_owned(),
        ":path" => "path with query".to_owned(),
        name => format!("header {}", shown(Some(name.as_bytes()))),
    }
}

fn header_actual(matcher: &HeaderMatcher, request: &Request<'_>) -> String {
    let lines = |head: &crate::head::RequestHead| -> Vec<String> {
        head.values(matcher.name()).take(LONGEST_LIST).map(|value| shown(Some(value))).collect()
    };
    match request.head.map(lines).as_deref() {
        None | Some([]) => shown(None),
        Some(lines) => lines.join("; "),
    }
}

fn header_wanted(matcher: &HeaderMatcher) -> String {
    match matcher.rule() {
        HeaderRule::Present(true) => "*".to_owned(),
        HeaderRule::Present(false) => shown(None),
        HeaderRule::Value(matcher) => pattern(matcher),
        HeaderRule::Range(range) => format!("{}..{}", range.start, range.end),
    }
}

/// In the notation of Istio's policies: `/info*`, `*.example`; a regular expression after a tilde.
fn pattern(matcher: &StringMatcher) -> String {
    match matcher.rule() {
        StringRule::Exact(text) => shown(Some(text)),
        StringRule::Prefix(text) => format!("{}*", shown(Some(text))),
        StringRule::Suffix(text) => format!("*{}", shown(Some(text))),
        StringRule::Contains(text) => format!("*{}*", shown(Some(text))),
        StringRule::Regex(regex) => format!("~{}", shown(Some(regex.as_str().as_bytes()))),
    }
}

fn cidrs(ranges: &CidrSet) -> String {
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    list(&ranges, ", ")
}

fn plain(value: Option<impl ToString>) -> String {
    value.map_or_else(|| shown(None), |value| value.to_string())
}

/// Bytes from outside, escaped and cut.
pub(super) fn shown(value: Option<&[u8]>) -> String {
    let Some(value) = value else { return ABSENT.to_owned() };
    let cut = value.get(..LONGEST_VALUE);
    let mut text: String = String::from_utf8_lossy(cut.unwrap_or(value))
        .chars()
        .flat_map(char::escape_debug)
        .collect();
    if cut.is_some_and(|cut| cut.len() < value.len()) {
        text.push('…');
    }
    text
}

/// The elements joined; of a long list only the first.
pub(super) fn list(elements: &[String], separator: &str) -> String {
    let mut text = elements.get(..LONGEST_LIST).unwrap_or(elements).join(separator);
    if let Some(more) = elements.len().checked_sub(LONGEST_LIST).filter(|more| *more > 0) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{more} more");
    }
    text
}
