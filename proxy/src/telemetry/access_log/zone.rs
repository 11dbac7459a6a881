//! The host's time zone, for `%START_TIME_LOCAL%`: read once from the compiled zones that every system has.
//! (RFC 9636; POSIX.1-2017 §8.3, TZ)

use std::sync::OnceLock;

use super::calendar::{Date, is_leap, start_of_day};

/// A time zone.
#[derive(Debug)]
pub(super) struct Zone {
    /// From when on a type of local time holds, in order.
    transitions: Vec<(i64, usize)>,
    types: Vec<Local>,
    /// What holds after the last transition.
    rule: Option<Rule>,
}

/// What clocks show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// Seconds east of UTC.
    pub(super) offset: i32,
    /// Its name, as `CET`.
    pub(super) name: Box<str>,
}

/// Local time that changes twice a year, or never.
#[derive(Debug)]
struct Rule {
    standard: Local,
    summer: Option<(Local, Change, Change)>,
}

/// A day of any year, and the second of it, by the clocks that it ends.
#[derive(Clone, Copy, Debug)]
struct Change {
    day: Day,
    second: i64,
}

#[derive(Clone, Copy, Debug)]
enum Day {
    /// From 1, never the leap day.
    Julian(i64),
    /// From 0.
    OfYear(i64),
    /// Month, week of it (5 is the last), weekday.
    OfMonth(i64, i64, i64),
}

impl Zone {
    /// Coordinated universal time.
    pub(super) fn utc() -> &'static Self {
        static UTC: OnceLock<Zone> = OnceLock::new();
        UTC.get_or_init(Self::new_utc)
    }

    fn new_utc() -> Self {
        let utc = Local { offset: 0, name: "UTC".into() };
        Self { transitions: Vec::new(), types: vec![utc], rule: None }
    }

    /// The host's, or that of the variable `TZ`; UTC if there is none that can be read.
    pub(super) fn local() -> &'static Self {
        static LOCAL: OnceLock<Zone> = OnceLock::new();
        LOCAL.get_or_init(|| {
            let name = std::env::var("TZ").unwrap_or_default();
            let path = match name.trim_start_matches(':') {
                "" => "/etc/localtime".to_owned(),
                name if name.starts_with('/') => name.to_owned(),
                name => format!("/usr/share/zoneinfo/{name}"),
            };
            let read = std::fs::read(path).ok().and_then(|bytes| Self::parse(&bytes));
            read.unwrap_or_else(Self::new_utc)
        })
    }

    /// What clocks show at `seconds` since 1970.
    pub(super) fn at(&self, seconds: i64) -> Local {
        let next = self.transitions.partition_point(|(from, _)| *from <= seconds);
        let is_last = next == self.transitions.len();
        if let Some(rule) = self.rule.as_ref().filter(|_| is_last) {
            return rule.at(seconds);
        }
        let held = next.checked_sub(1).and_then(|last| self.transitions.get(last));
        let found = self.types.get(held.map_or(0, |(_, index)| *index));
        found.cloned().unwrap_or_else(|| Local { offset: 0, name: "UTC".into() })
    }

    /// A file of version 2 or later: a block with short times, which is passed over, one with long times, and a rule.
    fn parse(file: &[u8]) -> Option<Self> {
        let (short, rest) = Counts::read(file)?;
        let (long, rest) = Counts::read(rest.get(short.bytes(4)..)?)?;
        let (times, rest) = rest.split_at_checked(long.times * 8)?;
        let (indices, rest) = rest.split_at_checked(long.times)?;
        let (types, rest) = rest.split_at_checked(long.types * 6)?;
        let (names, rest) = rest.split_at_checked(long.chars)?;
        let footer = rest.get(long.leaps * 12 + long.standards + long.universals..)?;
        let name = |at: u8| {
            let name = names.get(usize::from(at)..)?.split(|byte| *byte == 0).next()?;
            std::str::from_utf8(name).ok()
        };
        let local = |bytes: &[u8; 6]| {
            let [a, b, c, d, _, at] = *bytes;
            let offset = i32::from_be_bytes([a, b, c, d]);
            Some(Local { offset, name: name(at)?.into() }).filter(|_| offset.abs() < 200_000)
        };
        let time = |bytes: &[u8; 8]| i64::from_be_bytes(*bytes);
        let times = times.as_chunks().0.iter().map(time);
        let rule = std::str::from_utf8(footer).ok()?.trim_matches('\n');
        Some(Self {
            transitions: times.zip(indices.iter().map(|index| usize::from(*index))).collect(),
            types: types.as_chunks().0.iter().map(local).collect::<Option<_>>()?,
            rule: if rule.is_empty() { None } else { Some(Rule::parse(rule)?) },
        })
    }
}

