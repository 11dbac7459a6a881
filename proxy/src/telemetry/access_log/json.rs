//! JSON lines: the shape of `json_format`, whose strings are format strings. (envoy: SubstitutionFormatString.json_format)
//!
//! A string that is one operator and nothing else keeps the operator's type: a number stays one, and what is missing is `null`. Keys stand in
//! byte order, whatever the order of the configuration.

use super::escape;
use super::format::{FormatError, Options, Piece, pieces};
use super::operators::{Operation, Wrote};
use super::record::Record;

/// A compiled JSON line.
#[derive(Debug)]
pub struct JsonFormat {
    members: Box<[Member]>,
    omits_empty: bool,
}

/// A value of a JSON line.
#[derive(Debug)]
pub struct Node(Kind);

#[derive(Debug)]
struct Member {
    /// With a comma before it, quotes and colon.
    key: Box<[u8]>,
    value: Node,
}

#[derive(Debug)]
enum Kind {
    Null,
    /// A number, a boolean or a text without operators, as it is written.
    Literal(Box<[u8]>),
    /// One operator.
    Typed(Operation),
    /// Several pieces; the literal ones are escaped.
    Text(Box<[Piece]>, &'static [u8]),
    Object(Box<[Member]>),
    List(Box<[Node]>),
}

impl Node {
    /// `null`.
    #[must_use]
    pub const fn null() -> Self {
        Self(Kind::Null)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn bool(value: bool) -> Self {
        let text: &[u8] = if value { b"true" } else { b"false" };
        Self(Kind::Literal(text.into()))
    }

    /// A number; what JSON has no number for is `null`.
    #[must_use]
    pub fn number(value: f64) -> Self {
        if value.is_finite() {
            Self(Kind::Literal(shortest(value).into_bytes().into()))
        } else {
            Self::null()
        }
    }

    /// A format string.
    ///
    /// # Errors
    /// If it does not compile.
    pub fn text(text: &str, options: Options) -> Result<Self, FormatError> {
        let mut pieces = pieces(text, options)?;
        for piece in &mut pieces {
            if let Piece::Literal(text) = piece {
                let mut escaped = std::mem::take(text).into_vec();
                escape::json(&mut escaped, 0);
                *text = escaped.into();
            }
        }
        let empty: &[u8] = if options.omit_empty_values { b"" } else { b"-" };
        Ok(Self(match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece::Operation(operation)]) => Kind::Typed(operation),
            Ok([Piece::Literal(text)]) => Kind::Literal([b"\"", &*text, b"\""].concat().into()),
            Err(pieces) if pieces.is_empty() => Kind::Literal(b"\"\"".as_slice().into()),
            Err(pieces) => Kind::Text(pieces.into(), empty),
        }))
    }

    /// An object.
    #[must_use]
    pub fn object(members: Vec<(String, Self)>) -> Self {
        Self(Kind::Object(sorted(members)))
    }

    /// A list.
    #[must_use]
    pub fn list(nodes: Vec<Self>) -> Self {
        Self(Kind::List(nodes.into()))
    }

    /// Appends the value; false if it is `null`, or an object of nothing else, and is to be omitted.
    fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, omits_empty: bool) -> bool {
        let is_there = match &self.0 {
            Kind::Null => false,
            Kind::Literal(text) => {
                out.extend_from_slice(text);
                true
            }
            Kind::Typed(operation) => write_typed(operation, out, record),
            Kind::Text(pieces, empty) => {
                write_text(pieces, empty, out, record);
                true
            }
            Kind::Object(members) => {
                return write_object(members, out, record, omits_empty) || !omits_empty;
            }
            Kind::List(nodes) => {
                write_list(nodes, out, record, omits_empty);
                true
            }
        };
        if !is_there && !omits_empty {
            out.extend_from_slice(b"null");
        }
        is_there || !omits_empty
    }
}

impl JsonFormat {
    /// An object with these members. `omits_empty` leaves out what is `null`, and objects of nothing else.
    #[must_use]
    pub fn new(members: Vec<(String, Node)>, omits_empty: bool) -> Self {
        Self { members: sorted(members), omits_empty }
    }

    /// Appends the object without a line break, as the body of a local reply has it.
    pub fn write_object(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        write_object(&self.members, out, record, self.omits_empty);
    }

    /// Appends the line.
    pub fn write(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        self.write_object(out, record);
        out.push(b'\n');
    }
}

