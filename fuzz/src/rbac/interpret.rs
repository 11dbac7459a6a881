//! What a policy message says of a request, read from the message itself: slowly, and without the engine's types.
//!
//! A test that makes no sense for the request (a path that there is none of) is unknown. Rules that allow need certainty, so they are
//! evaluated in three values and only what is certainly true grants; in rules that deny or log, as in Envoy, unknown is false.

use std::net::IpAddr;

use outrigger_xds_api::envoy::config::core::v3::CidrRange;
use outrigger_xds_api::envoy::config::rbac::v3::permission::Rule;
use outrigger_xds_api::envoy::config::rbac::v3::principal::Identifier;
use outrigger_xds_api::envoy::config::rbac::v3::{Permission, Principal, Rbac};
use outrigger_xds_api::envoy::config::route::v3::HeaderMatcher;
use outrigger_xds_api::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use outrigger_xds_api::envoy::r#type::matcher::v3::path_matcher::Rule as PathRule;
use outrigger_xds_api::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use outrigger_xds_api::envoy::r#type::matcher::v3::{PathMatcher, StringMatcher};

use super::request::Facts;
use super::words::REGEXES;

/// Unknown is none.
type Truth = Option<bool>;

const ALLOW: i32 = 0;
const DENY: i32 = 1;

/// Whether the request may pass, and the policy that decides.
pub(super) fn decide<'r>(rules: &'r Rbac, facts: &Facts) -> (bool, Option<&'r str>) {
    let world = World { facts, knows_unknown: rules.action == ALLOW };
    let mut names: Vec<_> = rules.policies.keys().collect();
    names.sort();
    let matched = names.into_iter().find(|name| {
        let Some(policy) = rules.policies.get(*name) else { return false };
        let permitted = any(policy.permissions.iter().map(|message| world.permission(message)));
        let known = any(policy.principals.iter().map(|message| world.principal(message)));
        permitted == Some(true) && known == Some(true)
    });
    let allowed = match rules.action {
        ALLOW => matched.is_some(),
        DENY => matched.is_none(),
        _ => true,
    };
    (allowed, matched.map(String::as_str))
}

fn any(truths: impl Iterator<Item = Truth>) -> Truth {
    not(all(truths.map(not)))
}

/// False if one is false, else unknown if one is unknown.
fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    let truths: Vec<_> = truths.collect();
    if truths.contains(&Some(false)) {
        return Some(false);
    }
    if truths.contains(&None) { None } else { Some(true) }
}

fn not(truth: Truth) -> Truth {
    truth.map(|truth| !truth)
}

struct World<'a> {
    facts: &'a Facts,
    knows_unknown: bool,
}

