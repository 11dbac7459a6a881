//! Stage: one request, one spelling, before any policy looks at it.
//!
//! Refuses what has no host or a path that cannot be normalised, rewrites path, authority and forwarding headers, and decides whether
//! the request is traced. (envoy: the first half of `ConnectionManagerImpl::ActiveStream::decodeHeaders`)

use std::task::{Context, Poll};

use outrigger_policy::head::{Id, Protocol, RequestHead};
use outrigger_policy::verdict::CauseCode;
use tower::{Layer, Service};

use super::local_reply::LocalReply;
use super::manager::{HttpConnectionManager, StripPort, Underscores};
use super::path::Normalized;
use crate::exchange::Exchange;
use crate::stage::{Pass, Stage};
use crate::telemetry::metrics::HttpStat;

/// Makes a [`Normalize`].
#[derive(Clone, Copy, Debug)]
pub struct NormalizeLayer;

/// The stage.
#[derive(Clone, Copy, Debug)]
pub struct Normalize<S> {
    next: S,
}

impl<S> Layer<S> for NormalizeLayer {
    type Service = Normalize<S>;

    fn layer(&self, next: S) -> Normalize<S> {
        Normalize { next }
    }
}

impl<S: Stage> Service<Box<Exchange>> for Normalize<S> {
    type Response = Box<Exchange>;
    type Error = std::convert::Infallible;
    type Future = Pass<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut exchange: Box<Exchange>) -> Self::Future {
        match normalize(&mut exchange) {
            Ok(()) => Pass::on(self.next.call(exchange)),
            Err(reply) => {
                reply.answer(&mut exchange);
                Pass::answered(exchange)
            }
        }
    }
}

fn normalize(exchange: &mut Exchange) -> Result<(), LocalReply> {
    let manager = exchange.manager.clone();
    let connection = exchange.info.connection.clone();
    let is_upgrade = is_upgrade(&exchange.request);
    let head = exchange.request_mut();
    head.headers.join_lines(is_single);
    if head.headers.has_token(Id::CONNECTION, "host") {
        // What belongs to the client's connection goes no further, and this request with it.
        exchange.closes_connection = true;
        return Err(refuse("missing_host_header"));
    }
    let head = exchange.request_mut();
    if head.authority().is_none() {
        let default = manager.http1.default_host.as_bytes();
        if head.protocol != Protocol::Http10 || default.is_empty() {
            exchange.closes_connection = true;
            return Err(refuse("missing_host_header"));
        }
        head.set_authority(default);
    }
    if let Err(reply) = normalize_path(&manager, exchange.request_mut()) {
        exchange.closes_connection |= reply.status == 400;
        return Err(reply);
    }
    let head = exchange.request_mut();
    normalize_authority(&manager, head, connection.local.port());
    check_underscores(&manager, head)?;
    let sender = manager.forwarding.apply(head, &connection, is_upgrade);
    if let Some(tracing) = manager.tracing {
        tracing.decide(&mut head.headers);
    }
    exchange.info.remote = sender.remote;
    exchange.is_internal = sender.is_internal;
    Ok(())
}

fn normalize_path(
    manager: &HttpConnectionManager,
    head: &mut RequestHead,
) -> Result<(), LocalReply> {
    let is_rooted = head.path().first().is_none_or(|first| *first == b'/');
    if !is_rooted {
        manager.stats.inc(HttpStat::downstream_rq_non_relative_path);
        return Err(LocalReply::new(404, "absolute_path_rejected").because(CauseCode::BadRequest));
    }
    if let Some(end) = memchr::memchr(b'#', head.path()) {
        if !manager.path_rules.strips_fragment {
            return Err(refuse("path_normalization_failed"));
        }
        let path = head.path().get(..end).unwrap_or_default().to_vec();
        head.set_path(&path);
    }
    let path = match manager.path_rules.apply(head.path()) {
        Normalized::Path(std::borrow::Cow::Borrowed(_)) => return Ok(()),
        Normalized::Path(std::borrow::Cow::Owned(path)) => path,
        // A call of gRPC cannot follow.
        Normalized::Redirect(_) if head.is_grpc() => {
            return Err(refuse("path_normalization_failed"));
        }
        Normalized::Redirect(path) => {
            head.set_path(&path);
            return Err(
                LocalReply::new(307, "path_normalization_failed").with_header(Id::LOCATION, path)
            );
        }
        Normalized::Refused => return Err(refuse("path_normalization_failed")),
    };
    head.set_path(&path);
    Ok(())
}

