//! Header lines that a level adds and removes. (envoy: config.core.v3.HeaderValueOption)

use std::sync::Arc;

use outrigger_policy::head::Name;
use outrigger_xds_api::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use outrigger_xds_api::envoy::config::core::v3::{HeaderValue, HeaderValueOption};

use crate::config::common::{Translated, enumeration, header_value, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;
use crate::config::matcher::header_name;
use crate::http::header_ops::{AppendAction, HeaderOp, HeaderOps};
use crate::http::route::LevelOps;
use crate::telemetry::access_log::{Format, Options};

/// Lines that one list may add. (envoy: request_headers_to_add)
const MAX_LINES: usize = 1000;

/// Bytes of a name, and of a value. (envoy: config.core.v3.HeaderValue)
const MAX_BYTES: usize = 16_384;

/// The four lists that every level has.
pub(super) struct Lists {
    pub(super) request_add: Vec<HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
}

impl Lists {
    /// What the level does, if it does anything; `at` is the level.
    pub(super) fn level(self, at: &At<'_>, cx: &Cx<'_>) -> Translated<Option<Arc<LevelOps>>> {
        let request = HeaderOps {
            add: additions(self.request_add, &at.field("request_headers_to_add"), cx)?,
            remove: removals(self.request_remove, &at.field("request_headers_to_remove"))?,
        };
        let response = HeaderOps {
            add: additions(self.response_add, &at.field("response_headers_to_add"), cx)?,
            remove: removals(self.response_remove, &at.field("response_headers_to_remove"))?,
        };
        let is_empty = request.is_empty() && response.is_empty();
        Ok((!is_empty).then(|| Arc::new(LevelOps { request, response })))
    }
}

fn additions(
    messages: Vec<HeaderValueOption>,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Box<[HeaderOp]>> {
    if messages.len() > MAX_LINES {
        return Err(at.error(format_args!("has more than {MAX_LINES} elements")));
    }
    let each = |(index, message)| addition(message, &at.index(index), cx);
    messages.into_iter().enumerate().map(each).collect()
}

fn removals(names: Vec<String>, at: &At<'_>) -> Translated<Box<[Name]>> {
    let each = |(index, name): (usize, String)| changeable(&name, "removed", &at.index(index));
    names.into_iter().enumerate().map(each).collect()
}

fn addition(message: HeaderValueOption, at: &At<'_>, cx: &Cx<'_>) -> Translated<HeaderOp> {
    fields!(cx, at, message => HeaderValueOption {
        used: header, append, append_action, keep_empty_value;
    });
    let action = match enumeration(append_action, &at.field("append_action"))? {
        HeaderAppendAction::AppendIfExistsOrAdd => AppendAction::AppendOrAdd,
        HeaderAppendAction::AddIfAbsent => AppendAction::AddIfAbsent,
        HeaderAppendAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteOrAdd,
        HeaderAppendAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
    };
    let action = match (append, action) {
        (None, action) => action,
        (Some(append), AppendAction::AppendOrAdd) if append.value => AppendAction::AppendOrAdd,
        (Some(_), AppendAction::AppendOrAdd) => AppendAction::OverwriteOrAdd,
        (Some(_), _) => return Err(at.field("append").error("stands beside append_action")),
    };
    let at = at.field("header");
    let message = required(header, &at)?;
    fields!(cx, at, message => HeaderValue {
        used: key, value;
        refused: raw_value = "a raw value, which Envoy would not send,";
    });
    for (text, field) in [(&key, "key"), (&value, "value")] {
        if text.len() > MAX_BYTES {
            return Err(at.field(field).error(format_args!("is longer than {MAX_BYTES} bytes")));
        }
    }
    let name = changeable(&key, "modified", &at.field("key"))?;
    let at = at.field("value");
    // What has no value is nothing, not the `-` of a log line.
    let options = Options { omit_empty_values: true, ..Options::default() };
    let value = Format::compile_with(&header_value(value, &at)?, options)
        .map_err(|error| at.error(error))?;
    Ok(HeaderOp { name, value, action, keep_empty: keep_empty_value })
}

/// The name of a header that routes may change; the text is Envoy's.
fn changeable(name: &str, how: &str, at: &At<'_>) -> Translated<Name> {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        return Err(at.error(format_args!(":-prefixed or host headers may not be {how}")));
    }
    header_name(name, at)
}
