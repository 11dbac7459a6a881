//! `%START_TIME(%Y-%m-%d %H:%M:%S.%3f)%`: formats of moments, compiled. (envoy: `DateFormatter`, over `absl::FormatTime`)
//!
//! Conversions are strftime's, with `-`, `_` and `0` for their padding, Envoy's `%f` and `%1f` to `%9f`, and those of Abseil that begin
//! with `%E`. One that nobody knows is refused; Envoy would write it as it stands.

use std::cell::Cell;

use super::calendar::{Date, Moment};
use super::zone::Zone;

/// A format of moments.
#[derive(Debug)]
pub(super) struct TimeFormat(Box<[Part]>);

#[derive(Debug)]
enum Part {
    Literal(Box<str>),
    Number(Number, Pad),
    Name(Name),
    /// Digits of the second's fraction.
    Fraction(u8),
    /// The offset from UTC, with or without colons.
    Offset(Colons),
    Zone,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Year,
    Century,
    YearOfCentury,
    IsoYear,
    IsoYearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Minute,
    Second,
    Weekday,
    IsoWeekday,
    WeekFromSunday,
    WeekFromMonday,
    IsoWeek,
    Epoch,
}

#[derive(Clone, Copy, Debug)]
enum Name {
    Weekday,
    ShortWeekday,
    Month,
    ShortMonth,
    UpperHalf,
    LowerHalf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colons {
    None,
    Minutes,
    Seconds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pad {
    No,
    Zero(u8),
    Space(u8),
}

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Digits of a nanosecond.
const FRACTION: u8 = 9;

impl TimeFormat {
    /// Compiles a format.
    ///
    /// # Errors
    /// What it has that cannot be written.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut parts = Parts::default();
        parts.compile(text)?;
        parts.end_literal();
        Ok(Self(parts.done.into()))
    }

    /// Appends the moment as clocks of the zone show it.
    pub(super) fn write(&self, moment: Moment, zone: &Zone, out: &mut Vec<u8>) {
        let local = zone.at(moment.seconds);
        let date = Date::at(moment.seconds.saturating_add(local.offset.into()));
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Number(number, pad) => {
                    write_number(number.of(&date, moment.seconds), *pad, out);
                }
                Part::Name(name) => out.extend_from_slice(name.of(&date).as_bytes()),
                Part::Fraction(digits) => write_fraction(moment.nanos, *digits, out),
                Part::Offset(colons) => write_offset(local.offset, *colons, out),
                Part::Zone => out.extend_from_slice(local.name.as_bytes()),
            }
        }
    }
}

#[derive(Default)]
struct Parts {
    done: Vec<Part>,
    literal: String,
}

