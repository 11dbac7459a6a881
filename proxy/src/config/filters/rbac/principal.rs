//! Who may do it. (envoy: config.rbac.v3.Principal)

use outrigger_policy::authz::{Principal, PrincipalTest, Rule};
use outrigger_policy::matcher::CidrSet;
use outrigger_xds_api::envoy::config::core::v3::CidrRange;
use outrigger_xds_api::envoy::config::rbac::v3::Principal as Message;
use outrigger_xds_api::envoy::config::rbac::v3::principal::{Authenticated, Identifier, Set};

use super::Layer;
use super::rules::{header, path};
use crate::config::common::{Translated, cidr, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;

pub(super) fn principals(
    messages: Vec<Message>,
    layer: Layer,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Vec<Principal>> {
    let each = |(index, message)| principal(message, layer, &at.index(index), cx);
    messages.into_iter().enumerate().map(each).collect()
}

/// Messages nest no deeper than their decoder lets them, so this recursion ends.
#[expect(deprecated, reason = "fields that control planes still send")]
fn principal(message: Message, layer: Layer, at: &At<'_>, cx: &Cx<'_>) -> Translated<Principal> {
    fields!(cx, at, message => Message { used: identifier; });
    let range = |message: CidrRange, field: &'static str| -> Translated<CidrSet> {
        Ok(CidrSet::new([cidr(message, &at.field(field), cx)?]))
    };
    let test = match required(identifier, &at.field("identifier"))? {
        Identifier::AndIds(message) => {
            let at = at.field("and_ids");
            return Rule::all(set(message, layer, &at, cx)?).map_err(|error| at.error(error));
        }
        Identifier::OrIds(message) => {
            let at = at.field("or_ids");
            return Rule::one_of(set(message, layer, &at, cx)?).map_err(|error| at.error(error));
        }
        Identifier::NotId(message) => {
            let at = at.field("not_id");
            let rule = principal(*message, layer, &at, cx)?;
            return rule.negated().map_err(|error| at.error(error));
        }
        Identifier::Any(true) => return Ok(Rule::any()),
        Identifier::Any(false) => return Err(at.field("any").error("must be true")),
        Identifier::Authenticated(message) => {
            authenticated(message, &at.field("authenticated"), cx)?
        }
        Identifier::SourceIp(message) => PrincipalTest::SourceIp(range(message, "source_ip")?),
        Identifier::DirectRemoteIp(message) => {
            PrincipalTest::DirectRemoteIp(range(message, "direct_remote_ip")?)
        }
        Identifier::RemoteIp(message) => PrincipalTest::RemoteIp(range(message, "remote_ip")?),
        Identifier::Header(message) => {
            PrincipalTest::Header(header(message, layer, &at.field("header"), cx)?)
        }
        Identifier::UrlPath(message) => {
            PrincipalTest::UrlPath(path(message, &at.field("url_path"), cx)?)
        }
        Identifier::Metadata(_) => {
            return Err(at.field("metadata").unsupported("a test of metadata"));
        }
        Identifier::SourcedMetadata(_) => {
            return Err(at.field("sourced_metadata").unsupported("a test of metadata"));
        }
        Identifier::FilterState(_) => {
            return Err(at.field("filter_state").unsupported("a test of filter state"));
        }
        Identifier::Custom(_) => {
            return Err(at.field("custom").unsupported("an extension of principals"));
        }
    };
    Ok(test.into())
}

fn set(message: Set, layer: Layer, at: &At<'_>, cx: &Cx<'_>) -> Translated<Vec<Principal>> {
    fields!(cx, at, message => Set { used: ids; });
    principals(ids, layer, &at.field("ids"), cx)
}

fn authenticated(message: Authenticated, at: &At<'_>, cx: &Cx<'_>) -> Translated<PrincipalTest> {
    fields!(cx, at, message => Authenticated { used: principal_name; });
    let at = at.field("principal_name");
    Ok(match principal_name {
        Some(message) => PrincipalTest::AuthenticatedAs(matcher::string(message, &at, cx)?),
        None => PrincipalTest::Authenticated,
    })
}