impl World<'_> {
    fn leaf(&self, truth: Truth) -> Truth {
        if self.knows_unknown { truth } else { Some(truth == Some(true)) }
    }

    fn permission(&self, message: &Permission) -> Truth {
        let port = self.facts.destination.map(|address| i32::from(address.port()));
        let truth = match message.rule.as_ref()? {
            Rule::AndRules(set) => return all(set.rules.iter().map(|rule| self.permission(rule))),
            Rule::OrRules(set) => return any(set.rules.iter().map(|rule| self.permission(rule))),
            Rule::NotRule(rule) => return not(self.permission(rule)),
            Rule::Any(is_any) => Some(*is_any),
            Rule::Header(message) => Some(self.header(message)),
            Rule::UrlPath(message) => self.path_matches(message),
            Rule::DestinationIp(range) => self.facts.destination.map(|to| is_in(to.ip(), range)),
            Rule::DestinationPort(wanted) => port.map(|port| u32::try_from(port) == Ok(*wanted)),
            Rule::DestinationPortRange(range) => {
                port.map(|port| (range.start..range.end).contains(&port))
            }
            Rule::RequestedServerName(matcher) => {
                Some(string(matcher, self.facts.sni.as_deref().unwrap_or_default().as_bytes()))
            }
            Rule::UriTemplate(message) => {
                let bytes = message.typed_config.as_ref().map(|config| config.value.as_slice());
                // The template is the only field: a tag, a length, and its text.
                let template = bytes.and_then(|bytes| bytes.get(2..)).unwrap_or_default();
                self.path().map(|path| fits(template, path))
            }
            _ => None,
        };
        self.leaf(truth)
    }

    #[expect(deprecated, reason = "control planes still send them")]
    fn principal(&self, message: &Principal) -> Truth {
        let facts = self.facts;
        let truth = match message.identifier.as_ref()? {
            Identifier::AndIds(set) => return all(set.ids.iter().map(|id| self.principal(id))),
            Identifier::OrIds(set) => return any(set.ids.iter().map(|id| self.principal(id))),
            Identifier::NotId(id) => return not(self.principal(id)),
            Identifier::Any(is_any) => Some(*is_any),
            Identifier::Authenticated(message) => {
                Some(match (&message.principal_name, &facts.peer) {
                    (_, None) => false,
                    (None, Some(_)) => true,
                    (Some(matcher), Some(peer)) => {
                        let sans = peer.uri_sans.iter().chain(&peer.dns_sans);
                        sans.chain([&peer.subject]).any(|name| string(matcher, name.as_bytes()))
                    }
                })
            }
            Identifier::SourceIp(range) => facts.source.map(|from| is_in(from, range)),
            Identifier::DirectRemoteIp(range) => facts.direct_remote.map(|from| is_in(from, range)),
            Identifier::RemoteIp(range) => facts.remote.map(|from| is_in(from, range)),
            Identifier::Header(message) => Some(self.header(message)),
            Identifier::UrlPath(message) => self.path_matches(message),
            _ => None,
        };
        self.leaf(truth)
    }

    fn path(&self) -> Option<&[u8]> {
        let path = self.facts.path.split(['?', '#']).next().unwrap_or_default();
        (!path.is_empty()).then_some(path.as_bytes())
    }

    fn path_matches(&self, message: &PathMatcher) -> Truth {
        let PathRule::Path(matcher) = message.rule.as_ref()?;
        self.path().map(|path| string(matcher, path))
    }

    #[expect(deprecated, reason = "control planes still send them")]
    fn header(&self, message: &HeaderMatcher) -> bool {
        let mut values = self.values(&message.name);
        if values.is_empty() && message.treat_missing_header_as_empty {
            values.push(b"");
        }
        let is_present = !values.is_empty();
        let some = |test: &dyn Fn(&[u8]) -> bool| {
            // What is absent matches no value, not even the negation of one.
            is_present && values.iter().any(|value| test(value)) != message.invert_match
        };
        match &message.header_match_specifier {
            None => is_present != message.invert_match,
            Some(HeaderMatchSpecifier::PresentMatch(wanted)) => {
                (is_present == *wanted) != message.invert_match
            }
            Some(HeaderMatchSpecifier::RangeMatch(range)) => some(&|value| {
                let number: Option<i64> = String::from_utf8_lossy(value).parse().ok();
                number.is_some_and(|number| range.start <= number && number < range.end)
            }),
            Some(HeaderMatchSpecifier::ExactMatch(text)) => some(&|v| v == text.as_bytes()),
            Some(HeaderMatchSpecifier::PrefixMatch(text)) => {
                some(&|v| v.starts_with(text.as_bytes()))
            }
            Some(HeaderMatchSpecifier::SuffixMatch(text)) => {
                some(&|v| v.ends_with(text.as_bytes()))
            }
            Some(HeaderMatchSpecifier::ContainsMatch(text)) => some(&|v| holds(v, text.as_bytes())),
            Some(HeaderMatchSpecifier::SafeRegexMatch(message)) => {
                some(&|value| is_full_match(&message.regex, value))
            }
            Some(HeaderMatchSpecifier::StringMatch(matcher)) => {
                some(&|value| string(matcher, value))
            }
        }
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        let facts = self.facts;
        match name {
            ":method" => vec![facts.method.as_bytes()],
            ":authority" | "host" => vec![facts.authority.as_bytes()],
            ":scheme" => vec![b"http"],
            ":path" if facts.path.is_empty() => Vec::new(),
            ":path" => vec![facts.path.as_bytes()],
            _ => {
                let lines = facts.lines.iter();
                let named = lines.filter(|(line, _)| line.eq_ignore_ascii_case(name));
                named.map(|(_, value)| value.as_slice()).collect()
            }
        }
    }
}

fn string(matcher: &StringMatcher, value: &[u8]) -> bool {
    let fold = |text: &[u8]| {
        if matcher.ignore_case { text.to_ascii_lowercase() } else { text.to_vec() }
    };
    let value = &fold(value);
    match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => *value == fold(text.as_bytes()),
        Some(MatchPattern::Prefix(text)) => value.starts_with(&fold(text.as_bytes())),
        Some(MatchPattern::Suffix(text)) => value.ends_with(&fold(text.as_bytes())),
        Some(MatchPattern::Contains(text)) => holds(value, &fold(text.as_bytes())),
        Some(MatchPattern::SafeRegex(message)) => is_full_match(&message.regex, value),
        _ => false,
    }
}

fn holds(value: &[u8], part: &[u8]) -> bool {
    part.is_empty() || value.windows(part.len()).any(|window| window == part)
}

fn is_full_match(pattern: &str, value: &[u8]) -> bool {
    REGEXES.iter().any(|(known, meaning)| *known == pattern && meaning(value))
}

/// Tries every length for every operator.
fn fits(template: &[u8], path: &[u8]) -> bool {
    let operator = |rest: &[u8], least: usize, crosses: bool| {
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=*".contains(b);
        let most = path.iter().take_while(|b| allowed(b) || (crosses && **b == b'/')).count();
        (least..=most).any(|length| path.get(length..).is_some_and(|tail| fits(rest, tail)))
    };
    match template {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => operator(rest, 0, true),
        [b'*', rest @ ..] => operator(rest, 1, false),
        [literal, rest @ ..] => {
            path.split_first().is_some_and(|(b, tail)| b == literal && fits(rest, tail))
        }
    }
}

/// Compares bits. What is an IPv4 address in IPv6 clothes counts as IPv4, in ranges as in addresses.
fn is_in(address: IpAddr, range: &CidrRange) -> bool {
    let Ok(network) = range.address_prefix.parse::<IpAddr>() else { return false };
    let length = range.prefix_len.map_or(0, |length| length.value);
    let (network, length) = match (network, network.to_canonical()) {
        (IpAddr::V6(_), IpAddr::V4(inner)) if length >= 96 => (IpAddr::V4(inner), length - 96),
        _ => (network, length),
    };
    let (ours, theirs, width) = match (address.to_canonical(), network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let free = width - length.min(width);
    ours.checked_shr(free).unwrap_or(0) == theirs.checked_shr(free).unwrap_or(0)
}
