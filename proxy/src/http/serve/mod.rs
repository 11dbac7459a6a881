//! The downstream edge: takes requests from a codec, runs the stack, writes responses.
//!
//! Called with a connection whose filter chain ends in an HTTP connection manager. One task per HTTP/1 connection, one per HTTP/2
//! connection and one per HTTP/2 stream; a panic ends that task and nothing else.

mod finalize;
mod http1;
mod http2;
mod run;

use std::rc::Rc;
use std::sync::Arc;

use outrigger_policy::head::RequestHead;

use super::HttpConnectionManager;
use super::manager::Codec;
use super::progress::Progress;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::listener::{Connection, HttpChain};
use crate::net::{Io, Sniffed};
use crate::telemetry::{self, StreamInfo};

/// Serves HTTP on a connection until it ends.
pub async fn serve(mut io: Io, connection: Rc<Connection>, chain: &HttpChain) {
    let manager = chain.manager();
    let codec = match (manager.codec, connection.tls.as_ref().and_then(|tls| tls.alpn.as_deref())) {
        (Codec::Http1, _) => Codec::Http1,
        (Codec::Http2, _) | (Codec::Auto, Some("h2")) => Codec::Http2,
        (Codec::Auto, Some(alpn)) if alpn.starts_with("http/1") => Codec::Http1,
        (Codec::Auto, _) => Codec::Auto,
    };
    let (seen, is_http2) = match codec {
        Codec::Http1 => (Vec::new(), false),
        Codec::Http2 | Codec::Auto => {
            match Sniffed::read(&mut io, manager.timeouts.connection_idle).await {
                // Whoever does not speak HTTP/2 is told nothing in it.
                Some(Sniffed { is_http2: false, .. }) if codec == Codec::Http2 => {
                    chain.count_protocol_error();
                    return;
                }
                Some(Sniffed { seen, is_http2 }) => (seen, is_http2),
                None => return,
            }
        }
    };
    if is_http2 {
        http2::serve(io, seen, connection, chain).await;
    } else {
        http1::serve(io, seen, connection, chain).await;
    }
}

/// An exchange that begins.
fn begin(
    manager: Arc<HttpConnectionManager>,
    connection: Rc<Connection>,
    head: RequestHead,
    body: Body,
    progress: Rc<Progress>,
) -> Box<Exchange> {
    let info = StreamInfo::new(connection, Some(head.protocol));
    if body.is_end() {
        progress.on_request_end();
    }
    let exchange = Box::new(Exchange::new(manager, head, body, progress, info));
    telemetry::open(&exchange);
    exchange
}