impl Parts {
    fn compile(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            self.literal.push_str(before);
            rest = self.conversion(after)?;
        }
        self.literal.push_str(rest);
        Ok(())
    }

    /// One conversion at the begin of `text`; answers with what follows it.
    fn conversion<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let mut chars = text.chars();
        let Some(first) = chars.next() else {
            self.literal.push('%');
            return Ok("");
        };
        match first {
            '%' => self.literal.push('%'),
            'n' => return Err("would break the line by %n".to_owned()),
            'E' => return self.extended(chars.as_str()),
            '1'..='9' if chars.as_str().starts_with('f') => {
                chars.next();
                let digits = first.to_digit(10).and_then(|digits| u8::try_from(digits).ok());
                self.push(Part::Fraction(digits.unwrap_or(FRACTION)));
            }
            '-' | '_' | '0' => {
                let conversion = chars.next().unwrap_or_default();
                let Some((number, pad)) = number(conversion) else {
                    return Err(unknown(&format!("%{first}{conversion}")));
                };
                let width = match pad {
                    Pad::No => 0,
                    Pad::Zero(width) | Pad::Space(width) => width,
                };
                self.push(Part::Number(
                    number,
                    match first {
                        '-' => Pad::No,
                        '_' => Pad::Space(width),
                        _ => Pad::Zero(width),
                    },
                ));
            }
            _ => self.plain(first)?,
        }
        Ok(chars.as_str())
    }

    fn plain(&mut self, conversion: char) -> Result<(), String> {
        if let Some((number, pad)) = number(conversion) {
            self.push(Part::Number(number, pad));
            return Ok(());
        }
        match conversion {
            'A' => self.push(Part::Name(Name::Weekday)),
            'a' => self.push(Part::Name(Name::ShortWeekday)),
            'B' => self.push(Part::Name(Name::Month)),
            'b' | 'h' => self.push(Part::Name(Name::ShortMonth)),
            'p' => self.push(Part::Name(Name::UpperHalf)),
            'P' => self.push(Part::Name(Name::LowerHalf)),
            'f' => self.push(Part::Fraction(FRACTION)),
            'z' => self.push(Part::Offset(Colons::None)),
            'Z' => self.push(Part::Zone),
            't' => self.literal.push('\t'),
            'c' => self.compile("%a %b %e %H:%M:%S %Y")?,
            'D' | 'x' => self.compile("%m/%d/%y")?,
            'F' => self.compile("%Y-%m-%d")?,
            'T' | 'X' => self.compile("%H:%M:%S")?,
            'R' => self.compile("%H:%M")?,
            'r' => self.compile("%I:%M:%S %p")?,
            other => return Err(unknown(&format!("%{other}"))),
        }
        Ok(())
    }

    /// What follows `%E`.
    fn extended<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let mut chars = text.chars();
        let first = chars.next().unwrap_or_default();
        match first {
            'T' => self.literal.push('T'),
            'z' => self.push(Part::Offset(Colons::Minutes)),
            _ => {
                let second = chars.next().unwrap_or_default();
                let digits = first.to_digit(10).and_then(|digits| u8::try_from(digits).ok());
                match (first, digits, second) {
                    ('*', _, 'z') => self.push(Part::Offset(Colons::Seconds)),
                    ('4', _, 'Y') => self.push(Part::Number(Number::Year, Pad::Zero(4))),
                    (_, Some(digits), 'f') => self.push(Part::Fraction(digits)),
                    (_, Some(digits), 'S') => {
                        self.push(Part::Number(Number::Second, Pad::Zero(2)));
                        if digits > 0 {
                            self.literal.push('.');
                            self.push(Part::Fraction(digits));
                        }
                    }
                    _ => {
                        let conversion = format!("%E{first}{second}");
                        return Err(unknown(&conversion));
                    }
                }
            }
        }
        Ok(chars.as_str())
    }

    fn push(&mut self, part: Part) {
        self.end_literal();
        self.done.push(part);
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.done.push(Part::Literal(std::mem::take(&mut self.literal).into()));
        }
    }
}

fn unknown(conversion: &str) -> String {
    format!("knows no time conversion '{}'", conversion.escape_debug())
}

/// The conversions that are numbers, and how they are padded.
const fn number(conversion: char) -> Option<(Number, Pad)> {
    Some(match conversion {
        'Y' => (Number::Year, Pad::No),
        'C' => (Number::Century, Pad::Zero(2)),
        'y' => (Number::YearOfCentury, Pad::Zero(2)),
        'G' => (Number::IsoYear, Pad::No),
        'g' => (Number::IsoYearOfCentury, Pad::Zero(2)),
        'm' => (Number::Month, Pad::Zero(2)),
        'd' => (Number::Day, Pad::Zero(2)),
        'e' => (Number::Day, Pad::Space(2)),
        'j' => (Number::DayOfYear, Pad::Zero(3)),
        'H' => (Number::Hour, Pad::Zero(2)),
        'k' => (Number::Hour, Pad::Space(2)),
        'I' => (Number::Hour12, Pad::Zero(2)),
        'l' => (Number::Hour12, Pad::Space(2)),
        'M' => (Number::Minute, Pad::Zero(2)),
        'S' => (Number::Second, Pad::Zero(2)),
        'w' => (Number::Weekday, Pad::No),
        'u' => (Number::IsoWeekday, Pad::No),
        'U' => (Number::WeekFromSunday, Pad::Zero(2)),
        'W' => (Number::WeekFromMonday, Pad::Zero(2)),
        'V' => (Number::IsoWeek, Pad::Zero(2)),
        's' => (Number::Epoch, Pad::No),
        _ => return None,
    })
}

