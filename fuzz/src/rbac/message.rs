//! Policy messages of any shape that a control plane can send and that is small.

use std::collections::HashMap;

use arbitrary::{Result, Unstructured};
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::core::v3::{CidrRange, TypedExtensionConfig};
use outrigger_xds_api::envoy::config::rbac::v3::permission::{Rule, Set as Rules};
use outrigger_xds_api::envoy::config::rbac::v3::principal::{
    Authenticated, Identifier, Set as Identifiers,
};
use outrigger_xds_api::envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac};
use outrigger_xds_api::envoy::config::route::v3::HeaderMatcher;
use outrigger_xds_api::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use outrigger_xds_api::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use outrigger_xds_api::envoy::r#type::matcher::v3::path_matcher::Rule as PathRule;
use outrigger_xds_api::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use outrigger_xds_api::envoy::r#type::matcher::v3::{PathMatcher, RegexMatcher, StringMatcher};
use outrigger_xds_api::envoy::r#type::v3::{Int32Range, Int64Range};
use outrigger_xds_api::google::protobuf::UInt32Value;

use super::words::{HEADERS, PORTS, RANGES, REGEXES, TEMPLATES, choose, text};

/// How deep sets and negations stand in each other.
const DEPTH: u8 = 3;

pub(super) fn rules(choices: &mut Unstructured<'_>) -> Result<Rbac> {
    let mut policies = HashMap::new();
    for _ in 0..choices.int_in_range(0..=4)? {
        let name = choose(&["a", "b", "c", "ns[n]-policy[p]-rule[0]", ""], choices)?.to_owned();
        let permissions = some(choices, |choices| permission(choices, DEPTH))?;
        let principals = some(choices, |choices| principal(choices, DEPTH))?;
        policies.insert(name, Policy { permissions, principals, ..Policy::default() });
    }
    Ok(Rbac { action: choices.int_in_range(0..=2)?, policies, audit_logging_options: None })
}

fn some<T>(
    choices: &mut Unstructured<'_>,
    mut one: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = choices.int_in_range(1..=3)?;
    (0..count).map(|_| one(choices)).collect()
}

fn permission(choices: &mut Unstructured<'_>, depth: u8) -> Result<Permission> {
    let first = if depth == 0 { 3 } else { 0 };
    let deeper = depth.saturating_sub(1);
    let set = |choices: &mut Unstructured<'_>| -> Result<Rules> {
        Ok(Rules { rules: some(choices, |choices| permission(choices, deeper))? })
    };
    let rule = match choices.int_in_range(first..=10)? {
        0 => Rule::AndRules(set(choices)?),
        1 => Rule::OrRules(set(choices)?),
        2 => Rule::NotRule(Box::new(permission(choices, deeper)?)),
        3 => Rule::Any(true),
        4 => Rule::Header(header(choices)?),
        5 => Rule::UrlPath(path(choices)?),
        6 => Rule::DestinationIp(range(choices)?),
        7 => Rule::DestinationPort(choose(PORTS, choices)?.into()),
        8 => {
            let start = choose(PORTS, choices)?.into();
            let end = choices.int_in_range(start..=65_537)?;
            Rule::DestinationPortRange(Int32Range { start, end })
        }
        9 => Rule::RequestedServerName(string(choices)?),
        _ => Rule::UriTemplate(template(choices)?),
    };
    Ok(Permission { rule: Some(rule) })
}

