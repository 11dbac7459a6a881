//! What became of a stream: status, details, flags, and the cause in our words.

use outrigger_policy::verdict::ResponseFlag;

use super::{Operator, Row, Wrote, non_empty, number, plain, text};
use crate::telemetry::access_log::Record;

pub(super) const ROWS: &[Row] = &[
    Row::number("RESPONSE_CODE", |record, out| number(out, record.info.response_code)),
    Row::optional("RESPONSE_CODE_DETAILS", |args| {
        Ok(Box::new(Details { keeps_spaces: args == "ALLOW_WHITESPACES" }))
    }),
    Row::plain("CONNECTION_TERMINATION_DETAILS", |record, out| {
        non_empty(out, &record.info.termination_details)
    }),
    Row::plain("RESPONSE_FLAGS", |record, out| {
        joined(out, record.info.flags.iter().map(ResponseFlag::short))
    }),
    Row::plain("RESPONSE_FLAGS_LONG", |record, out| {
        joined(out, record.info.flags.iter().map(ResponseFlag::long))
    }),
    Row::plain("LOCAL_REPLY_BODY", |record, out| text(out, record.local_reply_body)),
    Row::plain("OUTRIGGER_CAUSE", |record, out| match &record.info.cause {
        Some(cause) => text(out, cause.to_string().as_bytes()),
        None => Wrote::Nothing,
    }),
    // Filters of Envoy's set these; none of ours does.
    Row::plain("CUSTOM_FLAGS", |_, out| text(out, b"")),
];

#[derive(Debug)]
struct Details {
    keeps_spaces: bool,
}

impl Operator for Details {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let start = out.len();
        let wrote = non_empty(out, &record.info.details);
        if !self.keeps_spaces {
            underscores(out, start);
        }
        wrote
    }
}

/// White space from `start` on becomes underscores.
pub(super) fn underscores(out: &mut [u8], start: usize) {
    for byte in out.iter_mut().skip(start).filter(|byte| byte.is_ascii_whitespace()) {
        *byte = b'_';
    }
}

/// A dash stands for no flag, in JSON too.
fn joined(out: &mut Vec<u8>, flags: impl Iterator<Item = &'static str>) -> Wrote {
    match super::list(out, flags) {
        Wrote::Nothing => plain(out, "-"),
        _ => Wrote::Plain,
    }
}
