//! `%START_TIME(FORMAT)%` and its like: when the stream began, and when its line is written, in UTC or as the host's clocks show it.

use std::time::SystemTime;

use super::{Operator, Row, Wrote};
use crate::telemetry::access_log::Record;
use crate::telemetry::access_log::calendar::Moment;
use crate::telemetry::access_log::strftime::{TimeFormat, write_default};
use crate::telemetry::access_log::zone::Zone;

pub(super) const ROWS: &[Row] = &[
    Row::optional("START_TIME", |args| utc(args, Which::Start)),
    Row::optional("START_TIME_LOCAL", |args| local(args, Which::Start)),
    Row::optional("EMIT_TIME", |args| utc(args, Which::Emit)),
    Row::optional("EMIT_TIME_LOCAL", |args| local(args, Which::Emit)),
];

/// The form of a local time without a format.
const LOCAL: &str = "%Y-%m-%dT%H:%M:%E3S%z";

#[derive(Clone, Copy, Debug)]
enum Which {
    Start,
    Emit,
}

impl Which {
    fn of(self, record: &Record<'_>) -> Moment {
        match self {
            Self::Start => record.info.start_time.into(),
            Self::Emit => SystemTime::now().into(),
        }
    }
}

/// `2026-11-22T19:00:03.103Z`
#[derive(Debug)]
struct Default(Which);

#[derive(Debug)]
struct Formatted {
    which: Which,
    format: TimeFormat,
    zone: &'static Zone,
}

fn utc(format: &str, which: Which) -> Result<Box<dyn Operator>, String> {
    if format.is_empty() {
        return Ok(Box::new(Default(which)));
    }
    let format = TimeFormat::compile(format)?;
    Ok(Box::new(Formatted { which, format, zone: Zone::utc() }))
}

fn local(format: &str, which: Which) -> Result<Box<dyn Operator>, String> {
    let format = TimeFormat::compile(if format.is_empty() { LOCAL } else { format })?;
    Ok(Box::new(Formatted { which, format, zone: Zone::local() }))
}

impl Operator for Default {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        write_default(self.0.of(record), out);
        Wrote::Plain
    }
}

impl Operator for Formatted {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        self.format.write(self.which.of(record), self.zone, out);
        Wrote::Text
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use crate::telemetry::access_log::testing::{Stream, compile_error, write};

    #[test]
    fn times_have_envoys_forms() {
        // Recorded from Envoy 1.40 with TZ=UTC.
        let mut stream = Stream::default();
        stream.info.start_time = UNIX_EPOCH + Duration::new(1_795_374_003, 103_154_000);
        for (format, expected) in [
            ("%START_TIME%", "2026-11-22T19:00:03.103Z"),
            ("%START_TIME()%", "2026-11-22T19:00:03.103Z"),
            ("%START_TIME(%s.%3f|%f|%1f)%", "1795374003.103|103154000|1"),
            ("%START_TIME_LOCAL(%s)%", "1795374003"),
        ] {
            assert_eq!(write(format, &stream), expected, "{format}");
        }
        assert_ne!(write("%EMIT_TIME(%s)%", &stream), "1795374003");
        assert_eq!(write("%EMIT_TIME%", &stream).len(), 24);
        assert_eq!(write("%EMIT_TIME_LOCAL%", &stream).len(), 28);
    }

    #[test]
    fn formats_are_checked() {
        assert_eq!(compile_error("%START_TIME(%Q)%"), "knows no time conversion '%Q'");
        assert_eq!(compile_error("%START_TIME:3%"), "takes no length");
    }
}
