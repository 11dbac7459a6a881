//! Streams for tests, and what formats make of them.

use std::rc::Rc;

use outrigger_policy::head::{Protocol, RequestHead, ResponseHead};
use tokio::time::Instant;

use super::{Format, JsonFormat, LogType, Node, Options, Record};
use crate::listener::Connection;
use crate::net::Address;
use crate::telemetry::StreamInfo;

/// A stream as its log sees it.
pub(super) struct Stream {
    pub(super) request: Option<RequestHead>,
    pub(super) response: Option<ResponseHead>,
    pub(super) info: StreamInfo,
    pub(super) log_type: LogType,
}

pub(super) fn connection() -> Connection {
    let address = |text: &str| Address::Ip(text.parse().unwrap());
    Connection {
        id: 7,
        start: Instant::now(),
        direct_remote: address("10.0.0.9:40000"),
        remote: address("10.0.0.9:40000"),
        local: address("10.0.0.1:80"),
        direct_local: address("10.0.0.1:15006"),
        is_restored: true,
        handshake_end: None,
        listener: "listener".into(),
        filter_chain: "chain".into(),
        server_name: None,
        tls: None,
        requests: std::cell::Cell::new(0),
    }
}

impl Default for Stream {
    /// A connection that was relayed.
    fn default() -> Self {
        Self::on(connection())
    }
}

impl Stream {
    pub(super) fn on(connection: Connection) -> Self {
        let info = StreamInfo::new(Rc::new(connection), None);
        Self { request: None, response: None, info, log_type: LogType::TcpConnectionEnd }
    }

    pub(super) fn with_server_name(name: &str) -> Self {
        Self::on(Connection { server_name: Some(name.into()), ..connection() })
    }

    pub(super) fn record(&self) -> Record<'_> {
        Record {
            request: self.request.as_ref(),
            response: self.response.as_ref(),
            info: &self.info,
            log_type: self.log_type,
            has_tracing: true,
            local_reply_body: b"",
        }
    }
}

/// A request to `h.com:81`.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Stream {
    let mut head = RequestHead::new(method.as_bytes(), b"h.com:81", path.as_bytes());
    for (name, value) in headers {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    let mut stream =
        Stream { request: Some(head), log_type: LogType::DownstreamEnd, ..Stream::default() };
    stream.info.protocol = Some(Protocol::Http11);
    stream
}

/// A request of this content type, and its response.
pub(super) fn respond(status: u16, content_type: &str, headers: &[(&str, &str)]) -> Stream {
    let mut stream = request("POST", "/", &[("content-type", content_type)]);
    let mut head = ResponseHead::new(status);
    for (name, value) in headers {
        head.headers.append(name.as_bytes(), value.as_bytes());
    }
    stream.response = Some(head);
    stream.info.response_code = status;
    stream
}

pub(super) fn write(format: &str, stream: &Stream) -> String {
    write_bytes(format, Options::default(), stream)
}

pub(super) fn write_bytes(format: &str, options: Options, stream: &Stream) -> String {
    let mut out = Vec::new();
    Format::compile_with(format, options).unwrap().write(&mut out, &stream.record());
    String::from_utf8(out).unwrap()
}

/// What a member of a JSON line becomes.
pub(super) fn write_json(format: &str, stream: &Stream) -> String {
    let node = Node::text(format, Options::default()).unwrap();
    let mut out = Vec::new();
    JsonFormat::new(vec![("k".to_owned(), node)], false).write(&mut out, &stream.record());
    let line = String::from_utf8(out).unwrap();
    line.strip_prefix("{\"k\":").and_then(|rest| rest.strip_suffix("}\n")).unwrap().to_owned()
}

/// What is wrong with a format, without its place.
pub(super) fn compile_error(format: &str) -> String {
    let error = Format::compile(format).unwrap_err();
    assert_eq!((error.position, error.command.as_str()), (0, format));
    error.reason
}