/// How many of each thing a block holds.
struct Counts {
    universals: usize,
    standards: usize,
    leaps: usize,
    times: usize,
    types: usize,
    chars: usize,
}

impl Counts {
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.split_at_checked(44)?;
        let counts = header.strip_prefix(b"TZif")?.get(16..)?.as_chunks::<4>().0;
        let mut counts = counts.iter().map(|count| {
            usize::from(u16::try_from(u32::from_be_bytes(*count)).unwrap_or(u16::MAX))
        });
        let mut next = || counts.next();
        let (universals, standards, leaps) = (next()?, next()?, next()?);
        let (times, types, chars) = (next()?, next()?, next()?);
        Some((Self { universals, standards, leaps, times, types, chars }, rest))
    }

    const fn bytes(&self, time: usize) -> usize {
        self.times * (time + 1)
            + self.types * 6
            + self.chars
            + self.leaps * (time + 4)
            + self.standards
            + self.universals
    }
}

impl Rule {
    /// `CET-1CEST,M3.5.0,M10.5.0/3`
    fn parse(text: &str) -> Option<Self> {
        let (standard, rest) = name(text)?;
        let (offset, rest) = time(rest)?;
        let standard = Local { offset: i32::try_from(-offset).ok()?, name: standard.into() };
        if rest.is_empty() {
            return Some(Self { standard, summer: None });
        }
        let (summer, rest) = name(rest)?;
        let (offset, rest) = match rest.strip_prefix(',') {
            Some(rest) => (i64::from(standard.offset) + 3_600, rest),
            None => {
                let (offset, rest) = time(rest)?;
                (-offset, rest.strip_prefix(',')?)
            }
        };
        let (start, end) = rest.split_once(',')?;
        let summer = Local { offset: i32::try_from(offset).ok()?, name: summer.into() };
        Some(Self { standard, summer: Some((summer, Change::parse(start)?, Change::parse(end)?)) })
    }

    fn at(&self, seconds: i64) -> Local {
        let Some((summer, start, end)) = &self.summer else { return self.standard.clone() };
        let standard = i64::from(self.standard.offset);
        let year = Date::at(seconds.saturating_add(standard)).year;
        let start = start.of(year) - standard;
        let end = end.of(year) - i64::from(summer.offset);
        let is_summer = match start < end {
            true => (start..end).contains(&seconds),
            false => !(end..start).contains(&seconds),
        };
        if is_summer { summer.clone() } else { self.standard.clone() }
    }
}

impl Change {
    /// `M10.5.0/3`, `J60`, `59/1:30`
    fn parse(text: &str) -> Option<Self> {
        let (day, second) = match text.split_once('/') {
            Some((day, at)) => (day, time(at)?.0),
            None => (text, 7_200),
        };
        let within = |text: &str, range: std::ops::RangeInclusive<i64>| {
            text.parse().ok().filter(|number| range.contains(number))
        };
        let day = if let Some(rest) = day.strip_prefix('M') {
            let (month, rest) = rest.split_once('.')?;
            let (week, weekday) = rest.split_once('.')?;
            Day::OfMonth(within(month, 1..=12)?, within(week, 1..=5)?, within(weekday, 0..=6)?)
        } else if let Some(day) = day.strip_prefix('J') {
            Day::Julian(within(day, 1..=365)?)
        } else {
            Day::OfYear(within(day, 0..=365)?)
        };
        Some(Self { day, second })
    }