impl Number {
    fn of(self, date: &Date, epoch: i64) -> i64 {
        match self {
            Self::Year => date.year,
            Self::Century => date.year.div_euclid(100),
            Self::YearOfCentury => date.year.rem_euclid(100),
            Self::IsoYear => date.iso_week().0,
            Self::IsoYearOfCentury => date.iso_week().0.rem_euclid(100),
            Self::Month => date.month.into(),
            Self::Day => date.day.into(),
            Self::DayOfYear => i64::from(date.day_of_year) + 1,
            Self::Hour => date.hour.into(),
            Self::Hour12 => i64::from((date.hour + 11) % 12) + 1,
            Self::Minute => date.minute.into(),
            Self::Second => date.second.into(),
            Self::Weekday => date.weekday.into(),
            Self::IsoWeekday => i64::from((date.weekday + 6) % 7) + 1,
            Self::WeekFromSunday => date.week(0).into(),
            Self::WeekFromMonday => date.week(1).into(),
            Self::IsoWeek => date.iso_week().1.into(),
            Self::Epoch => epoch,
        }
    }
}

impl Name {
    fn of(self, date: &Date) -> &'static str {
        let weekday = WEEKDAYS.get(usize::from(date.weekday)).copied().unwrap_or_default();
        let month = MONTHS.get(usize::from(date.month) - 1).copied().unwrap_or_default();
        let half = |names: (&'static str, &'static str)| {
            if date.hour < 12 { names.0 } else { names.1 }
        };
        match self {
            Self::Weekday => weekday,
            Self::ShortWeekday => weekday.get(..3).unwrap_or_default(),
            Self::Month => month,
            Self::ShortMonth => month.get(..3).unwrap_or_default(),
            Self::UpperHalf => half(("AM", "PM")),
            Self::LowerHalf => half(("am", "pm")),
        }
    }
}

fn write_number(number: i64, pad: Pad, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    let (fill, width) = match pad {
        Pad::No => (b'0', 0),
        Pad::Zero(width) => (b'0', width),
        Pad::Space(width) => (b' ', width),
    };
    for _ in digits.len()..usize::from(width) {
        out.push(fill);
    }
    out.extend_from_slice(digits.as_bytes());
}

fn write_fraction(nanos: u32, digits: u8, out: &mut Vec<u8>) {
    let kept = nanos / 10_u32.pow(u32::from(FRACTION.saturating_sub(digits)));
    write_number(kept.into(), Pad::Zero(digits), out);
}

fn write_offset(seconds: i32, colons: Colons, out: &mut Vec<u8>) {
    out.push(if seconds < 0 { b'-' } else { b'+' });
    let seconds = i64::from(seconds.unsigned_abs());
    write_number(seconds / 3_600, Pad::Zero(2), out);
    if colons != Colons::None {
        out.push(b':');
    }
    write_number(seconds / 60 % 60, Pad::Zero(2), out);
    if colons == Colons::Seconds {
        out.push(b':');
        write_number(seconds % 60, Pad::Zero(2), out);
    }
}

thread_local! {
    /// The second that was written last, as text.
    static LAST: Cell<(i64, [u8; 19])> = const { Cell::new((i64::MIN, [0; 19])) };
}

