//! The process's own log: what Envoy calls the application log.
//!
//! Lines come from the macros of `tracing`; here stand the levels, one for each component and changeable while the process runs, and the
//! pattern that makes a line of them. Requests are not logged here: see `access_log`.

mod component;
mod pattern;

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber, span};

pub use component::{Component, Level, UnknownLevel, level, set_all, set_component, set_from_list};
pub use pattern::{DEFAULT_PATTERN, Pattern, Record};

/// Where lines go.
#[derive(Debug)]
enum Output {
    StandardError,
    File { path: String, file: File },
}

#[derive(Debug)]
struct Log {
    pattern: Pattern,
    output: Mutex<Output>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Begins to log. Later calls change nothing.
///
/// # Errors
/// If the file cannot be opened.
pub fn install(pattern: Pattern, path: Option<&str>) -> io::Result<()> {
    let output = match path {
        Some(path) => Output::File { path: path.into(), file: open(path)? },
        None => Output::StandardError,
    };
    if LOG.set(Log { pattern, output: Mutex::new(output) }).is_ok() {
        let _ = tracing::subscriber::set_global_default(Writer);
    }
    Ok(())
}

/// Opens the log's file anew, after it was moved away.
///
/// # Errors
/// If it cannot be opened; the old one stays.
pub fn reopen() -> io::Result<()> {
    let Some(log) = LOG.get() else { return Ok(()) };
    let mut output = log.output.lock().unwrap_or_else(PoisonError::into_inner);
    if let Output::File { path, file } = &mut *output {
        *file = open(path)?;
    }
    drop(output);
    Ok(())
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The end of the road for events; spans are not used.
struct Writer;

impl Subscriber for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Level::of(metadata.level()) >= level(Component::of_target(metadata.target()))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(log) = LOG.get() else { return };
        let metadata = event.metadata();
        let mut message = Message::default();
        event.record(&mut message);
        let record = Record {
            at: SystemTime::now(),
            level: Level::of(metadata.level()),
            component: Component::of_target(metadata.target()),
            file: metadata.file().unwrap_or("-"),
            line: metadata.line().unwrap_or(0),
            message: &message.text,
        };
        let mut line = String::with_capacity(message.text.len() + 80);
        log.pattern.write(&record, &mut line);
        line.push('\n');
        let mut output = log.output.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nowhere to tell that the log cannot be written.
        let _ = match &mut *output {
            Output::StandardError => io::stderr().write_all(line.as_bytes()),
            Output::File { file, .. } => file.write_all(line.as_bytes()),
        };
        drop(output);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message of an event, and after it its fields: `text key=value`.
#[derive(Default)]
struct Message {
    text: String,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            let fields = std::mem::take(&mut self.text);
            write!(self.text, "{value:?}{fields}")
        } else {
            write!(self.text, " {}={value:?}", field.name())
        };
    }
}