fn sorted(mut members: Vec<(String, Node)>) -> Box<[Member]> {
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    let member = |(key, value): (String, Node)| {
        let mut quoted = [b",\"", key.as_bytes()].concat();
        escape::json(&mut quoted, 2);
        quoted.extend_from_slice(b"\":");
        Member { key: quoted.into(), value }
    };
    members.into_iter().map(member).collect()
}

/// False if the operator has no value; then nothing is written.
#[inline]
fn write_typed(operation: &Operation, out: &mut Vec<u8>, record: &Record<'_>) -> bool {
    if operation.is_number() {
        return operation.write(record, out) != Wrote::Nothing;
    }
    let start = out.len();
    out.push(b'"');
    match operation.write(record, out) {
        Wrote::Text => {
            operation.cut(out, start + 1);
            escape::json(out, start + 1);
        }
        Wrote::Plain => operation.cut(out, start + 1),
        Wrote::Number | Wrote::Json => {
            out.remove(start);
            return true;
        }
        Wrote::Nothing => {
            out.truncate(start);
            return false;
        }
    }
    out.push(b'"');
    true
}

fn write_text(pieces: &[Piece], empty: &[u8], out: &mut Vec<u8>, record: &Record<'_>) {
    out.push(b'"');
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text),
            Piece::Operation(operation) => {
                let start = out.len();
                match operation.write(record, out) {
                    Wrote::Nothing => out.extend_from_slice(empty),
                    Wrote::Number => {}
                    Wrote::Plain => operation.cut(out, start),
                    Wrote::Text | Wrote::Json => {
                        operation.cut(out, start);
                        escape::json(out, start);
                    }
                }
            }
        }
    }
    out.push(b'"');
}

/// False if no member was written.
fn write_object(
    members: &[Member],
    out: &mut Vec<u8>,
    record: &Record<'_>,
    omits_empty: bool,
) -> bool {
    out.push(b'{');
    let mut has_members = false;
    for member in members {
        let before = out.len();
        let comma = usize::from(!has_members);
        out.extend_from_slice(member.key.get(comma..).unwrap_or_default());
        // Nearly all members are one operator, which is worth a shorter way.
        let is_written = match &member.value.0 {
            Kind::Typed(operation) => {
                let is_there = write_typed(operation, out, record);
                if !is_there && !omits_empty {
                    out.extend_from_slice(b"null");
                }
                is_there || !omits_empty
            }
            _ => member.value.write(out, record, omits_empty),
        };
        if is_written {
            has_members = true;
        } else {
            out.truncate(before);
        }
    }
    out.push(b'}');
    has_members
}

fn write_list(nodes: &[Node], out: &mut Vec<u8>, record: &Record<'_>, omits_empty: bool) {
    out.push(b'[');
    let begin = out.len();
    for node in nodes {
        let before = out.len();
        if before > begin {
            out.push(b',');
        }
        if !node.write(out, record, omits_empty) {
            out.truncate(before);
        }
    }
    out.push(b']');
}

/// The shortest text of a number, plain or with an exponent: Envoy's. (C++: std::to_chars)
fn shortest(value: f64) -> String {
    let scientific = format!("{value:e}");
    let scientific = match scientific.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => scientific,
    };
    // Up to here every whole number is exact in an i128, and beyond it the exponent is shorter.
    #[expect(clippy::cast_possible_truncation, reason = "in range")]
    let plain = match value.fract() == 0.0 && value.abs() < 1e23 && value != 0.0 {
        true => (value as i128).to_string(),
        false => format!("{value}"),
    };
    if plain.len() <= scientific.len() { plain } else { scientific }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_envoy_does() {
        // Recorded from Envoy 1.40.
        for (value, expected) in [
            (1e20, "1e+20"),
            (1e-7, "1e-07"),
            (0.1, "0.1"),
            (123_456_789.125, "123456789.125"),
            (1e16, "1e+16"),
            (-1e19, "-1e+19"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (-0.0, "-0"),
            (0.0, "0"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1.0, "1"),
            (100_000.5, "100000.5"),
            (9_223_372_036_854_775_808.0, "9223372036854775808"),
            (18_446_744_073_709_551_616.0, "18446744073709551616"),
            (0.1 + 0.2, "0.30000000000000004"),
            (123_456_789_012_345.67, "123456789012345.67"),
            (1e5, "1e+05"),
            (1.234_567_8e14, "1.2345678e+14"),
            (0.0001, "1e-04"),
            (2.5e15, "2.5e+15"),
            (-2.0, "-2"),
        ] {
            assert_eq!(shortest(value), expected);
        }
        assert!(matches!(Node::number(f64::NAN).0, Kind::Null));
    }
}