fn normalize_authority(manager: &HttpConnectionManager, head: &mut RequestHead, port: Option<u16>) {
    if manager.strip_port == StripPort::No && !manager.strip_trailing_dot {
        return;
    }
    let Some(authority) = head.authority() else { return };
    let (mut name, mut rest) = split_port(authority);
    let strips = match manager.strip_port {
        StripPort::No => false,
        StripPort::Matching => rest.strip_prefix(b":").and_then(parse_port) == port,
        StripPort::Any => true,
    };
    if strips {
        rest = b"";
    }
    if manager.strip_trailing_dot {
        name = name.strip_suffix(b".").unwrap_or(name);
    }
    let authority = [name, rest].concat();
    head.set_authority(&authority);
}

/// An authority as name and `:port`, which may be empty.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    let after_brackets = memchr::memrchr(b']', authority).map_or(0, |at| at + 1);
    let tail = authority.get(after_brackets..).unwrap_or_default();
    let colon = memchr::memchr(b':', tail).map_or(authority.len(), |at| after_brackets + at);
    authority.split_at_checked(colon).unwrap_or((authority, b""))
}

fn parse_port(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn check_underscores(
    manager: &HttpConnectionManager,
    head: &mut RequestHead,
) -> Result<(), LocalReply> {
    match manager.underscores {
        Underscores::Allow => Ok(()),
        Underscores::DropHeader => {
            head.headers.retain(|name, id, _| id.is_known() || !name.contains(&b'_'));
            Ok(())
        }
        Underscores::RejectRequest => {
            let found = head.headers.iter().any(|(name, _)| name.contains(&b'_'));
            if found { Err(refuse("http1.unexpected_underscore")) } else { Ok(()) }
        }
    }
}

/// Names whose repeated lines are one value, as Envoy keeps them. (envoy: `INLINE_REQ_HEADERS`)
const fn is_single(id: Id) -> bool {
    matches!(
        id,
        Id::ACCEPT
            | Id::ACCEPT_ENCODING
            | Id::ACCESS_CONTROL_REQUEST_HEADERS
            | Id::ACCESS_CONTROL_REQUEST_METHOD
            | Id::AUTHORIZATION
            | Id::CACHE_CONTROL
            | Id::CONTENT_ENCODING
            | Id::CONTENT_TYPE
            | Id::EXPECT
            | Id::GRPC_TIMEOUT
            | Id::ORIGIN
            | Id::REFERER
            | Id::USER_AGENT
            | Id::VIA
            | Id::X_CLIENT_TRACE_ID
            | Id::X_ENVOY_ATTEMPT_COUNT
            | Id::X_ENVOY_DECORATOR_OPERATION
            | Id::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER
            | Id::X_ENVOY_DOWNSTREAM_SERVICE_NODE
            | Id::X_ENVOY_EXTERNAL_ADDRESS
            | Id::X_ENVOY_ORIGINAL_HOST
            | Id::X_ENVOY_ORIGINAL_PATH
            | Id::X_FORWARDED_FOR
            | Id::X_FORWARDED_HOST
            | Id::X_FORWARDED_PORT
            | Id::X_FORWARDED_PROTO
            | Id::X_REQUEST_ID
    )
}

/// True for an HTTP/1.1 request that asks for another protocol. `h2c` is not offered: such a request is a plain one.
#[must_use]
pub fn is_upgrade(head: &RequestHead) -> bool {
    head.protocol == Protocol::Http11
        && head.headers.get(Id::UPGRADE).is_some_and(|v| !v.eq_ignore_ascii_case(b"h2c"))
        && head.headers.has_token(Id::CONNECTION, "upgrade")
}

fn refuse(details: &'static str) -> LocalReply {
    LocalReply::new(400, details).because(CauseCode::BadRequest)
}
