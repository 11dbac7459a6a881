//! The connection and the route: names, protocol, server name.

use std::io::Write;

use outrigger_policy::head::Id;

use super::{Operator, Row, Wrote, non_empty, number, optional, plain, text};
use crate::http::request_id;
use crate::telemetry::access_log::{LogType, Record};

pub(super) const ROWS: &[Row] = &[
    Row::plain("PROTOCOL", |record, out| match record.info.protocol {
        Some(protocol) => plain(out, protocol.as_str()),
        None => Wrote::Nothing,
    }),
    Row::number("CONNECTION_ID", |record, out| number(out, record.info.connection.id)),
    Row::plain("LISTENER_NAME", |record, out| non_empty(out, &record.info.connection.listener)),
    Row::plain("FILTER_CHAIN_NAME", |record, out| {
        non_empty(out, &record.info.connection.filter_chain)
    }),
    Row::plain("ROUTE_NAME", |record, out| non_empty(out, &record.info.route_name)),
    Row::optional("REQUESTED_SERVER_NAME", compile_server_name),
    Row::plain("STREAM_ID", |record, out| match record.request {
        Some(request) => {
            optional(out, request.headers.get(Id::X_REQUEST_ID).filter(|id| !id.is_empty()))
        }
        None if record.info.protocol.is_some() => Wrote::Nothing,
        None => text(out, record.info.stream_id.get_or_init(|| request_id::random().into())),
    }),
    Row::plain("UNIQUE_ID", |_, out| text(out, &request_id::random())),
    Row::plain("ACCESS_LOG_TYPE", |record, out| {
        text(out, match record.log_type {
            LogType::NotSet => b"NotSet",
            LogType::DownstreamEnd => b"DownstreamEnd",
            LogType::TcpConnectionEnd => b"TcpConnectionEnd",
        })
    }),
    // No span is made, so no request has an id of one.
    Row::plain("TRACE_ID", |_, _| Wrote::Nothing),
    Row::plain("SPAN_ID", |_, _| Wrote::Nothing),
];

#[derive(Debug)]
struct ServerName {
    order: Order,
    host: Host,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    SniOnly,
    SniFirst,
    HostFirst,
}

#[derive(Clone, Copy, Debug)]
enum Host {
    Current,
    Original,
    OriginalOrCurrent,
}

fn compile_server_name(args: &str) -> Result<Box<dyn Operator>, String> {
    let mut args = args.split(':');
    let order = match args.next().unwrap_or_default() {
        "SNI_ONLY" | "" => Order::SniOnly,
        "SNI_FIRST" => Order::SniFirst,
        "HOST_FIRST" => Order::HostFirst,
        other => return Err(format!("takes SNI_ONLY, SNI_FIRST or HOST_FIRST, not '{other}'")),
    };
    let host = match args.next().unwrap_or_default() {
        "ORIG_OR_HOST" | "" => Host::OriginalOrCurrent,
        "HOST" => Host::Current,
        "ORIG" => Host::Original,
        other => return Err(format!("takes ORIG_OR_HOST, HOST or ORIG, not '{other}'")),
    };
    Ok(Box::new(ServerName { order, host }))
}

impl Operator for ServerName {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        match self.order {
            Order::SniOnly => sni(record, out),
            Order::SniFirst => match sni(record, out) {
                Wrote::Nothing => self.host(record, out),
                wrote => wrote,
            },
            Order::HostFirst => match self.host(record, out) {
                Wrote::Nothing => sni(record, out),
                wrote => wrote,
            },
        }
    }
}

impl ServerName {
    fn host(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let Some(request) = record.request else { return Wrote::Nothing };
        let original = request.headers.get(Id::X_ENVOY_ORIGINAL_HOST);
        optional(out, match self.host {
            Host::Current => request.authority(),
            Host::Original => original,
            Host::OriginalOrCurrent => original.or_else(|| request.authority()),
        })
    }
}

/// The client's SNI. One that is no host name is marked, and what makes it none is replaced.
/// (envoy: `StringUtil::sanitizeInvalidHostname`; CVE-2024-45808)
fn sni(record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
    let Some(name) = record.info.connection.server_name.as_deref() else {
        return Wrote::Nothing;
    };
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.bytes().all(is_of_name) {
        return non_empty(out, name);
    }
    drop(write!(out, "invalid:"));
    out.extend(name.bytes().map(|byte| if is_of_name(byte) { byte } else { b'_' }));
    Wrote::Text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access_log::testing::{Stream, write};

    #[test]
    fn a_server_name_that_is_none_is_marked() {
        // Recorded from Envoy 1.40, but for the last two, which it refuses in the handshake.
        for (sni, expected) in [
            ("abc.def-", "abc.def-"),
            ("outbound_.80_._.x.svc", "outbound_.80_._.x.svc"),
            ("a*b", "invalid:a_b"),
            ("a_b*c~:80", "invalid:a_b_c__80"),
            ("caf\u{e9}.com", "invalid:caf__.com"),
            ("x\ny\"z\u{1b}[1m", "invalid:x_y_z__1m"),
            ("\",\"admin\":\"true", "invalid:___admin___true"),
        ] {
            let stream = Stream::with_server_name(sni);
            assert_eq!(write("%REQUESTED_SERVER_NAME%", &stream), expected);
        }
    }

    #[test]
    fn arguments_are_checked() {
        for good in ["", "SNI_FIRST", "HOST_FIRST:ORIG", ":ORIG", "SNI_FIRST:ORIG:X"] {
            assert!(compile_server_name(good).is_ok(), "{good}");
        }
        assert!(compile_server_name("X").unwrap_err().contains("not 'X'"));
        assert!(compile_server_name("SNI_ONLY:FOO").unwrap_err().contains("not 'FOO'"));
    }
}
