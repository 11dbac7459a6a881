//! `%REQ(X?Y):Z%` and its like: header lines, the first of a name, or of another if there is none.

use outrigger_policy::head::{Headers, Name};

use super::{Operator, Row, Wrote, optional};
use crate::telemetry::access_log::Record;

/// Needs a formatter that the configuration names.
pub(super) const WITHOUT_QUERY: &str = "REQ_WITHOUT_QUERY";

pub(super) const ROWS: &[Row] = &[
    Row::required("REQ", |args| compile(args, Source::Request)).with_length(),
    Row::required("REQUEST_HEADER", |args| compile(args, Source::Request)).with_length(),
    Row::required("STREAM_INFO_REQ", |args| compile(args, Source::Request)).with_length(),
    Row::required(WITHOUT_QUERY, |args| compile(args, Source::RequestWithoutQuery)).with_length(),
    Row::required("RESP", |args| compile(args, Source::Response)).with_length(),
    Row::required("RESPONSE_HEADER", |args| compile(args, Source::Response)).with_length(),
    Row::required("TRAILER", |args| compile(args, Source::Trailers)).with_length(),
    Row::required("RESPONSE_TRAILER", |args| compile(args, Source::Trailers)).with_length(),
];

#[derive(Clone, Copy, Debug)]
enum Source {
    Request,
    RequestWithoutQuery,
    Response,
    Trailers,
}

#[derive(Debug)]
struct Header {
    source: Source,
    first: Field,
    second: Option<Field>,
}

/// A line, or what stands in the first line of a message.
#[derive(Debug)]
enum Field {
    Method,
    Authority,
    Path,
    Scheme,
    Status,
    Line(Name),
}

fn compile(args: &str, source: Source) -> Result<Box<dyn Operator>, String> {
    let (first, second) = match args.split_once('?') {
        Some((first, second)) => (first, second),
        None => (args, ""),
    };
    if second.contains('?') {
        return Err("has more than one alternative header".to_owned());
    }
    let first = Field::compile(first)?;
    let second = if second.is_empty() { None } else { Some(Field::compile(second)?) };
    Ok(Box::new(Header { source, first, second }))
}

impl Field {
    fn compile(name: &str) -> Result<Self, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            ":method" => Self::Method,
            ":authority" | "host" => Self::Authority,
            ":path" => Self::Path,
            ":scheme" => Self::Scheme,
            ":status" => Self::Status,
            name if name.is_empty() || Name::is_valid(name) => Self::Line(Name::new(name)),
            _ => return Err(format!("names no header by '{}'", name.escape_debug())),
        })
    }

    fn of_request<'a>(&self, record: &Record<'a>) -> Option<&'a [u8]> {
        let request = record.request?;
        match self {
            Self::Method => Some(request.method()),
            Self::Authority => request.authority(),
            Self::Path => Some(request.path()).filter(|path| !path.is_empty()),
            Self::Scheme => Some(request.scheme.as_str().as_bytes()),
            Self::Status => None,
            Self::Line(name) => line(&request.headers, name),
        }
    }

    fn of_response<'a>(&self, record: &Record<'a>) -> Option<&'a [u8]> {
        let response = record.response?;
        match self {
            Self::Status => Some(response.status_text()),
            Self::Authority => line(&response.headers, &Name::Known(outrigger_policy::head::Id::HOST)),
            Self::Method | Self::Path | Self::Scheme => None,
            Self::Line(name) => line(&response.headers, name),
        }
    }

    fn of_trailers<'a>(&self, record: &Record<'a>) -> Option<&'a [u8]> {
        let trailers = record.info.response_trailers.as_ref()?;
        match self {
            Self::Line(name) => line(trailers, name),
            _ => None,
        }
    }
}

fn line<'a>(headers: &'a Headers, name: &Name) -> Option<&'a [u8]> {
    match name {
        Name::Known(id) => headers.get(*id),
        Name::Custom(_) => headers.get_name(name),
    }
}

impl Operator for Header {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let find = |field: &Field| match self.source {
            Source::Request => field.of_request(record),
            Source::RequestWithoutQuery => field.of_request(record).map(without_query),
            Source::Response => field.of_response(record),
            Source::Trailers => field.of_trailers(record),
        };
        let value = find(&self.first);
        optional(out, value.or_else(|| self.second.as_ref().and_then(find)))
    }
}

/// What stands before the query string.
pub(super) fn without_query(path: &[u8]) -> &[u8] {
    memchr::memchr(b'?', path).and_then(|at| path.get(..at)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["x", ":path", ":nope", "X-A?x-b", "x?", "?x", "HOST"] {
            assert!(compile(good, Source::Request).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("a?b?c", "has more than one alternative header"),
            ("a b", "names no header by 'a b'"),
            ("a\u{1b}", "names no header by 'a\\u{1b}'"),
            ("a)b", "names no header by 'a)b'"),
        ] {
            assert_eq!(compile(bad, Source::Request).unwrap_err(), expected);
        }
    }
}
