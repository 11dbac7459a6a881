//! What a line looks like: spdlog's flags, as `--log-format` and `application_log_config` have them.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::component::{Component, Level};

/// Envoy's pattern.
pub const DEFAULT_PATTERN: &str = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

/// Something that is logged.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When.
    pub at: SystemTime,
    /// How much it matters.
    pub level: Level,
    /// Who says it.
    pub component: Component,
    /// Source file.
    pub file: &'a str,
    /// Line in it.
    pub line: u32,
    /// The message.
    pub message: &'a str,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    /// Line breaks in a message are escaped.
    escapes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Flag(Flag),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Message,
    MessageInJson,
    MessageOnOneLine,
    Level,
    LevelLetter,
    Component,
    Thread,
    Process,
    Year,
    ShortYear,
    Month,
    Day,
    Hour,
    Hour12,
    Minute,
    Second,
    AmPm,
    Millis,
    Micros,
    Nanos,
    EpochSeconds,
    Time,
    ShortTime,
    Date,
    Zone,
    File,
    Basename,
    Line,
    Place,
    Nothing,
}

impl Flag {
    const fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'v' => Self::Message,
            'j' => Self::MessageInJson,
            '_' => Self::MessageOnOneLine,
            'l' => Self::Level,
            'L' => Self::LevelLetter,
            'n' => Self::Component,
            't' => Self::Thread,
            'P' => Self::Process,
            'Y' => Self::Year,
            'C' => Self::ShortYear,
            'm' => Self::Month,
            'd' => Self::Day,
            'H' => Self::Hour,
            'I' => Self::Hour12,
            'M' => Self::Minute,
            'S' => Self::Second,
            'p' => Self::AmPm,
            'e' => Self::Millis,
            'f' => Self::Micros,
            'F' => Self::Nanos,
            'E' => Self::EpochSeconds,
            'T' | 'X' => Self::Time,
            'R' => Self::ShortTime,
            'D' | 'x' => Self::Date,
            'z' => Self::Zone,
            'g' => Self::File,
            's' => Self::Basename,
            '#' => Self::Line,
            '@' => Self::Place,
            // Colours, and the function's name, which is not kept.
            '^' | '$' | '!' => Self::Nothing,
            _ => return None,
        })
    }
}

impl Pattern {
    /// Compiles a pattern. A flag that there is not stays as it is written.
    #[must_use]
    pub fn text(pattern: &str, escapes: bool) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        compile(pattern, &mut text, &mut parts);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self { parts, escapes }
    }

    /// An object of names and patterns; what is written is a line of JSON.
    #[must_use]
    pub fn json(fields: &[(String, String)]) -> Self {
        let mut parts = Vec::new();
        let mut text = String::from("{");
        for (index, (name, pattern)) in fields.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\"{}\":\"", escaped(name));
            // `%v` must not end the string that it stands in.
            compile(&pattern.replace("%v", "%j"), &mut text, &mut parts);
            text.push('"');
        }
        text.push('}');
        parts.push(Part::Text(text));
        Self { parts, escapes: false }
    }

    /// Writes a line, without its end.
    pub fn write(&self, record: &Record<'_>, out: &mut String) {
        let clock = Clock::of(record.at);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Flag(flag) => self.flag(*flag, record, &clock, out),
            }
        }
    }

    fn flag(&self, flag: Flag, record: &Record<'_>, clock: &Clock, out: &mut String) {
        let Clock { year, month, day, hour, minute, second, nanos, epoch } = *clock;
        let basename = record.file.rsplit('/').next().unwrap_or(record.file);
        // Writing to a string cannot fail.
        let _ = match flag {
            Flag::Message if !self.escapes => write!(out, "{}", record.message),
            Flag::Message | Flag::MessageOnOneLine => {
                write!(out, "{}", record.message.replace('\n', "\\n"))
            }
            Flag::MessageInJson => write!(out, "{}", escaped(record.message)),
            Flag::Level => write!(out, "{}", record.level.as_str()),
            Flag::LevelLetter => {
                let letter = record.level.as_str().chars().next().unwrap_or('?');
                write!(out, "{}", letter.to_ascii_uppercase())
            }
            Flag::Component => write!(out, "{}", record.component.as_str()),
            Flag::Thread => write!(out, "{}", rustix::thread::gettid().as_raw_nonzero()),
            Flag::Process => write!(out, "{}", std::process::id()),
            Flag::Year => write!(out, "{year:04}"),
            Flag::ShortYear => write!(out, "{:02}", year % 100),
            Flag::Month => write!(out, "{month:02}"),
            Flag::Day => write!(out, "{day:02}"),
            Flag::Hour => write!(out, "{hour:02}"),
            Flag::Hour12 => write!(out, "{:02}", (hour + 11) % 12 + 1),
            Flag::Minute => write!(out, "{minute:02}"),
            Flag::Second => write!(out, "{second:02}"),
            Flag::AmPm => write!(out, "{}", if hour < 12 { "AM" } else { "PM" }),
            Flag::Millis => write!(out, "{:03}", nanos / 1_000_000),
            Flag::Micros => write!(out, "{:06}", nanos / 1_000),
            Flag::Nanos => write!(out, "{nanos:09}"),
            Flag::EpochSeconds => write!(out, "{epoch}"),
            Flag::Time => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            Flag::ShortTime => write!(out, "{hour:02}:{minute:02}"),
            Flag::Date => write!(out, "{month:02}/{day:02}/{:02}", year % 100),
            Flag::Zone => write!(out, "+00:00"),
            Flag::File => write!(out, "{}", record.file),
            Flag::Basename => write!(out, "{basename}"),
            Flag::Line => write!(out, "{}", record.line),
            Flag::Place => write!(out, "{}:{}", record.file, record.line),
            Flag::Nothing => Ok(()),
        };
    }
}

