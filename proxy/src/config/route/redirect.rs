//! Where a client is sent instead. (envoy: config.route.v3.RedirectAction)
//!
//! An empty text and port 0 are unset, as in Envoy.

use outrigger_policy::route::{PathRedirect, PathRewrite, Redirect, RedirectCode};
use outrigger_xds_api::envoy::config::route::v3::RedirectAction;
use outrigger_xds_api::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};

use crate::config::common::{Translated, enumeration, header_value};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;

pub(super) fn redirect(message: RedirectAction, at: &At<'_>, cx: &Cx<'_>) -> Translated<Redirect> {
    fields!(cx, at, message => RedirectAction {
        used: host_redirect, port_redirect, response_code, strip_query, scheme_rewrite_specifier,
            path_rewrite_specifier;
    });
    let set = |text: String| Some(text.into_boxed_str()).filter(|text| !text.is_empty());
    Ok(Redirect {
        scheme: match scheme_rewrite_specifier {
            None | Some(SchemeRewriteSpecifier::HttpsRedirect(false)) => None,
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => {
                set(self::scheme(scheme, &at.field("scheme_redirect"))?)
            }
        },
        host: set(header_value(host_redirect, &at.field("host_redirect"))?),
        port: match u16::try_from(port_redirect) {
            Ok(port) => Some(port).filter(|port| *port != 0),
            Err(_) => {
                let at = at.field("port_redirect");
                return Err(at.error(format_args!("{port_redirect} is no port")));
            }
        },
        path: match path_rewrite_specifier {
            Some(specifier) => path(specifier, at, cx)?,
            None => PathRedirect::Keep,
        },
        strip_query,
        code: match enumeration(response_code, &at.field("response_code"))? {
            RedirectResponseCode::MovedPermanently => RedirectCode::MovedPermanently,
            RedirectResponseCode::Found => RedirectCode::Found,
            RedirectResponseCode::SeeOther => RedirectCode::SeeOther,
            RedirectResponseCode::TemporaryRedirect => RedirectCode::TemporaryRedirect,
            RedirectResponseCode::PermanentRedirect => RedirectCode::PermanentRedirect,
        },
    })
}

fn path(specifier: PathRewriteSpecifier, at: &At<'_>, cx: &Cx<'_>) -> Translated<PathRedirect> {
    Ok(match specifier {
        PathRewriteSpecifier::PathRedirect(path) => {
            match header_value(path, &at.field("path_redirect"))? {
                path if path.is_empty() => PathRedirect::Keep,
                path => PathRedirect::Replace(path.into_bytes().into()),
            }
        }
        PathRewriteSpecifier::PrefixRewrite(prefix) => {
            match header_value(prefix, &at.field("prefix_rewrite"))? {
                prefix if prefix.is_empty() => PathRedirect::Keep,
                prefix => PathRedirect::Rewrite(PathRewrite::Prefix(prefix.into_bytes().into())),
            }
        }
        PathRewriteSpecifier::RegexRewrite(message) => {
            let substitution = matcher::substitution(message, &at.field("regex_rewrite"), cx)?;
            PathRedirect::Rewrite(PathRewrite::Regex(substitution))
        }
        PathRewriteSpecifier::PathRewrite(_) => {
            return Err(at.field("path_rewrite").unsupported("a path made by a format"));
        }
    })
}

/// RFC 3986 §3.1; Envoy takes any text.
fn scheme(text: String, at: &At<'_>) -> Translated<String> {
    let is_scheme_byte = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    if text.bytes().all(is_scheme_byte) { Ok(text) } else { Err(at.error("is no scheme")) }
}