    /// Seconds since 1970, as if its clocks showed UTC.
    fn of(self, year: i64) -> i64 {
        let day = match self.day {
            Day::Julian(day) => day - 1 + i64::from(is_leap(year) && day >= 60),
            Day::OfYear(day) => day,
            Day::OfMonth(month, week, weekday) => {
                let day_of = |month| (0..366).find(|day| starts(year, *day, month)).unwrap_or(365);
                let first = day_of(month);
                let length = if month == 12 { 31 } else { day_of(month + 1) - first };
                let begins = i64::from(Date::at(start_of_day(year, first)).weekday);
                let day = (weekday - begins).rem_euclid(7) + 7 * (week - 1);
                first + if day < length { day } else { day - 7 }
            }
        };
        start_of_day(year, day) + self.second
    }
}

/// True if the day of the year is the first of the month.
fn starts(year: i64, day: i64, month: i64) -> bool {
    let date = Date::at(start_of_day(year, day));
    date.day == 1 && i64::from(date.month) == month
}

/// `CET` or `<+03>`.
fn name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>');
    }
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(name, _)| !name.is_empty())
}

/// `-1`, `5:30`, `26:00:00`: in seconds.
fn time(text: &str) -> Option<(i64, &str)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(text.len());
    let (time, rest) = text.split_at_checked(end)?;
    let mut seconds = 0;
    let mut unit = 3_600;
    for part in time.split(':') {
        let number: u8 = part.parse().ok()?;
        seconds += i64::from(number) * unit;
        unit /= 60;
    }
    Some((sign * seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_change_clocks_when_they_should() {
        // TZ=… date -d @SECONDS '+%z %Z'
        for (rule, seconds, offset, name) in [
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_745_999, 3_600, "CET"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_746_000, 7_200, "CEST"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_792_889_999, 7_200, "CEST"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_792_890_000, 3_600, "CET"),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_795_374_206, 39_600, "AEDT"),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_783_000_000, 36_000, "AEST"),
            ("EST5EDT,M3.2.0,M11.1.0", 1_795_374_206, -18_000, "EST"),
            ("<+0330>-3:30", 1_795_374_206, 12_600, "+0330"),
            ("XXX3EDT4,J60/1,J300", 1_795_374_206, -10_800, "XXX"),
            ("UTC0", 0, 0, "UTC"),
        ] {
            let expected = Local { offset, name: name.into() };
            assert_eq!(Rule::parse(rule).unwrap().at(seconds), expected, "{rule} {seconds}");
        }
        for bad in
            ["", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "C-999"]
        {
            assert!(Rule::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn files_are_read() {
        // One transition, at second 100, from LMT to STD; then a rule.
        let block = |wide: bool| {
            let mut bytes = b"TZif2".to_vec();
            bytes.extend([0; 15]);
            for count in [0_u32, 0, 0, 1, 2, 8] {
                bytes.extend(count.to_be_bytes());
            }
            match wide {
                true => bytes.extend(100_i64.to_be_bytes()),
                false => bytes.extend(100_i32.to_be_bytes()),
            }
            bytes.push(1);
            bytes.extend([0, 0, 0, 60, 0, 0]);
            bytes.extend([0, 0, 0, 120, 0, 4]);
            bytes.extend(b"LMT\0STD\0");
            bytes
        };
        let file = [block(false), block(true), b"\nSTD-0:03\n".to_vec()].concat();
        let zone = Zone::parse(&file).unwrap();
        assert_eq!(zone.at(99), Local { offset: 60, name: "LMT".into() });
        assert_eq!(zone.at(100), Local { offset: 180, name: "STD".into() });
        for end in 0..file.len() - b"STD-0:03\n".len() {
            let cut = file.get(..end).unwrap();
            assert!(Zone::parse(cut).is_none_or(|zone| zone.rule.is_none()), "{end}");
        }
    }
}
