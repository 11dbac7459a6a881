//! What stands behind `%NAME%`: one file per family of operators.
//!
//! An operator appends its value to the line and tells what it was; dashes, nulls, quotes, escapes and lengths are the formats' business. To add
//! one: its row in the file of its family; for a new family, its file and its line in `operators!`. Names are Envoy 1.40's, and each of
//! those has a row here or in `unsupported`. (envoy: docs, configuration/observability/access_log, command operators)

use std::fmt;

pub(super) use self::grpc::status_of as grpc_status;
use super::command::Command;
use super::format::Options;
use super::record::Record;

/// What an operator has appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// Nothing: there is no value.
    Nothing,
    /// Text, of any bytes.
    Text,
    /// Text of ASCII that stands in JSON as it is, and in a terminal.
    Plain,
    /// The digits of a number, which is one in JSON too.
    Number,
    /// JSON, of one line.
    Json,
}

/// An operator without arguments.
pub(super) type Write = fn(&Record<'_>, &mut Vec<u8>) -> Wrote;

/// An operator with arguments, compiled.
pub(super) trait Operator: fmt::Debug + Send + Sync {
    /// Appends the value.
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote;
}

/// A command of a format, compiled.
#[derive(Debug)]
pub(super) struct Operation {
    run: Run,
    max_length: Option<usize>,
    /// It never writes but numbers.
    is_number: bool,
}

enum Run {
    Plain(Write),
    Compiled(Box<dyn Operator>),
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain"),
            Self::Compiled(operator) => operator.fmt(f),
        }
    }
}

impl Operation {
    /// Appends the value.
    pub(super) fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        match &self.run {
            Run::Plain(write) => write(record, out),
            Run::Compiled(operator) => operator.write(record, out),
        }
    }

    /// True if it never writes but numbers.
    pub(super) const fn is_number(&self) -> bool {
        self.is_number
    }

    /// Cuts the value that begins at `start` to the length that the command gives.
    pub(super) fn cut(&self, out: &mut Vec<u8>, start: usize) {
        if let Some(max_length) = self.max_length {
            out.truncate(start.saturating_add(max_length));
        }
    }
}

/// A name, and what it stands for.
pub(super) struct Row {
    name: &'static str,
    make: Make,
    takes_length: bool,
    is_number: bool,
}

/// How a command becomes an operator.
enum Make {
    /// It takes no arguments.
    Plain(Write),
    /// Its arguments may be missing: `%NAME%`, `%NAME()%`.
    Optional(Compile),
    /// It is nothing without arguments.
    Required(Compile),
    /// Envoy has it and we have not.
    Refused(&'static str),
}

type Compile = fn(&str) -> Result<Box<dyn Operator>, String>;

impl Row {
    const fn plain(name: &'static str, write: Write) -> Self {
        Self { name, make: Make::Plain(write), takes_length: false, is_number: false }
    }

    /// An operator that writes a number or nothing.
    const fn number(name: &'static str, write: Write) -> Self {
        Self { name, make: Make::Plain(write), takes_length: false, is_number: true }
    }

    const fn optional(name: &'static str, compile: Compile) -> Self {
        Self { name, make: Make::Optional(compile), takes_length: false, is_number: false }
    }

    const fn required(name: &'static str, compile: Compile) -> Self {
        Self { name, make: Make::Required(compile), takes_length: false, is_number: false }
    }

    const fn refused(name: &'static str, why: &'static str) -> Self {
        Self { name, make: Make::Refused(why), takes_length: true, is_number: false }
    }

    /// A length may follow: `%NAME(ARGS):LENGTH%`.
    const fn with_length(mut self) -> Self {
        self.takes_length = true;
        self
    }
}

macro_rules! operators {
    ($($family:ident),+ $(,)?) => {
        $(mod $family;)+

        /// All operators, by family.
        const FAMILIES: &[&[Row]] = &[$($family::ROWS),+];

        #[cfg(test)]
        const FILES: &[&str] = &[$(stringify!($family)),+];
    };
}

operators! {
    address,
    bytes,
    coalesce,
    connection,
    duration,
    grpc,
    header,
    metadata,
    path,
    process,
    query,
    response,
    time,
    tls,
    unsupported,
    upstream,
}

/// The operator of a command.
///
/// # Errors
/// What is wrong with the command, to follow its text.
pub(super) fn compile(command: &Command<'_>, options: Options) -> Result<Operation, String> {
    let row = FAMILIES.iter().copied().flatten().find(|row| row.name == command.name);
    let row = row.ok_or_else(|| "is no operator".to_owned())?;
    if row.name == header::WITHOUT_QUERY && !options.req_without_query {
        return Err("needs the formatter envoy.formatter.req_without_query".to_owned());
    }
    let run = match row.make {
        Make::Refused(why) => return Err(format!("is not supported: {why}")),
        Make::Plain(_) if !command.args.is_empty() => {
            return Err("takes no arguments".to_owned());
        }
        Make::Plain(write) => Run::Plain(write),
        Make::Required(_) if command.args.is_empty() => return Err("needs arguments".to_owned()),
        Make::Optional(compile) | Make::Required(compile) => Run::Compiled(compile(command.args)?),
    };
    if command.max_length.is_some() && !row.takes_length {
        return Err("takes no length".to_owned());
    }
    Ok(Operation { run, max_length: command.max_length, is_number: row.is_number })
}

fn text(out: &mut Vec<u8>, value: &[u8]) -> Wrote {
    out.extend_from_slice(value);
    Wrote::Text
}

/// A text of ours, which holds nothing that needs escapes.
fn plain(out: &mut Vec<u8>, value: &str) -> Wrote {
    out.extend_from_slice(value.as_bytes());
    Wrote::Plain
}

fn optional(out: &mut Vec<u8>, value: Option<&[u8]>) -> Wrote {
    value.map_or(Wrote::Nothing, |value| text(out, value))
}

/// The text, unless it is empty.
fn non_empty(out: &mut Vec<u8>, value: &str) -> Wrote {
    if value.is_empty() { Wrote::Nothing } else { text(out, value.as_bytes()) }
}

fn number(out: &mut Vec<u8>, value: impl itoa::Integer) -> Wrote {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    Wrote::Number
}

/// The texts, joined by commas, unless there is none.
fn list(out: &mut Vec<u8>, values: impl IntoIterator<Item = impl AsRef<str>>) -> Wrote {
    let mut wrote = Wrote::Nothing;
    for value in values {
        if wrote != Wrote::Nothing {
            out.push(b',');
        }
        wrote = text(out, value.as_ref().as_bytes());
    }
    wrote
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_this_folder_has_its_line() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/telemetry/access_log/operators");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "mod.rs")
            .map(|name| name.trim_end_matches(".rs").to_owned())
            .collect();
        files.sort();
        assert_eq!(files, FILES);
    }

    #[test]
    fn every_name_has_one_row() {
        let mut names: Vec<_> = FAMILIES.iter().copied().flatten().map(|row| row.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_operator_of_envoy_is_known() {
        // All names that Envoy 1.40 accepts or asks arguments for.
        let names = include_str!("../testdata/operators.txt").lines();
        for name in names.clone() {
            let is_known = FAMILIES.iter().copied().flatten().any(|row| row.name == name);
            assert!(is_known, "{name}");
        }
        assert!(names.count() > 130);
    }
}