/// Appends `2026-11-22T19:00:03.103Z`, the form of a time without a format. A worker formats each second once.
pub(super) fn write_default(moment: Moment, out: &mut Vec<u8>) {
    let (second, text) = LAST.get();
    if second == moment.seconds {
        out.extend_from_slice(&text);
    } else {
        let start = out.len();
        write_second(&Date::at(moment.seconds), out);
        if let Ok(text) = out.get(start..).unwrap_or_default().try_into() {
            LAST.set((moment.seconds, text));
        }
    }
    out.push(b'.');
    write_fraction(moment.nanos, 3, out);
    out.push(b'Z');
}

fn write_second(date: &Date, out: &mut Vec<u8>) {
    write_number(date.year, Pad::Zero(4), out);
    for (before, number) in [
        (b'-', date.month),
        (b'-', date.day),
        (b'T', date.hour),
        (b':', date.minute),
        (b':', date.second),
    ] {
        out.push(before);
        write_number(number.into(), Pad::Zero(2), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment = Moment { seconds: 1_795_374_206, nanos: 319_691_000 };

    fn write(format: &str, moment: Moment, zone: &Zone) -> String {
        let mut out = Vec::new();
        TimeFormat::compile(format).unwrap().write(moment, zone, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_written_as_envoy_does() {
        // Recorded from Envoy 1.40 at this moment.
        for (format, expected) in [
            ("%A %a %B %b %h", "Sunday Sun November Nov Nov"),
            ("%C %y %Y %G %g %E4Y", "20 26 2026 2026 26 2026"),
            (
                "%c|%x|%X|%D|%F|%T|%R|%r",
                "Sun Nov 22 19:03:26 2026|11/22/26|19:03:26|11/22/26|2026-11-22|19:03:26|19:03|07:03:26 PM",
            ),
            ("%d %e %m %j", "22 22 11 326"),
            ("%H %I %k %l %M %S %p %P", "19 07 19  7 03 26 PM pm"),
            ("%U %V %W %u %w", "47 47 46 7 0"),
            ("%s.%3f|%6f|%9f|%f|%1f", "1795374206.319|319691|319691000|319691000|3"),
            ("%E0S %E3S %E9S %E3f", "26 26.319 26.319691000 319"),
            ("%z %Z %Ez %E*z", "+0000 UTC +00:00 +00:00:00"),
            ("%FT%T.%fZ \u{e9} x", "2026-11-22T19:03:26.319691000Z \u{e9} x"),
            ("%ET%t%%|%", "T\t%|%"),
            ("%-d %_d %0e", "22 22 22"),
            ("abc%", "abc%"),
            ("", ""),
        ] {
            assert_eq!(write(format, MOMENT, Zone::utc()), expected, "{format}");
        }
        let early = Moment { seconds: 86_400 * 36 + 3_723, nanos: 0 };
        let text = write("%-d|%_d|%d|%e|%-H|%_m|%l|%I|%-j", early, Zone::utc());
        assert_eq!(text, "6| 6|06| 6|1| 2| 1|01|37");
    }

    #[test]
    fn unknown_conversions_are_refused() {
        for (format, expected) in [
            ("%Q", "knows no time conversion '%Q'"),
            ("%n", "would break the line by %n"),
            ("%-A", "knows no time conversion '%-A'"),
            ("%12f", "knows no time conversion '%1'"),
            ("%EY", "knows no time conversion '%EY\\0'"),
            ("%\u{1b}", "knows no time conversion '%\\u{1b}'"),
        ] {
            assert_eq!(TimeFormat::compile(format).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_default_form_is_that_of_its_conversions() {
        for seconds in [0, 1_795_374_206, 1_795_374_206, 253_402_300_800, -62_167_219_201] {
            let moment = Moment { seconds, nanos: 7_999_999 };
            let mut out = Vec::new();
            write_default(moment, &mut out);
            let expected = write("%E4Y-%m-%dT%H:%M:%S.%3fZ", moment, Zone::utc());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
