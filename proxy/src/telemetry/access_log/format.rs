//! Format strings: literal text and operators, compiled once and written one after the other.
//! (envoy: config.core.v3.SubstitutionFormatString, `%` operators of access logs and header values)

use super::command::Command;
use super::escape;
use super::operators::{self, Operation, Wrote};
use super::record::Record;

/// How a format is compiled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// An operator without a value writes nothing; otherwise `-`. (envoy: omit_empty_values)
    pub omit_empty_values: bool,
    /// `%REQ_WITHOUT_QUERY%` is known. (envoy: formatters, envoy.formatter.req_without_query)
    pub req_without_query: bool,
}

/// A compiled format string.
#[derive(Debug)]
pub struct Format {
    pieces: Box<[Piece]>,
    empty: &'static [u8],
}

/// A part of a format string.
#[derive(Debug)]
pub(super) enum Piece {
    Literal(Box<[u8]>),
    Operation(Operation),
}

/// Why a format does not compile. Prints as `position 3: %FOO% …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {position}: {command} {reason}")]
pub struct FormatError {
    /// Byte of the format at which the command begins.
    pub position: usize,
    /// The command as it is written, or what begins like one.
    pub command: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Format {
    /// Compiles a format string whose missing values are dashes. `%%` stands for a percent sign.
    ///
    /// # Errors
    /// For what is no command, for an operator that nobody knows or that we do not have, and for arguments that it does not take.
    pub fn compile(text: &str) -> Result<Self, FormatError> {
        Self::compile_with(text, Options::default())
    }

    /// Compiles a format string with options.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn compile_with(text: &str, options: Options) -> Result<Self, FormatError> {
        let empty: &[u8] = if options.omit_empty_values { b"" } else { b"-" };
        Ok(Self { pieces: pieces(text, options)?.into(), empty })
    }

    /// Appends the text for a stream.
    pub fn write(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Operation(operation) => {
                    let start = out.len();
                    let wrote = operation.write(record, out);
                    operation.cut(out, start);
                    match wrote {
                        Wrote::Text | Wrote::Json => escape::text(out, start),
                        Wrote::Number | Wrote::Plain => {}
                        Wrote::Nothing => out.extend_from_slice(self.empty),
                    }
                }
            }
        }
    }
}

/// The pieces of a format string; no two literals follow each other.
pub(super) fn pieces(text: &str, options: Options) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        literal.extend_from_slice(before.as_bytes());
        if let Some(after) = after.strip_prefix('%') {
            literal.push(b'%');
            rest = after;
            continue;
        }
        let position = text.len() - after.len() - 1;
        let error = |end: usize, reason: String| FormatError {
            position,
            command: text.get(position..end).unwrap_or_default().to_owned(),
            reason,
        };
        let Some((command, after)) = Command::parse(after) else {
            return Err(error(text.len(), "is no command".to_owned()));
        };
        let operation = operators::compile(&command, options)
            .map_err(|reason| error(text.len() - after.len(), reason))?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        pieces.push(Piece::Operation(operation));
        rest = after;
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_command_and_its_position() {
        // What Envoy 1.40 refuses, and what we refuse beyond.
        for (text, expected) in [
            ("a%", "position 1: % is no command"),
            ("%%%", "position 2: % is no command"),
            ("x%DURATION%%%DURATION%", "position 21: % is no command"),
            ("a %req(x)% b", "position 2: %req(x)% b is no command"),
            ("ab%FOO%%DURATION%", "position 2: %FOO% is no operator"),
            ("%REQ%", "position 0: %REQ% needs arguments"),
            ("%REQ()%", "position 0: %REQ()% needs arguments"),
            ("%DURATION(3)%", "position 0: %DURATION(3)% takes no arguments"),
            ("%DURATION:3%", "position 0: %DURATION:3% takes no length"),
            (
                "%REQ_WITHOUT_QUERY(a)%",
                "position 0: %REQ_WITHOUT_QUERY(a)% needs the formatter envoy.formatter.req_without_query",
            ),
            ("%FILTER_STATE(a)%", "position 0: %FILTER_STATE(a)% is not supported: filter state"),
        ] {
            let error = Format::compile(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn literals_are_joined_and_percent_signs_doubled() {
        for text in ["", "%%", "a%%b", "\n\u{e9}"] {
            let pieces = pieces(text, Options::default()).unwrap();
            assert!(pieces.len() <= 1);
            let expected = text.replace("%%", "%");
            let literal = pieces.first().map(|piece| match piece {
                Piece::Literal(bytes) => bytes.to_vec(),
                Piece::Operation(_) => Vec::new(),
            });
            assert_eq!(literal.unwrap_or_default(), expected.as_bytes());
        }
        assert_eq!(pieces("a%DURATION%%DURATION%b%%", Options::default()).unwrap().len(), 4);
    }
}
