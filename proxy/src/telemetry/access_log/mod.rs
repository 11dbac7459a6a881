//! Access logs: one line for every stream that has ended.
//!
//! - [`Format`], [`JsonFormat`]: what a line says, compiled from Envoy's format strings; header mutations use [`Format`] too
//! - `operators/`: what `%NAME(ARGS):LENGTH%` stands for, one file per family
//! - [`Filter`]: which streams are told of
//! - `sinks/`: files and standard streams, written by threads of their own
//!
//! A line is formatted straight into the worker's buffer for its file: nothing is allocated, locked or waited for. Deliberately absent:
//! logs sent to a service, and lines at any other moment than the end of a stream.
//! (envoy: config.accesslog.v3.AccessLog)

mod calendar;
mod command;
mod escape;
mod filter;
mod format;
mod json;
mod operators;
mod record;
mod sinks;
mod strftime;
mod zone;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use calendar::rfc3339;
pub use filter::{Comparison, Filter, Sampling};
pub use format::{Format, FormatError, Options};
pub use json::{JsonFormat, Node};
pub use record::{LogType, Record};
pub use sinks::{LogFile, Settings, flush, flush_at_intervals, flush_when_due, install, reopen};

/// The logs of a listener, a connection manager or a TCP proxy, in the order of the configuration.
#[derive(Debug, Default)]
pub struct AccessLog {
    logs: Box<[Log]>,
}

/// One log.
#[derive(Debug)]
pub struct Log {
    /// Which streams it tells of; `None` for all.
    pub filter: Option<Filter>,
    /// What it says of them.
    pub line: Line,
    /// Where it says so.
    pub file: Arc<LogFile>,
}

/// What a line is made of.
#[derive(Debug)]
pub enum Line {
    /// Text, which ends its lines itself.
    Text(Format),
    /// One JSON object per line.
    Json(JsonFormat),
}

impl AccessLog {
    /// These logs.
    #[must_use]
    pub fn new(logs: Vec<Log>) -> Self {
        Self { logs: logs.into() }
    }

    /// True if nothing is ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Writes the lines of a stream that has ended.
    pub fn write(&self, record: &Record<'_>) {
        for log in &self.logs {
            if log.filter.as_ref().is_none_or(|filter| filter.passes(record)) {
                log.file.line(|out| log.line.write(out, record));
            }
        }
    }
}

impl Line {
    /// Appends the line.
    pub fn write(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        match self {
            Self::Text(format) => format.write(out, record),
            Self::Json(format) => format.write(out, record),
        }
    }
}