#[expect(deprecated, reason = "control planes still send them")]
fn principal(choices: &mut Unstructured<'_>, depth: u8) -> Result<Principal> {
    let first = if depth == 0 { 3 } else { 0 };
    let deeper = depth.saturating_sub(1);
    let set = |choices: &mut Unstructured<'_>| -> Result<Identifiers> {
        Ok(Identifiers { ids: some(choices, |choices| principal(choices, deeper))? })
    };
    let identifier = match choices.int_in_range(first..=9)? {
        0 => Identifier::AndIds(set(choices)?),
        1 => Identifier::OrIds(set(choices)?),
        2 => Identifier::NotId(Box::new(principal(choices, deeper)?)),
        3 => Identifier::Any(true),
        4 => {
            let principal_name = if choices.arbitrary()? { Some(string(choices)?) } else { None };
            Identifier::Authenticated(Authenticated { principal_name })
        }
        5 => Identifier::SourceIp(range(choices)?),
        6 => Identifier::DirectRemoteIp(range(choices)?),
        7 => Identifier::RemoteIp(range(choices)?),
        8 => Identifier::Header(header(choices)?),
        _ => Identifier::UrlPath(path(choices)?),
    };
    Ok(Principal { identifier: Some(identifier) })
}

fn string(choices: &mut Unstructured<'_>) -> Result<StringMatcher> {
    let pattern = match choices.int_in_range(0..=4)? {
        0 => MatchPattern::Exact(text(choices)?),
        1 => MatchPattern::Prefix(text(choices)?),
        2 => MatchPattern::Suffix(text(choices)?),
        3 => MatchPattern::Contains(text(choices)?),
        _ => MatchPattern::SafeRegex(regex(choices)?),
    };
    let ignore_case = !matches!(pattern, MatchPattern::SafeRegex(_)) && choices.arbitrary()?;
    Ok(StringMatcher { ignore_case, match_pattern: Some(pattern) })
}

fn regex(choices: &mut Unstructured<'_>) -> Result<RegexMatcher> {
    let (pattern, _) = choose(REGEXES, choices)?;
    Ok(RegexMatcher { regex: pattern.to_owned(), ..RegexMatcher::default() })
}

fn path(choices: &mut Unstructured<'_>) -> Result<PathMatcher> {
    Ok(PathMatcher { rule: Some(PathRule::Path(string(choices)?)) })
}

#[expect(deprecated, reason = "control planes still send them")]
fn header(choices: &mut Unstructured<'_>) -> Result<HeaderMatcher> {
    let specifier = match choices.int_in_range(0..=8)? {
        0 => None,
        1 => Some(HeaderMatchSpecifier::PresentMatch(choices.arbitrary()?)),
        2 => {
            let (start, end) = (choices.int_in_range(-8..=8)?, choices.int_in_range(-8..=8)?);
            Some(HeaderMatchSpecifier::RangeMatch(Int64Range { start, end }))
        }
        3 => Some(HeaderMatchSpecifier::ExactMatch(text(choices)?)),
        4 => Some(HeaderMatchSpecifier::PrefixMatch(text(choices)?)),
        5 => Some(HeaderMatchSpecifier::SuffixMatch(text(choices)?)),
        6 => Some(HeaderMatchSpecifier::ContainsMatch(text(choices)?)),
        7 => Some(HeaderMatchSpecifier::SafeRegexMatch(regex(choices)?)),
        _ => Some(HeaderMatchSpecifier::StringMatch(string(choices)?)),
    };
    Ok(HeaderMatcher {
        name: choose(HEADERS, choices)?.to_owned(),
        invert_match: choices.arbitrary()?,
        treat_missing_header_as_empty: choices.arbitrary()?,
        header_match_specifier: specifier,
    })
}

fn range(choices: &mut Unstructured<'_>) -> Result<CidrRange> {
    let address_prefix = choose(RANGES, choices)?.to_owned();
    let value = choose(&[0, 1, 8, 16, 32, 33, 96, 104, 128, 200], choices)?;
    let prefix_len = if choices.ratio(7, 8)? { Some(UInt32Value { value }) } else { None };
    Ok(CidrRange { address_prefix, prefix_len })
}

fn template(choices: &mut Unstructured<'_>) -> Result<TypedExtensionConfig> {
    let path_template = choose(TEMPLATES, choices)?.to_owned();
    let config = UriTemplateMatchConfig { path_template };
    Ok(TypedExtensionConfig { name: "t".to_owned(), typed_config: Some(any::encode(&config)) })
}
