//! Matchers of strings, headers and query parameters: routes, authorization and faults share them.

use outrigger_policy::head::Name;
use outrigger_policy::matcher::{
    HeaderMatcher, HeaderRule, QueryMatcher, QueryRule, Regex, StringMatcher, StringRule,
    Substitution,
};
use outrigger_xds_api::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use outrigger_xds_api::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use outrigger_xds_api::envoy::config::route::v3::{
    HeaderMatcher as HeaderMessage, QueryParameterMatcher as QueryMessage,
};
use outrigger_xds_api::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use outrigger_xds_api::envoy::r#type::matcher::v3::{
    RegexMatchAndSubstitute, RegexMatcher as RegexMessage, StringMatcher as StringMessage,
};
use outrigger_xds_api::envoy::r#type::v3::Int64Range;

use super::common::{Translated, header_value, non_empty, required};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;

/// (envoy: config.route.v3.QueryParameterMatcher.name)
const MAX_PARAMETER_BYTES: usize = 1024;

/// (envoy: type.matcher.v3.StringMatcher)
pub(super) fn string(
    message: StringMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<StringMatcher> {
    fields!(cx, at, message => StringMessage { used: ignore_case, match_pattern; });
    let rule = match required(match_pattern, at)? {
        MatchPattern::Exact(text) => StringRule::Exact(text.into_bytes().into()),
        MatchPattern::Prefix(text) => {
            StringRule::Prefix(non_empty(text, &at.field("prefix"))?.into_bytes().into())
        }
        MatchPattern::Suffix(text) => {
            StringRule::Suffix(non_empty(text, &at.field("suffix"))?.into_bytes().into())
        }
        MatchPattern::Contains(text) => {
            StringRule::Contains(non_empty(text, &at.field("contains"))?.into_bytes().into())
        }
        MatchPattern::SafeRegex(message) => {
            let at = at.field("safe_regex");
            if ignore_case {
                return Err(at.error("ignore_case has no effect on a regular expression"));
            }
            StringRule::Regex(regex(message, &at, cx)?)
        }
        MatchPattern::Custom(_) => return Err(at.field("custom").unsupported("a custom matcher")),
    };
    Ok(StringMatcher::new(rule, ignore_case))
}

/// (envoy: type.matcher.v3.RegexMatcher)
pub(super) fn regex(message: RegexMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<Regex> {
    let pattern = pattern(message, at, cx)?;
    Regex::new(&pattern).map_err(|error| at.field("regex").error(error))
}

fn pattern(message: RegexMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<String> {
    fields!(cx, at, message => RegexMessage {
        used: regex;
        ignored: engine_type = "there is one engine, of linear time";
    });
    non_empty(regex, &at.field("regex"))
}

/// (envoy: type.matcher.v3.RegexMatchAndSubstitute)
pub(super) fn substitution(
    message: RegexMatchAndSubstitute,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Substitution> {
    fields!(cx, at, message => RegexMatchAndSubstitute { used: pattern, substitution; });
    let pattern =
        self::pattern(required(pattern, &at.field("pattern"))?, &at.field("pattern"), cx)?;
    let substitution = header_value(substitution, &at.field("substitution"))?;
    Substitution::new(&pattern, &substitution).map_err(|error| at.error(error))
}

/// A name that a header may have; `:path` and its like included.
pub(super) fn header_name(name: &str, at: &At<'_>) -> Translated<Name> {
    if Name::is_valid(name) {
        Ok(Name::new(name))
    } else {
        Err(at.error(format_args!("'{}' is no header name", name.escape_debug())))
    }
}

/// (envoy: config.route.v3.HeaderMatcher)
pub(super) fn header(
    message: HeaderMessage,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<HeaderMatcher> {
    fields!(cx, at, message => HeaderMessage {
        used: name, invert_match, treat_missing_header_as_empty, header_match_specifier;
    });
    let name = header_name(&name, &at.field("name"))?;
    let value = |rule| HeaderRule::Value(StringMatcher::new(rule, false));
    let text = |text: String, field: &'static str| -> Translated<Box<[u8]>> {
        Ok(non_empty(text, &at.field(field))?.into_bytes().into())
    };
    let rule = match header_match_specifier {
        None => HeaderRule::Present(true),
        Some(HeaderMatchSpecifier::PresentMatch(expected)) => HeaderRule::Present(expected),
        Some(HeaderMatchSpecifier::StringMatch(message)) => {
            HeaderRule::Value(string(message, &at.field("string_match"), cx)?)
        }
        Some(HeaderMatchSpecifier::RangeMatch(message)) => {
            let at = at.field("range_match");
            fields!(cx, at, message => Int64Range { used: start, end; });
            HeaderRule::Range(start..end)
        }
        // Deprecated spellings of string_match.
        Some(HeaderMatchSpecifier::ExactMatch(exact)) => {
            value(StringRule::Exact(exact.into_bytes().into()))
        }
        Some(HeaderMatchSpecifier::SafeRegexMatch(message)) => {
            value(StringRule::Regex(regex(message, &at.field("safe_regex_match"), cx)?))
        }
        Some(HeaderMatchSpecifier::PrefixMatch(prefix)) => {
            value(StringRule::Prefix(text(prefix, "prefix_match")?))
        }
        Some(HeaderMatchSpecifier::SuffixMatch(suffix)) => {
            value(StringRule::Suffix(text(suffix, "suffix_match")?))
        }
        Some(HeaderMatchSpecifier::ContainsMatch(part)) => {
            value(StringRule::Contains(text(part, "contains_match")?))
        }
    };
    Ok(HeaderMatcher::new(name, rule, invert_match, treat_missing_header_as_empty))
}

/// Header matchers of a list.
pub(super) fn headers(
    messages: Vec<HeaderMessage>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Vec<HeaderMatcher>> {
    let each = |(index, message)| header(message, &at.index(index), cx);
    messages.into_iter().enumerate().map(each).collect()
}

/// (envoy: config.route.v3.QueryParameterMatcher)
pub(super) fn query(message: QueryMessage, at: &At<'_>, cx: &Cx<'_>) -> Translated<QueryMatcher> {
    fields!(cx, at, message => QueryMessage { used: name, query_parameter_match_specifier; });
    let name = non_empty(name, &at.field("name"))?.into_boxed_str();
    if name.len() > MAX_PARAMETER_BYTES {
        return Err(at.field("name").error("is longer than 1024 bytes"));
    }
    let rule = match query_parameter_match_specifier {
        None => QueryRule::Present(true),
        Some(QueryParameterMatchSpecifier::PresentMatch(expected)) => QueryRule::Present(expected),
        Some(QueryParameterMatchSpecifier::StringMatch(message)) => {
            QueryRule::Value(string(message, &at.field("string_match"), cx)?)
        }
    };
    Ok(QueryMatcher { name, rule })
}
