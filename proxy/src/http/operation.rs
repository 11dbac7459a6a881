//! What a request is, as the two proxies around a call tell each other with `x-envoy-decorator-operation`: a client in the request,
//! a server in the response, unless the client has told. The header never reaches an application that both stand before.
//!
//! It names spans, which are not sent yet; the header goes both ways whether or not a request is traced.
//! (envoy: `ConnectionManagerImpl::ActiveStream::traceRequest`)

use std::rc::Rc;

use outrigger_policy::head::Id;

use super::route::Routing;
use crate::exchange::Exchange;

/// Which side of a call a connection manager serves; it follows the listener's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It stands before a server. (envoy: `OperationName::Ingress`)
    Server,
    /// It stands before clients. (envoy: `OperationName::Egress`)
    Client,
}

/// Of a request whose route is known.
pub(super) fn tell_upstream(exchange: &mut Exchange) {
    match exchange.manager.side {
        None => {}
        Some(Side::Client) => {
            let Exchange { routing, request, .. } = exchange;
            if let Some(operation) = of_route(routing) {
                Rc::make_mut(request).headers.set(Id::X_ENVOY_DECORATOR_OPERATION, operation);
            }
        }
        Some(Side::Server) => {
            let told = exchange.request.headers.get(Id::X_ENVOY_DECORATOR_OPERATION);
            exchange.tells_operation = told.is_none_or(<[u8]>::is_empty);
            if told.is_some() {
                exchange.request_mut().headers.remove(Id::X_ENVOY_DECORATOR_OPERATION);
            }
        }
    }
}

/// Of a response that goes to the client, an upstream's or our own.
pub(crate) fn tell_downstream(exchange: &mut Exchange) {
    match exchange.manager.side {
        None => {}
        Some(Side::Client) => {
            exchange.response.headers.remove(Id::X_ENVOY_DECORATOR_OPERATION);
        }
        Some(Side::Server) => {
            if exchange.tells_operation
                && let Some(operation) = of_route(&exchange.routing)
            {
                exchange.response.headers.set(Id::X_ENVOY_DECORATOR_OPERATION, operation);
            }
        }
    }
}

fn of_route(routing: &Routing) -> Option<&[u8]> {
    match routing {
        Routing::Pinned(pinned) => pinned.entry().operation.as_deref(),
        _ => None,
    }
}
