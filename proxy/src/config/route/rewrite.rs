//! The path and the host that an upstream is asked for. (envoy: config.route.v3.RouteAction.prefix_rewrite and its neighbours)
//!
//! An empty text is unset, as in Envoy.

use outrigger_policy::route::{HostRewrite, PathRewrite};
use outrigger_xds_api::envoy::config::route::v3::route_action::HostRewriteSpecifier;
use outrigger_xds_api::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use crate::config::common::Translated;
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::matcher::{self, header_name};

/// `at` is the action.
pub(super) fn path(
    prefix: String,
    regex: Option<RegexMatchAndSubstitute>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<PathRewrite>> {
    let prefix = in_head(prefix, &at.field("prefix_rewrite"))?;
    match regex {
        Some(_) if !prefix.is_empty() => Err(at.error("has both prefix_rewrite and regex_rewrite")),
        Some(message) => {
            let at = at.field("regex_rewrite");
            in_head(message.substitution.clone(), &at.field("substitution"))?;
            Ok(Some(PathRewrite::Regex(matcher::substitution(message, &at, cx)?)))
        }
        None if prefix.is_empty() => Ok(None),
        None => Ok(Some(PathRewrite::Prefix(prefix.into_bytes().into()))),
    }
}

/// The rewrite, or true for that to the name of the chosen host; `at` is the action.
pub(super) fn host(
    specifier: Option<HostRewriteSpecifier>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<(Option<HostRewrite>, bool)> {
    let rewrite = match specifier {
        None => None,
        Some(HostRewriteSpecifier::AutoHostRewrite(flag)) => return Ok((None, flag.value)),
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
            host_literal(host, at)?.map(|host| HostRewrite::Literal(host.into_bytes().into()))
        }
        Some(HostRewriteSpecifier::HostRewriteHeader(name)) if name.is_empty() => None,
        Some(HostRewriteSpecifier::HostRewriteHeader(name)) => {
            Some(HostRewrite::Header(header_name(&name, &at.field("host_rewrite_header"))?))
        }
        Some(HostRewriteSpecifier::HostRewritePathRegex(message)) => {
            let at = at.field("host_rewrite_path_regex");
            in_head(message.substitution.clone(), &at.field("substitution"))?;
            Some(HostRewrite::PathRegex(matcher::substitution(message, &at, cx)?))
        }
        Some(HostRewriteSpecifier::HostRewrite(_)) => {
            return Err(at.field("host_rewrite").unsupported("a host made by a format"));
        }
    };
    Ok((rewrite, false))
}

/// The field `host_rewrite_literal` of the message here.
pub(super) fn host_literal(host: String, at: &At<'_>) -> Translated<Option<String>> {
    let host = in_head(host, &at.field("host_rewrite_literal"))?;
    Ok(Some(host).filter(|host| !host.is_empty()))
}

/// A text that may be part of a request's path or host: a space would end either. Envoy refuses line breaks only.
fn in_head(text: String, at: &At<'_>) -> Translated<String> {
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(at.error("holds a space or a control character"));
    }
    Ok(text)
}
