//! `%GRPC_STATUS(CAMEL_STRING|SNAKE_STRING|NUMBER)%`: of gRPC requests, from the trailers, the head or the HTTP status.

use outrigger_policy::head::{Headers, Id, RequestHead, integer};

use super::{Operator, Row, Wrote, number, text};
use crate::http::local_reply::grpc_status;
use crate::telemetry::access_log::Record;

pub(super) const ROWS: &[Row] = &[
    Row::optional("GRPC_STATUS", |args| {
        Ok(Box::new(match args {
            "" | "CAMEL_STRING" => Form::Camel,
            "SNAKE_STRING" => Form::Snake,
            "NUMBER" => Form::Number,
            other => {
                return Err(format!("takes CAMEL_STRING, SNAKE_STRING or NUMBER, not '{other}'"));
            }
        }))
    }),
    Row::number("GRPC_STATUS_NUMBER", |record, out| Form::Number.write(record, out)),
];

/// The status of what cannot be read as one.
const INVALID: i64 = -1;

#[derive(Clone, Copy, Debug)]
enum Form {
    Camel,
    Snake,
    Number,
}

/// Names of the statuses from 0 on, in both spellings. (gRPC: doc/statuscodes.md)
const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

impl Operator for Form {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        if !record.request.is_some_and(RequestHead::is_grpc) {
            return Wrote::Nothing;
        }
        let status = status_of(record);
        let names = usize::try_from(status).ok().and_then(|status| NAMES.get(status));
        match (self, names) {
            (Self::Camel, Some((camel, _))) => text(out, camel.as_bytes()),
            (Self::Snake, Some((_, snake))) => text(out, snake.as_bytes()),
            (Self::Number, _) => number(out, status),
            (Self::Camel | Self::Snake, None) => {
                number(out, status);
                Wrote::Text
            }
        }
    }
}

/// The gRPC status of a stream, be it gRPC or not. (envoy: `Grpc::Common::getGrpcStatus`)
pub(in crate::telemetry::access_log) fn status_of(record: &Record<'_>) -> i64 {
    let trailers = record.info.response_trailers.as_ref().and_then(told);
    let head = || record.response.and_then(|response| told(&response.headers));
    trailers.or_else(head).unwrap_or_else(|| grpc_status(record.info.response_code).into())
}

fn told(headers: &Headers) -> Option<i64> {
    let value = headers.get(Id::GRPC_STATUS).filter(|value| !value.is_empty())?;
    Some(integer(value).and_then(|status| i64::try_from(status).ok()).unwrap_or(INVALID))
}

#[cfg(test)]
mod tests {
    use crate::telemetry::access_log::testing::{respond, write};

    #[test]
    fn a_status_has_the_names_that_envoy_gives_it() {
        // Recorded from Envoy 1.40: grpc-status, %GRPC_STATUS%, (SNAKE_STRING), _NUMBER.
        for (value, camel, snake, number) in [
            ("0", "OK", "OK", "0"),
            ("1", "Canceled", "CANCELLED", "1"),
            ("16", "Unauthenticated", "UNAUTHENTICATED", "16"),
            ("17", "17", "17", "17"),
            ("99", "99", "99", "99"),
            ("x", "-1", "-1", "-1"),
            ("-1", "-1", "-1", "-1"),
            ("", "Unknown", "UNKNOWN", "2"),
            ("18446744073709551616", "-1", "-1", "-1"),
            (" 5", "NotFound", "NOT_FOUND", "5"),
            ("+5", "NotFound", "NOT_FOUND", "5"),
        ] {
            let stream = respond(200, "application/grpc", &[("grpc-status", value)]);
            assert_eq!(write("%GRPC_STATUS%", &stream), camel, "{value}");
            assert_eq!(write("%GRPC_STATUS(SNAKE_STRING)%", &stream), snake, "{value}");
            assert_eq!(write("%GRPC_STATUS_NUMBER%", &stream), number, "{value}");
        }
        let stream = respond(503, "application/grpc", &[]);
        assert_eq!(write("%GRPC_STATUS(NUMBER)%", &stream), "14");
        let stream = respond(200, "text/plain", &[("grpc-status", "0")]);
        assert_eq!(write("%GRPC_STATUS%", &stream), "-");
    }
}
