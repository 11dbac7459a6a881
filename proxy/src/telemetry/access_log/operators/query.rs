//! `%QUERY_PARAM(X):Z%` and `%QUERY_PARAMS(ORIG|DECODED):Z%`: the query string, and one parameter of it.

use super::{Operator, Row, Wrote, optional};
use crate::telemetry::access_log::Record;

pub(super) const ROWS: &[Row] = &[
    Row::required("QUERY_PARAM", |args| Ok(Box::new(Parameter(args.into())))).with_length(),
    Row::optional("QUERY_PARAMS", |args| match args {
        "" | "ORIG" => Ok(Box::new(Query { is_decoded: false })),
        "DECODED" => Ok(Box::new(Query { is_decoded: true })),
        other => Err(format!("takes ORIG or DECODED, not '{other}'")),
    })
    .with_length(),
];

/// The first parameter of this name; both are percent-decoded, a plus sign is one.
#[derive(Debug)]
struct Parameter(Box<str>);

impl Operator for Parameter {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let Some(query) = record.request.and_then(|request| request.query()) else {
            return Wrote::Nothing;
        };
        let start = out.len();
        for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            decode(parts.next().unwrap_or_default(), out, |_| true, false);
            let is_named = out.get(start..) == Some(self.0.as_bytes());
            out.truncate(start);
            if is_named {
                decode(parts.next().unwrap_or_default(), out, |_| true, false);
                return Wrote::Text;
            }
        }
        Wrote::Nothing
    }
}

#[derive(Debug)]
struct Query {
    is_decoded: bool,
}

impl Operator for Query {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let query = record.request.and_then(|request| request.query());
        if !self.is_decoded {
            return optional(out, query);
        }
        let Some(query) = query else { return Wrote::Nothing };
        // Only what may stand in a URL as it is; and, as in Envoy, of a broken triplet the percent sign is lost.
        let is_url = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^{|}".contains(&byte);
        decode(query, out, is_url, true);
        Wrote::Text
    }
}

/// Appends `text` with its percent-encoded bytes decoded, if they are `wanted`.
fn decode(text: &[u8], out: &mut Vec<u8>, wanted: impl Fn(u8) -> bool, drops_broken: bool) {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let Some((digits, after)) = after.split_first_chunk::<2>() else {
            out.push(byte);
            continue;
        };
        match hex(digits) {
            Some(decoded) if wanted(decoded) => {
                out.push(decoded);
                rest = after;
            }
            None if drops_broken => {}
            _ => out.push(byte),
        }
    }
}

fn hex(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? << 4 | low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::testing::{request, write};

    #[test]
    fn queries_are_read_as_envoy_does() {
        // Recorded from Envoy 1.40: query, %QUERY_PARAM(a)%, %QUERY_PARAMS(DECODED)%.
        for (query, parameter, decoded) in [
            ("?a=%41%2f%25%22%5c%3d%26", "A/%\"\\=&", "a=A/%%22%5c=&"),
            ("?a", "", "a"),
            ("?=x&a=", "", "=x&a="),
            ("?a=1&a=2", "1", "a=1&a=2"),
            ("?&&a=5", "5", "&&a=5"),
            ("?A=6", "-", "A=6"),
            ("?a%41=x&%61=y", "y", "aA=x&a=y"),
            ("?a=b=c", "b=c", "a=b=c"),
            ("?a=1%20x&b=&e=%41%zz", "1 x", "a=1%20x&b=&e=Azz"),
            ("?a=%", "%", "a=%"),
            ("?a=%4", "%4", "a=%4"),
            ("?a=%4z", "%4z", "a=4z"),
            ("?a=%%41", "%A", "a=A"),
            ("?a=1+2", "1+2", "a=1+2"),
            ("?a=%z%41", "%zA", "a=zA"),
            ("?a=%c3%a9", "\u{e9}", "a=%c3%a9"),
            // Envoy writes the line break.
            ("?a=%0a", "\\x0a", "a=%0a"),
            ("", "-", "-"),
        ] {
            let request = request("GET", &format!("/p{query}"), &[]);
            assert_eq!(write("%QUERY_PARAM(a)%", &request), parameter, "{query}");
            assert_eq!(write("%QUERY_PARAMS(DECODED)%", &request), decoded, "{query}");
            let original = query.strip_prefix('?').unwrap_or("-");
            assert_eq!(write("%QUERY_PARAMS%", &request), original);
        }
        assert!(ROWS[1].name == "QUERY_PARAMS");
    }

    #[test]
    fn only_bytes_that_urls_hold_are_decoded() {
        let kept = |byte: u8| {
            let mut out = Vec::new();
            let text = format!("%{byte:02x}");
            let is_url = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^{|}".contains(&byte);
            decode(text.as_bytes(), &mut out, is_url, true);
            out == text.as_bytes()
        };
        let decoded: Vec<u8> = (0..=255).filter(|byte| !kept(*byte)).collect();
        assert_eq!(
            String::from_utf8(decoded).unwrap(),
            "!#$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_`abcdefghijklmnopqrstuvwxyz~"
        );
    }
}
