//! The header `grpc-timeout`: eight digits at most and a unit.
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>)

use smallvec::SmallVec;

use crate::head::integer;

/// The greatest value of eight digits.
const GREATEST: u64 = 99_999_999;

/// The timeout in milliseconds, rounded up; `None` if the value does not follow the grammar.
pub(super) fn parse_ms(value: &[u8]) -> Option<u64> {
    let (unit, number) = value.split_last()?;
    let number = integer(number).filter(|number| *number <= GREATEST)?;
    match unit {
        b'H' => Some(number * 3_600_000),
        b'M' => Some(number * 60_000),
        b'S' => Some(number * 1000),
        b'm' => Some(number),
        b'u' => Some(number.div_ceil(1000)),
        b'n' => Some(number.div_ceil(1_000_000)),
        _ => None,
    }
}

/// Milliseconds if they fit in eight digits, else the smallest unit that does, rounded down.
pub(super) fn format(ms: u64) -> SmallVec<[u8; 16]> {
    let units = [(b'm', 1), (b'S', 1000), (b'M', 60_000), (b'H', 3_600_000)];
    let fitting = units.into_iter().find(|(_, size)| ms / size <= GREATEST);
    let (unit, number) = fitting.map_or((b'H', GREATEST), |(unit, size)| (unit, ms / size));
    let mut text = SmallVec::from_slice(itoa::Buffer::new().format(number).as_bytes());
    text.push(unit);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_every_unit_and_nothing_else_is() {
        for (text, ms) in [
            ("0H", Some(0)),
            ("1H", Some(3_600_000)),
            ("1M", Some(60_000)),
            ("1S", Some(1000)),
            ("12345678m", Some(12_345_678)),
            ("1000001u", Some(1001)),
            ("1n", Some(1)),
            ("99999999H", Some(359_999_996_400_000)),
            ("100000000m", None),
            ("1s", None),
            ("123", None),
            ("S", None),
            ("-1S", None),
            ("", None),
            ("1\u{e9}", None),
        ] {
            assert_eq!(parse_ms(text.as_bytes()), ms, "{text}");
        }
    }

    #[test]
    fn values_are_written_in_eight_digits() {
        for (ms, text) in [
            (0, "0m"),
            (99_999_999, "99999999m"),
            (100_000_999, "100000S"),
            (99_999_999_999, "99999999S"),
            (100_000_000_000, "1666666M"),
            (359_999_996_400_000, "99999999H"),
            (u64::MAX, "99999999H"),
        ] {
            assert_eq!(format(ms).as_slice(), text.as_bytes());
            assert!(parse_ms(text.as_bytes()).unwrap() <= ms);
        }
    }
}
