//! Which requests take a route. (envoy: config.route.v3.RouteMatch)

use outrigger_policy::route::{PathRule, PathText, RouteMatch};
use outrigger_xds_api::envoy::config::route::v3::RouteMatch as Message;
use outrigger_xds_api::envoy::config::route::v3::route_match::{
    ConnectMatcher, GrpcRouteMatchOptions, PathSpecifier,
};

use crate::config::common::{Translated, bool_or, required, runtime_fraction};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;

pub(super) fn route_match(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<RouteMatch> {
    fields!(cx, at, message => Message {
        used: case_sensitive, runtime_fraction, headers, query_parameters, grpc, path_specifier;
        refused:
            cookies = "a match of cookies",
            tls_context = "a match of the client's certificate",
            dynamic_metadata = "a match of metadata",
            filter_state = "a match of filter state";
    });
    let case_sensitive = bool_or(case_sensitive, true);
    let at_fraction = at.field("runtime_fraction");
    let at_parameters = at.field("query_parameters");
    let parameter = |(index, message)| matcher::query(message, &at_parameters.index(index), cx);
    Ok(RouteMatch {
        path: path(required(path_specifier, &at.field("path_specifier"))?, case_sensitive, at, cx)?,
        headers: matcher::headers(headers, &at.field("headers"), cx)?.into(),
        query_parameters: query_parameters
            .into_iter()
            .enumerate()
            .map(parameter)
            .collect::<Result<_, _>>()?,
        grpc: grpc.is_some_and(|message| {
            fields!(cx, at, message => GrpcRouteMatchOptions {});
            true
        }),
        runtime_fraction: runtime_fraction
            .map(|message| self::runtime_fraction(message, &at_fraction, cx))
            .transpose()?,
    })
}

fn path(
    specifier: PathSpecifier,
    case_sensitive: bool,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<PathRule> {
    Ok(match specifier {
        PathSpecifier::Prefix(text) => PathRule::Prefix(PathText::new(&text, case_sensitive)),
        PathSpecifier::Path(text) => PathRule::Exact(PathText::new(&text, case_sensitive)),
        PathSpecifier::PathSeparatedPrefix(text) => {
            if !is_separated_prefix(&text) {
                let at = at.field("path_separated_prefix");
                return Err(at.error("must match ^[^?#]+[^?#/]$"));
            }
            PathRule::SeparatedPrefix(PathText::new(&text, case_sensitive))
        }
        // Case is the expression's own affair, as in Envoy.
        PathSpecifier::SafeRegex(message) => {
            PathRule::Regex(matcher::regex(message, &at.field("safe_regex"), cx)?)
        }
        PathSpecifier::ConnectMatcher(message) => {
            fields!(cx, at, message => ConnectMatcher {});
            PathRule::Connect
        }
        PathSpecifier::PathMatchPolicy(_) => {
            return Err(at.field("path_match_policy").unsupported("a path extension"));
        }
    })
}

/// (envoy: RouteMatch.path_separated_prefix)
fn is_separated_prefix(text: &str) -> bool {
    text.chars().count() > 1 && !text.contains(['?', '#']) && !text.ends_with('/')
}
