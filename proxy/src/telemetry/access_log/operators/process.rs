//! The process: its host and its environment, each read once.

use std::ffi::OsString;
use std::sync::OnceLock;

use super::{Operator, Row, Wrote, non_empty, text};
use crate::telemetry::access_log::Record;

pub(super) const ROWS: &[Row] = &[
    Row::plain("HOSTNAME", |_, out| {
        static NAME: OnceLock<Box<str>> = OnceLock::new();
        non_empty(out, NAME.get_or_init(host_name))
    }),
    // What is not set is a dash, in JSON too.
    Row::required("ENVIRONMENT", |args| {
        let value = std::env::var_os(args).map(OsString::into_encoded_bytes);
        Ok(Box::new(Variable(value.unwrap_or_else(|| b"-".to_vec()).into())))
    })
    .with_length(),
];

#[derive(Debug)]
struct Variable(Box<[u8]>);

impl Operator for Variable {
    fn write(&self, _: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        text(out, &self.0)
    }
}

/// What gethostname(2) says.
fn host_name() -> Box<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().into()
}

#[cfg(test)]
mod tests {
    use crate::telemetry::access_log::testing::{Stream, write};

    #[test]
    fn the_environment_is_read() {
        let stream = Stream::default();
        assert_eq!(write("%ENVIRONMENT(CARGO_PKG_NAME)%", &stream), "outrigger");
        assert_eq!(write("%ENVIRONMENT(CARGO_PKG_NAME):3%", &stream), "out");
        assert_eq!(write("%ENVIRONMENT(OUTRIGGER_NOT_SET)%", &stream), "-");
        assert_eq!(write("%ENVIRONMENT(a=b)%", &stream), "-");
        assert_ne!(write("%HOSTNAME%", &stream), "");
    }
}
