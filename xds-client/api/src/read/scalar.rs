//! What a scalar means, by the type of the field that it is for.
//!
//! The rules are Envoy's, found by running it: YAML goes through yaml-cpp, whose idea of numbers and
//! booleans is older than YAML 1.2, then through protobuf's JSON parser, which takes numbers from
//! strings. One deliberate difference: a name that looks like a number or a boolean is still a name, so
//! `cluster: 0777` needs no quotes here and does in Envoy.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::tree::Scalar;

/// Accepts a missing padding and bits that are set and mean nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How a document resolves scalars that are for no field: values of a `Struct`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// As protobuf's JSON parser.
    Json,
    /// As Envoy's YAML loader, for which a fraction is text.
    Yaml,
}

/// A scalar that is for no field. (google: protobuf.Value)
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Untyped {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

/// A boolean: the words of YAML 1.1, in any case.
pub(crate) fn boolean(scalar: &Scalar) -> Option<bool> {
    let is = |word: &&str| scalar.text.eq_ignore_ascii_case(word);
    if ["true", "yes", "on", "y"].iter().any(is) {
        Some(true)
    } else if ["false", "no", "off", "n"].iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// A whole number: decimal, hexadecimal after `0x`, octal after `0` unless quoted, or a fraction or
/// power of ten that is whole.
pub(crate) fn integer(scalar: &Scalar) -> Option<i128> {
    radix_integer(scalar).or_else(|| {
        let number = decimal(&scalar.text)?;
        // Every whole number below this is what it says; beyond, no field is as wide.
        (number.fract() == 0.0 && number.abs() < 1e20).then_some(number as i128)
    })
}

/// A fraction, or one of `NaN`, `Infinity` and `-Infinity`.
pub(crate) fn float(scalar: &Scalar) -> Option<f64> {
    match &*scalar.text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        text => match radix_integer(scalar) {
            Some(integer) => Some(integer as f64),
            None => decimal(text).filter(|number| number.is_finite()),
        },
    }
}

/// Bytes in base64, with either alphabet.
pub(crate) fn bytes(scalar: &Scalar) -> Option<Vec<u8>> {
    let standard: String = scalar
        .text
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    BASE64.decode(standard).ok()
}

/// A scalar in a `Struct`, or none if it is a number beyond all limits.
pub(crate) fn untyped(scalar: &Scalar, syntax: Syntax) -> Option<Untyped> {
    let text = &*scalar.text;
    if !scalar.plain {
        return Some(Untyped::Text(text.into()));
    }
    if scalar.is_null() {
        return Some(Untyped::Null);
    }
    match syntax {
        Syntax::Json => match text {
            "true" => Some(Untyped::Bool(true)),
            "false" => Some(Untyped::Bool(false)),
            _ => match decimal(text) {
                Some(number) => number.is_finite().then_some(Untyped::Number(number)),
                None => Some(Untyped::Text(text.into())),
            },
        },
        Syntax::Yaml => Some(yaml(scalar)),
    }
}

/// Envoy makes a number of an integer of 32 bits only; it has longer ones as decimal text, and
/// fractions as they are written.
fn yaml(scalar: &Scalar) -> Untyped {
    if let Some(bool) = boolean(scalar).filter(|_| is_one_case(&scalar.text)) {
        return Untyped::Bool(bool);
    }
    match radix_integer(scalar).map(i64::try_from) {
        Some(Ok(integer)) => match i32::try_from(integer) {
            Ok(small) => Untyped::Number(small.into()),
            Err(_) => Untyped::Text(integer.to_string()),
        },
        _ => Untyped::Text(scalar.text.to_string()),
    }
}

/// True for `true`, `True` and `TRUE`, not for `tRUE`.
fn is_one_case(text: &str) -> bool {
    let rest = text.get(1..).unwrap_or_default();
    let lower = |c: char| c.is_ascii_lowercase();
    let upper = |c: char| c.is_ascii_uppercase();
    rest.chars().all(lower) || text.chars().all(upper)
}

fn radix_integer(scalar: &Scalar) -> Option<i128> {
    let text = &*scalar.text;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match hex {
        Some(hex) => (16, hex),
        None if scalar.plain && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

/// A decimal number as JSON writes it, with or without a sign; not the words that Rust also takes.
fn decimal(text: &str) -> Option<f64> {
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-' | b'e' | b'E');
    if !text.bytes().all(numeric) || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str) -> Scalar {
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Scalar { text: quoted.unwrap_or(text).into(), plain: quoted.is_none() }
    }

    #[test]
    fn integers_are_what_envoy_makes_of_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("+5", Some(5)),
            ("0777", Some(511)),
            ("\"0777\"", Some(777)),
            ("089", Some(89)),
            ("0x1F", Some(31)),
            ("\"0x10\"", Some(16)),
            ("5.0", Some(5)),
            ("1e2", Some(100)),
            ("\"1e2\"", Some(100)),
            ("18446744073709551615", Some(u64::MAX.into())),
            ("-9223372036854775808", Some(i64::MIN.into())),
            ("1.5", None),
            ("0o17", None),
            ("1_000", None),
            ("\" 5\"", None),
            ("", None),
            ("-", None),
            ("--5", None),
            ("+-5", None),
            ("0x", None),
            ("0x-5", None),
            ("1e999", None),
            ("yes", None),
            ("inf", None),
            ("NaN", None),
            ("99999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(integer(&scalar(text)), expected, "{text}");
        }
    }

    #[test]
    fn fractions_and_the_words_for_what_is_none() {
        for (text, expected) in [
            ("33.3", Some(33.3)),
            ("-1e-3", Some(-0.001)),
            ("\"0.5\"", Some(0.5)),
            ("010", Some(8.0)),
            ("Infinity", Some(f64::INFINITY)),
            ("\"-Infinity\"", Some(f64::NEG_INFINITY)),
            ("inf", None),
            (".inf", None),
            ("1e400", None),
            ("1.2.3", None),
            ("e", None),
        ] {
            assert_eq!(float(&scalar(text)), expected, "{text}");
        }
        assert!(float(&scalar("NaN")).is_some_and(f64::is_nan));
    }

    #[test]
    fn booleans_are_the_words_of_yaml_1_1() {
        for (text, expected) in [
            ("true", Some(true)),
            ("TRUE", Some(true)),
            ("\"true\"", Some(true)),
            ("yes", Some(true)),
            ("On", Some(true)),
            ("n", Some(false)),
            ("off", Some(false)),
            ("1", None),
            ("0", None),
            ("truee", None),
            ("", None),
        ] {
            assert_eq!(boolean(&scalar(text)), expected, "{text}");
        }
    }

    #[test]
    fn values_of_a_struct_depend_on_the_syntax() {
        use Untyped::{Bool, Null, Number, Text};
        let text = |text: &str| Text(text.into());
        for (value, yaml, json) in [
            ("null", Null, Null),
            ("", Null, Null),
            ("\"null\"", text("null"), text("null")),
            ("true", Bool(true), Bool(true)),
            ("yes", Bool(true), text("yes")),
            ("tRUE", text("tRUE"), text("tRUE")),
            ("\"1\"", text("1"), text("1")),
            ("-5", Number(-5.0), Number(-5.0)),
            ("0777", Number(511.0), Number(777.0)),
            ("1.5", text("1.5"), Number(1.5)),
            ("1e3", text("1e3"), Number(1000.0)),
            ("3000000000", text("3000000000"), Number(3e9)),
            ("9223372036854775808", text("9223372036854775808"), Number(9223372036854775808.0)),
            ("2001-01-01", text("2001-01-01"), text("2001-01-01")),
            ("1_000", text("1_000"), text("1_000")),
            ("08", text("08"), Number(8.0)),
        ] {
            assert_eq!(untyped(&scalar(value), Syntax::Yaml), Some(yaml), "{value}");
            assert_eq!(untyped(&scalar(value), Syntax::Json), Some(json), "{value}");
        }
        assert_eq!(untyped(&scalar("1e400"), Syntax::Json), None);
    }

    #[test]
    fn bytes_come_in_either_alphabet_with_or_without_padding() {
        for (text, expected) in [
            ("/+8=", Some(vec![0xff, 0xef])),
            ("_-8", Some(vec![0xff, 0xef])),
            ("", Some(vec![])),
            ("a b", None),
            ("=", None),
            ("ä", None),
        ] {
            assert_eq!(bytes(&scalar(text)), expected, "{text}");
        }
    }
}