fn compile(pattern: &str, text: &mut String, parts: &mut Vec<Part>) {
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => text.push('%'),
            Some(letter) => match Flag::of(letter) {
                Some(flag) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(text)));
                    }
                    parts.push(Part::Flag(flag));
                }
                None => text.extend(['%', letter]),
            },
            None => text.push('%'),
        }
    }
}

/// A string's inside in JSON.
fn escaped(text: &str) -> String {
    let mut quoted = serde_json::Value::from(text).to_string();
    quoted.pop();
    quoted.drain(..1);
    quoted
}

/// A moment in UTC.
struct Clock {
    year: i64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    nanos: u32,
    epoch: u64,
}

impl Clock {
    fn of(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = since.as_secs();
        let (days, rest) = (epoch / 86_400, epoch % 86_400);
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            nanos: since.subsec_nanos(),
            epoch,
        }
    }
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar; years begin in March while it counts, so that the
/// leap day comes last.
fn civil(days: u64) -> (i64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (i64::try_from(year).unwrap_or(i64::MAX), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(pattern: &Pattern) -> String {
        let record = Record {
            at: UNIX_EPOCH + Duration::new(1_709_210_096, 7_008_009),
            level: Level::Warning,
            component: Component::Upstream,
            file: "proxy/src/upstream/host.rs",
            line: 7,
            message: "a \"b\"\nc",
        };
        let mut out = String::new();
        pattern.write(&record, &mut out);
        out
    }

    #[test]
    fn flags_are_spdlogs() {
        for (pattern, expected) in [
            (
                "[%Y-%m-%d %T.%e][%l][%n] [%g:%#]",
                "[2024-02-29 12:34:56.007][warning][upstream] [proxy/src/upstream/host.rs:7]",
            ),
            ("%Y-%m-%dT%T.%fZ\t%l", "2024-02-29T12:34:56.007008Z\twarning"),
            (
                "%L %s %@ %D %I%p %z %%",
                "W host.rs proxy/src/upstream/host.rs:7 02/29/24 12PM +00:00 %",
            ),
            ("%v", "a \"b\"\nc"),
            ("%_", "a \"b\"\\nc"),
            ("%j", "a \\\"b\\\"\\nc"),
            ("%Q%", "%Q%"),
        ] {
            assert_eq!(line(&Pattern::text(pattern, false)), expected, "{pattern}");
        }
        assert_eq!(line(&Pattern::text("%v", true)), "a \"b\"\\nc");
    }

    #[test]
    fn an_object_is_json_whatever_the_message() {
        let fields = [("level".into(), "%l".into()), ("msg".into(), "%v!".into())];
        let line = line(&Pattern::json(&fields));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value, serde_json::json!({"level": "warning", "msg": "a \"b\"\nc!"}));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_779, (2026, 11, 22)),
        ] {
            assert_eq!(civil(days), date);
        }
    }
}
