//! What a line says. (envoy: config.core.v3.SubstitutionFormatString)

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::core::v3::substitution_format_string::Format as Specifier;
use outrigger_xds_api::envoy::config::core::v3::{
    JsonFormatOptions, SubstitutionFormatString, TypedExtensionConfig,
};
use outrigger_xds_api::google::protobuf::value::Kind;
use outrigger_xds_api::google::protobuf::{Struct, Value};

use crate::config::common::{Translated, data_source, extension, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::telemetry::access_log::{Format, JsonFormat, Line, Node, Options};

/// What a log says that has no format. (envoy: docs, configuration/observability/access_log, default format string)
const DEFAULT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% \
    %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// The line of a format, or the default one.
#[expect(deprecated, reason = "formats of earlier versions are taken too")]
pub(super) fn line(
    message: Option<SubstitutionFormatString>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Line> {
    let Some(message) = message else { return text(DEFAULT, Options::default(), at) };
    fields!(cx, at, message => SubstitutionFormatString {
        used: omit_empty_values, formatters, format, json_format_options;
        ignored: content_type = "a log has no content type";
    });
    if let Some(message) = json_format_options {
        let at = at.field("json_format_options");
        fields!(cx, at, message => JsonFormatOptions {
            ignored: sort_properties = "keys are always sorted";
        });
    }
    let mut options = Options { omit_empty_values, ..Options::default() };
    for (index, message) in formatters.into_iter().enumerate() {
        formatter(message, &mut options, &at.field("formatters").index(index), cx)?;
    }
    match required(format, at)? {
        Specifier::TextFormat(format) => text(&format, options, &at.field("text_format")),
        Specifier::TextFormatSource(source) => {
            let at = at.field("text_format_source");
            let format = String::from_utf8(data_source(source, &at, cx)?);
            text(&format.map_err(|_| at.error("is no UTF-8"))?, options, &at)
        }
        Specifier::JsonFormat(message) => json(message, options, &at.field("json_format")),
    }
}

/// (envoy: FileAccessLog.format)
pub(super) fn old_text(format: &str, at: &At<'_>) -> Translated<Line> {
    text(if format.is_empty() { DEFAULT } else { format }, Options::default(), at)
}

/// (envoy: FileAccessLog.json_format, typed_json_format)
pub(super) fn old_json(message: Struct, at: &At<'_>) -> Translated<Line> {
    json(message, Options::default(), at)
}

fn formatter(
    message: TypedExtensionConfig,
    options: &mut Options,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<()> {
    let (_, typed_config) = extension(message, at, cx);
    let at = at.field("typed_config");
    let config = required(typed_config, &at)?;
    match any::type_name(&config.type_url) {
        Some("envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery") => {
            options.req_without_query = true;
            Ok(())
        }
        // Its operator is always known.
        Some("envoy.extensions.formatter.metadata.v3.Metadata") => Ok(()),
        _ => Err(at.unsupported(format_args!("a formatter of type '{}'", config.type_url))),
    }
}

fn text(format: &str, options: Options, at: &At<'_>) -> Translated<Line> {
    Format::compile_with(format, options).map(Line::Text).map_err(|error| at.error(error))
}

fn json(message: Struct, options: Options, at: &At<'_>) -> Translated<Line> {
    Ok(Line::Json(JsonFormat::new(members(message, options, at)?, options.omit_empty_values)))
}

fn members(message: Struct, options: Options, at: &At<'_>) -> Translated<Vec<(String, Node)>> {
    let Struct { fields } = message;
    let mut members = Vec::with_capacity(fields.len());
    for (key, value) in fields {
        let node = node(value, options, &at.key(&key))?;
        members.push((key, node));
    }
    Ok(members)
}

/// Nesting is as deep as messages can be.
fn node(message: Value, options: Options, at: &At<'_>) -> Translated<Node> {
    let Value { kind } = message;
    Ok(match required(kind, at)? {
        Kind::NullValue(_) => Node::null(),
        Kind::NumberValue(number) => Node::number(number),
        Kind::BoolValue(value) => Node::bool(value),
        Kind::StringValue(format) => {
            Node::text(&format, options).map_err(|error| at.error(error))?
        }
        Kind::StructValue(message) => Node::object(members(message, options, at)?),
        Kind::ListValue(list) => {
            let each = |(index, value)| node(value, options, &at.index(index));
            Node::list(list.values.into_iter().enumerate().map(each).collect::<Translated<_>>()?)
        }
    })
}
