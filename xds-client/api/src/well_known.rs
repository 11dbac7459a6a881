//! Messages that have a form of their own in JSON.

use prost_types::{Duration, Timestamp};

/// The types of package `google.protobuf` that are not written as a map of their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WellKnown {
    /// A message with its type beside its fields.
    Any,
    /// `"1.500s"`
    Duration,
    /// `[…]`
    ListValue,
    /// `{…}`
    Struct,
    /// `"2026-01-02T03:04:05Z"`
    Timestamp,
    /// Anything.
    Value,
    /// A number, boolean or text that can be absent.
    Wrapper,
}

impl WellKnown {
    /// The well-known type with this full name.
    pub(crate) fn of(full_name: &str) -> Option<Self> {
        match full_name.strip_prefix("google.protobuf.")? {
            "Any" => Some(Self::Any),
            "Duration" => Some(Self::Duration),
            "ListValue" => Some(Self::ListValue),
            "Struct" => Some(Self::Struct),
            "Timestamp" => Some(Self::Timestamp),
            "Value" => Some(Self::Value),
            "BoolValue" | "BytesValue" | "DoubleValue" | "FloatValue" | "Int32Value"
            | "Int64Value" | "StringValue" | "UInt32Value" | "UInt64Value" => Some(Self::Wrapper),
            _ => None,
        }
    }
}

/// A duration as text: seconds with up to nine digits of a fraction, and `s`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    // Further digits would be cut off in silence.
    if fraction.len() > "123456789s".len() {
        return None;
    }
    text.parse().ok().filter(is_valid_duration)
}

/// A moment as text, as RFC 3339 writes it.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(is_valid_timestamp)
}

/// True within ±10,000 years and with parts of the same sign. (google: protobuf.Duration)
pub(crate) fn is_valid_duration(duration: &Duration) -> bool {
    let Duration { seconds, nanos } = *duration;
    const SECONDS_MAX: i64 = 315_576_000_000;
    (-SECONDS_MAX..=SECONDS_MAX).contains(&seconds)
        && (-999_999_999..=999_999_999).contains(&nanos)
        && (seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0))
}

/// True from year 1 to year 9999. (google: protobuf.Timestamp)
pub(crate) fn is_valid_timestamp(timestamp: &Timestamp) -> bool {
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;
    (FIRST..=LAST).contains(&timestamp.seconds) && (0..1_000_000_000).contains(&timestamp.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds() {
        let duration = |seconds, nanos| Some(Duration { seconds, nanos });
        for (text, expected) in [
            ("1s", duration(1, 0)),
            ("1.5s", duration(1, 500_000_000)),
            ("-0.000000001s", duration(0, -1)),
            ("315576000000s", duration(315_576_000_000, 0)),
            ("315576000001s", None),
            ("99999999999999999999s", None),
            ("1.0000000001s", None),
            ("1", None),
            ("1ms", None),
            ("1.s", None),
            (".5s", None),
            ("s", None),
            ("", None),
            (" 1s", None),
            ("1s ", None),
        ] {
            assert_eq!(super::duration(text), expected, "{text}");
        }
    }

    #[test]
    fn values_beyond_the_limits_are_no_durations_and_no_times() {
        for (seconds, nanos, expected) in [
            (0, 0, true),
            (-1, -1, true),
            (-1, 1, false),
            (1, 1_000_000_000, false),
            (i64::MIN, 0, false),
            (0, i32::MIN, false),
        ] {
            assert_eq!(is_valid_duration(&Duration { seconds, nanos }), expected);
        }
        for (text, expected) in [
            ("2020-01-02T03:04:05.5+01:00", Some((1_577_930_645, 500_000_000))),
            ("0001-01-01T00:00:00Z", Some((-62_135_596_800, 0))),
            ("9999-12-31T23:59:59Z", Some((253_402_300_799, 0))),
            ("+10000-01-01T00:00:00Z", None),
            ("yesterday", None),
        ] {
            let found = timestamp(text).map(|time| (time.seconds, time.nanos));
            assert_eq!(found, expected, "{text}");
        }
    }
}
