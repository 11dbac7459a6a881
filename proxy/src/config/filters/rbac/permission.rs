//! What may be done. (envoy: config.rbac.v3.Permission)

use outrigger_policy::authz::{PathTemplate, Permission, PermissionTest, PortRange, Rule};
use outrigger_policy::matcher::CidrSet;
use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::core::v3::TypedExtensionConfig;
use outrigger_xds_api::envoy::config::rbac::v3::Permission as Message;
use outrigger_xds_api::envoy::config::rbac::v3::permission::{Rule as Kind, Set};
use outrigger_xds_api::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;

use super::Layer;
use super::rules::{header, path};
use crate::config::common::{Translated, cidr, decode, extension, int_range, non_empty, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher;

/// The extension that `uri_template` knows.
const URI_TEMPLATE: &str = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";

/// Bytes of a path template. (envoy: UriTemplateMatchConfig.path_template)
const TEMPLATE_BYTES: std::ops::RangeInclusive<usize> = 1..=256;

pub(super) fn permissions(
    messages: Vec<Message>,
    layer: Layer,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Vec<Permission>> {
    let each = |(index, message)| permission(message, layer, &at.index(index), cx);
    messages.into_iter().enumerate().map(each).collect()
}

/// Messages nest no deeper than their decoder lets them, so this recursion ends.
#[expect(deprecated, reason = "fields that control planes still send")]
fn permission(message: Message, layer: Layer, at: &At<'_>, cx: &Cx<'_>) -> Translated<Permission> {
    fields!(cx, at, message => Message { used: rule; });
    let test = match required(rule, &at.field("rule"))? {
        Kind::AndRules(message) => {
            let at = at.field("and_rules");
            return Rule::all(set(message, layer, &at, cx)?).map_err(|error| at.error(error));
        }
        Kind::OrRules(message) => {
            let at = at.field("or_rules");
            return Rule::one_of(set(message, layer, &at, cx)?).map_err(|error| at.error(error));
        }
        Kind::NotRule(message) => {
            let at = at.field("not_rule");
            let rule = permission(*message, layer, &at, cx)?;
            return rule.negated().map_err(|error| at.error(error));
        }
        Kind::Any(true) => return Ok(Rule::any()),
        Kind::Any(false) => return Err(at.field("any").error("must be true")),
        Kind::Header(message) => {
            PermissionTest::Header(header(message, layer, &at.field("header"), cx)?)
        }
        Kind::UrlPath(message) => {
            PermissionTest::UrlPath(path(message, &at.field("url_path"), cx)?)
        }
        Kind::UriTemplate(message) => {
            PermissionTest::UriTemplate(template(message, &at.field("uri_template"), cx)?)
        }
        Kind::DestinationIp(message) => {
            let range = cidr(message, &at.field("destination_ip"), cx)?;
            PermissionTest::DestinationIp(CidrSet::new([range]))
        }
        Kind::DestinationPort(port) => {
            let refusal = |_| at.field("destination_port").error(format_args!("{port} is no port"));
            PermissionTest::DestinationPort(PortRange::one(u16::try_from(port).map_err(refusal)?))
        }
        Kind::DestinationPortRange(message) => {
            let at = at.field("destination_port_range");
            let (start, end) = int_range(message, &at, cx);
            let range = PortRange::new(start, end).map_err(|error| at.error(error))?;
            PermissionTest::DestinationPort(range)
        }
        Kind::RequestedServerName(message) => {
            let at = at.field("requested_server_name");
            PermissionTest::RequestedServerName(matcher::string(message, &at, cx)?)
        }
        Kind::Metadata(_) => return Err(at.field("metadata").unsupported("a test of metadata")),
        Kind::SourcedMetadata(_) => {
            return Err(at.field("sourced_metadata").unsupported("a test of metadata"));
        }
        Kind::Matcher(_) => return Err(at.field("matcher").unsupported("a matcher extension")),
    };
    Ok(test.into())
}

fn set(message: Set, layer: Layer, at: &At<'_>, cx: &Cx<'_>) -> Translated<Vec<Permission>> {
    fields!(cx, at, message => Set { used: rules; });
    permissions(rules, layer, &at.field("rules"), cx)
}

fn template(message: TypedExtensionConfig, at: &At<'_>, cx: &Cx<'_>) -> Translated<PathTemplate> {
    let (name, typed_config) = extension(message, at, cx);
    non_empty(name, &at.field("name"))?;
    let at = at.field("typed_config");
    let config = required(typed_config, &at)?;
    if any::type_name(&config.type_url) != Some(URI_TEMPLATE) {
        return Err(at.unsupported(format_args!("the template '{}'", config.type_url)));
    }
    let message: UriTemplateMatchConfig = decode(&config, &at)?;
    fields!(cx, at, message => UriTemplateMatchConfig { used: path_template; });
    let at = at.field("path_template");
    if !TEMPLATE_BYTES.contains(&path_template.len()) {
        return Err(at.error("must have between 1 and 256 bytes"));
    }
    PathTemplate::new(&path_template).map_err(|error| at.error(error))
}
