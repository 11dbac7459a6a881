//! Access logs of listeners, connection managers and TCP proxies. (envoy: config.accesslog.v3.AccessLog)
//!
//! Files are opened here, so that a log that cannot be written is refused with its configuration. Loggers that send lines to a service,
//! and those whose filter is an expression, are named as without effect.

mod filter;
mod format;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use outrigger_xds_api::any;
use outrigger_xds_api::envoy::config::accesslog::v3::AccessLog as Message;
use outrigger_xds_api::envoy::config::accesslog::v3::access_log::ConfigType;
use outrigger_xds_api::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use outrigger_xds_api::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat as FileFormat;
use outrigger_xds_api::envoy::extensions::access_loggers::stream::v3::stderr_access_log::AccessLogFormat as StderrFormat;
use outrigger_xds_api::envoy::extensions::access_loggers::stream::v3::stdout_access_log::AccessLogFormat as StdoutFormat;
use outrigger_xds_api::envoy::extensions::access_loggers::stream::v3::{
    StderrAccessLog, StdoutAccessLog,
};
use outrigger_xds_api::google::protobuf::Any;

use super::common::{Translated, non_empty, required};
use super::cx::Cx;
use super::error::At;
use super::fields::fields;
use crate::telemetry::access_log::{AccessLog, Line, Log, LogFile};

/// Loggers that send lines to a service.
const REMOTE: [&str; 3] = [
    "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
    "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
];

/// The logs of a list, each of which gets a line of every stream that passes its filter.
pub(super) fn logs(messages: Vec<Message>, at: &At<'_>, cx: &Cx<'_>) -> Translated<Arc<AccessLog>> {
    let each = |(index, message)| log(message, &at.index(index), cx).transpose();
    let logs = messages.into_iter().enumerate().filter_map(each).collect::<Translated<_>>()?;
    Ok(Arc::new(AccessLog::new(logs)))
}

/// `None` if nothing of what it says can be written here.
fn log(message: Message, at: &At<'_>, cx: &Cx<'_>) -> Translated<Option<Log>> {
    fields!(cx, at, message => Message {
        used: name, filter, config_type;
    });
    // The type of the configuration says what it is.
    drop(name);
    if filter.as_ref().is_some_and(filter::is_expression) {
        // Without its filter it would tell of what it must not, so it tells of nothing.
        cx.note_ignored(&at.field("filter"), "CEL is not evaluated yet: nothing is logged");
        return Ok(None);
    }
    let filter = match filter {
        Some(message) => Some(filter::filter(message, &at.field("filter"), cx)?),
        None => None,
    };
    let at = at.field("typed_config");
    let ConfigType::TypedConfig(config) = required(config_type, &at)?;
    if any::type_name(&config.type_url).is_some_and(|name| REMOTE.contains(&name)) {
        cx.note_ignored(&at, "lines are not sent to services yet");
        return Ok(None);
    }
    let (path, line) = logger(&config, &at, cx)?;
    let file = LogFile::open(&path, cx.registry)
        .map_err(|error| at.error(format_args!("{path} cannot be opened: {error}")))?;
    Ok(Some(Log { filter, line, file }))
}

/// The path and the line of a logger.
fn logger(config: &Any, at: &At<'_>, cx: &Cx<'_>) -> Translated<(String, Line)> {
    let stream = |path: &str, line| Ok((path.to_owned(), line));
    match any::type_name(&config.type_url) {
        Some("envoy.extensions.access_loggers.file.v3.FileAccessLog") => {
            file(any::decode(config).map_err(|error| at.error(error))?, at, cx)
        }
        Some("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog") => {
            let message: StdoutAccessLog = any::decode(config).map_err(|error| at.error(error))?;
            fields!(cx, at, message => StdoutAccessLog { used: access_log_format; });
            let format = access_log_format.map(|StdoutFormat::LogFormat(format)| format);
            stream("/dev/stdout", format::line(format, &at.field("log_format"), cx)?)
        }
        Some("envoy.extensions.access_loggers.stream.v3.StderrAccessLog") => {
            let message: StderrAccessLog = any::decode(config).map_err(|error| at.error(error))?;
            fields!(cx, at, message => StderrAccessLog { used: access_log_format; });
            let format = access_log_format.map(|StderrFormat::LogFormat(format)| format);
            stream("/dev/stderr", format::line(format, &at.field("log_format"), cx)?)
        }
        _ => Err(at.unsupported(format_args!("a logger of type '{}'", config.type_url))),
    }
}

#[expect(deprecated, reason = "formats of earlier versions are taken too")]
fn file(message: FileAccessLog, at: &At<'_>, cx: &Cx<'_>) -> Translated<(String, Line)> {
    fields!(cx, at, message => FileAccessLog { used: path, access_log_format; });
    let path = non_empty(path, &at.field("path"))?;
    let line = match access_log_format {
        None => format::line(None, at, cx)?,
        Some(FileFormat::LogFormat(message)) => {
            format::line(Some(message), &at.field("log_format"), cx)?
        }
        Some(FileFormat::Format(text)) => format::old_text(&text, &at.field("format"))?,
        Some(FileFormat::JsonFormat(message)) => {
            format::old_json(message, &at.field("json_format"))?
        }
        Some(FileFormat::TypedJsonFormat(message)) => {
            format::old_json(message, &at.field("typed_json_format"))?
        }
    };
    Ok((path, line))
}
