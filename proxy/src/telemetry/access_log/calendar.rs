//! Dates of the Gregorian calendar, from seconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Seconds since 1970; negative before.
    pub(super) seconds: i64,
    /// Nanoseconds within the second.
    pub(super) nanos: u32,
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        // A clock before 1970 was never set: the second is good enough.
        let (sign, distance) = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => (1, after),
            Err(before) => (-1, before.duration()),
        };
        let seconds = i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
        Self { seconds: sign * seconds, nanos: distance.subsec_nanos() }
    }
}

/// A moment in UTC, given as seconds since 1970, as RFC 3339 writes it.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let Date { year, month, day, hour, minute, second, .. } = Date::at(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A date and the time of its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    /// Year; 0 is 1 BC.
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: u8,
    /// 1 to 31.
    pub(super) day: u8,
    /// 0 to 6, from Sunday.
    pub(super) weekday: u8,
    /// 0 to 365.
    pub(super) day_of_year: u16,
    /// 0 to 23.
    pub(super) hour: u8,
    /// 0 to 59.
    pub(super) minute: u8,
    /// 0 to 59.
    pub(super) second: u8,
}

const DAY: i64 = 86_400;
/// Days of 400 years, after which the calendar repeats itself.
const CYCLE: i64 = 146_097;
/// Days before each month of a year without a leap day.
const BEFORE: [u16; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

impl Date {
    /// The date at `seconds` since 1970 where clocks show UTC.
    pub(super) fn at(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY);
        let second = seconds.rem_euclid(DAY);
        // From a first of March on, leap days end a year, four years and a century.
        let shifted = days + 719_468;
        let cycle = shifted.div_euclid(CYCLE);
        let day = shifted.rem_euclid(CYCLE);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let from_march = day - (365 * year + year / 4 - year / 100);
        let month = (5 * from_march + 2) / 153;
        let day = from_march - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = 400 * cycle + year + i64::from(month <= 2);
        let month = small(month);
        let before = BEFORE.get(usize::from(month) - 1).copied().unwrap_or_default();
        let leap = u16::from(month > 2 && is_leap(year));
        Self {
            year,
            month,
            day: small(day),
            weekday: small((days + 4).rem_euclid(7)),
            day_of_year: before + leap + u16::from(small(day)) - 1,
            hour: small(second / 3_600),
            minute: small(second / 60 % 60),
            second: small(second % 60),
        }
    }

    /// Number of the week from 1 on, and the year that it belongs to. (ISO 8601)
    pub(super) fn iso_week(&self) -> (i64, u16) {
        // The week belongs to the year of its Thursday.
        let from_monday = (self.weekday + 6) % 7;
        let thursday = i64::from(self.day_of_year) - i64::from(from_monday) + 3;
        let length = |year| if is_leap(year) { 366 } else { 365 };
        let (year, thursday) = match thursday {
            ..0 => (self.year - 1, thursday + length(self.year - 1)),
            _ if thursday >= length(self.year) => (self.year + 1, thursday - length(self.year)),
            _ => (self.year, thursday),
        };
        (year, u16::from(small(thursday / 7 + 1)))
    }

    /// Number of the week, from 0 on, where weeks begin with the weekday `first`.
    pub(super) fn week(&self, first: u8) -> u16 {
        let since_first = (u16::from(self.weekday) + 7 - u16::from(first)) % 7;
        (self.day_of_year + 7 - since_first) / 7
    }
}

/// Seconds since 1970 at which the day begins in UTC.
pub(super) fn start_of_day(year: i64, day_of_year: i64) -> i64 {
    let years = year - 1;
    let leaps = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    (years * 365 + leaps - 719_162 + day_of_year) * DAY
}

pub(super) const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// A number that the calendar keeps small.
fn small(number: i64) -> u8 {
    u8::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        // date -u -d @SECONDS '+%Y %m %d %w %j %H %M %S  %G %V %U %W'
        let cases: [(i64, (_, _)); 9] = [
            (0, ((1970, 1, 1, 4, 0, 0, 0, 0), (1970, 1, 0, 0))),
            (951_782_399, ((2000, 2, 28, 1, 58, 23, 59, 59), (2000, 9, 9, 9))),
            (951_782_400, ((2000, 2, 29, 2, 59, 0, 0, 0), (2000, 9, 9, 9))),
            (978_307_199, ((2000, 12, 31, 0, 365, 23, 59, 59), (2000, 52, 53, 52))),
            (1_230_768_000, ((2009, 1, 1, 4, 0, 0, 0, 0), (2009, 1, 0, 0))),
            (1_262_304_000, ((2010, 1, 1, 5, 0, 0, 0, 0), (2009, 53, 0, 0))),
            (1_795_374_003, ((2026, 11, 22, 0, 325, 19, 0, 3), (2026, 47, 47, 46))),
            (-1, ((1969, 12, 31, 3, 364, 23, 59, 59), (1970, 1, 52, 52))),
            (-2_203_891_200, ((1900, 3, 1, 4, 59, 0, 0, 0), (1900, 9, 8, 9))),
        ];
        for (seconds, expected) in cases {
            let d = Date::at(seconds);
            let date =
                (d.year, d.month, d.day, d.weekday, d.day_of_year, d.hour, d.minute, d.second);
            let (year, week) = d.iso_week();
            assert_eq!((date, (year, week, d.week(0), d.week(1))), expected, "{seconds}");
        }
    }

    #[test]
    fn days_and_dates_fit_each_other() {
        for day in (-800_000..800_000).step_by(7) {
            let date = Date::at(day * DAY);
            assert_eq!(start_of_day(date.year, i64::from(date.day_of_year)), day * DAY);
        }
    }

    #[test]
    fn no_second_is_out_of_range() {
        for seconds in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
            let date = Date::at(seconds);
            assert!((1..=12).contains(&date.month) && (1..=31).contains(&date.day));
        }
        let before = UNIX_EPOCH - std::time::Duration::from_millis(1500);
        assert_eq!(Moment::from(before), Moment { seconds: -1, nanos: 500_000_000 });
    }
}
