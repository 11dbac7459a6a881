//! `%PATH(WQ|NQ:PATH|ORIG|ORIG_OR_PATH):Z%`: the request's path, with or without its query string, as it is or as it came.

use outrigger_policy::head::Id;

use super::header::without_query;
use super::{Operator, Row, Wrote, optional};
use crate::telemetry::access_log::Record;

pub(super) const ROWS: &[Row] = &[Row::optional("PATH", compile).with_length()];

#[derive(Debug)]
struct Path {
    has_query: bool,
    which: Which,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    /// As it went on, or would have.
    Current,
    /// As it came, if it was rewritten.
    Original,
    /// As it came.
    OriginalOrCurrent,
}

fn compile(args: &str) -> Result<Box<dyn Operator>, String> {
    let mut args = args.split(':');
    let has_query = match args.next().unwrap_or_default() {
        "WQ" | "" => true,
        "NQ" => false,
        other => return Err(format!("takes WQ or NQ, not '{other}'")),
    };
    let which = match args.next().unwrap_or_default() {
        "ORIG_OR_PATH" | "" => Which::OriginalOrCurrent,
        "ORIG" => Which::Original,
        "PATH" => Which::Current,
        other => return Err(format!("takes PATH, ORIG or ORIG_OR_PATH, not '{other}'")),
    };
    Ok(Box::new(Path { has_query, which }))
}

impl Operator for Path {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let Some(request) = record.request else { return Wrote::Nothing };
        let original = || request.headers.get(Id::X_ENVOY_ORIGINAL_PATH);
        let current = || Some(request.path()).filter(|path| !path.is_empty());
        let path = match self.which {
            Which::Current => current(),
            Which::Original => original(),
            Which::OriginalOrCurrent => original().or_else(current),
        };
        optional(out, if self.has_query { path } else { path.map(without_query) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        for good in ["", "WQ", "NQ", ":ORIG", "WQ:", "NQ:PATH", "WQ:ORIG_OR_PATH", "WQ:ORIG:X"] {
            assert!(compile(good).is_ok(), "{good}");
        }
        assert_eq!(compile("FOO").unwrap_err(), "takes WQ or NQ, not 'FOO'");
        let error = compile("WQ:X").unwrap_err();
        assert_eq!(error, "takes PATH, ORIG or ORIG_OR_PATH, not 'X'");
    }
}
