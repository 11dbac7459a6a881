//! How the process's own log looks. (envoy: config.bootstrap.v3.Bootstrap.ApplicationLogConfig)

use outrigger_xds_api::envoy::config::bootstrap::v3::bootstrap::ApplicationLogConfig;
use outrigger_xds_api::envoy::config::bootstrap::v3::bootstrap::application_log_config::{
    LogFormat as Message, log_format,
};
use outrigger_xds_api::google::protobuf::value::Kind;

use crate::config::common::{Translated, required};
use crate::config::cx::Cx;
use crate::config::error::At;
use crate::config::fields::fields;

/// Patterns with spdlog's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One pattern.
    Text(String),
    /// An object of names and patterns, in the order of the names.
    Json(Vec<(String, String)>),
}

pub(super) fn log_format(
    message: ApplicationLogConfig,
    at: &At<'_>,
    cx: &Cx<'_>,
) -> Translated<Option<LogFormat>> {
    fields!(cx, at, message => ApplicationLogConfig { used: log_format; });
    let at = at.field("log_format");
    let Some(message) = log_format else { return Ok(None) };
    fields!(cx, at, message => Message { used: log_format; });
    match required(log_format, &at)? {
        log_format::LogFormat::TextFormat(pattern) => Ok(Some(LogFormat::Text(pattern))),
        log_format::LogFormat::JsonFormat(fields) => {
            let at = at.field("json_format");
            let mut patterns = Vec::with_capacity(fields.fields.len());
            for (name, value) in fields.fields {
                let Some(Kind::StringValue(pattern)) = value.kind else {
                    return Err(at.key(&name).error("must be a string"));
                };
                patterns.push((name, pattern));
            }
            patterns.sort();
            Ok(Some(LogFormat::Json(patterns)))
        }
    }
}
