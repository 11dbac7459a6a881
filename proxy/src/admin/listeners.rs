//! `/listeners`: where is listened. (envoy: admin.v3.Listeners)

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Endpoint, Reply, Request, Server};
use crate::net::Address;

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/listeners",
    is_post: false,
    help: "print listener info",
    parameters: &[("format", "File format to use; One of (text, json)")],
    reply,
};

fn reply(server: &Server, request: &Request) -> Reply {
    let active = server.control.borrow().listeners.active();
    if request.wants_json() {
        let status =
            |(listener, bound): &(std::sync::Arc<crate::listener::Listener>, Vec<Address>)| {
                let mut status = json!({ "name": &*listener.name });
                if let (Some(first), Some(status)) = (bound.first(), status.as_object_mut()) {
                    status.insert("local_address".into(), address(first));
                    let others: Vec<Value> = bound.iter().skip(1).map(address).collect();
                    if !others.is_empty() {
                        status.insert("additional_local_addresses".into(), others.into());
                    }
                }
                status
            };
        let statuses: Vec<Value> = active.iter().map(status).collect();
        return Reply::json(&if statuses.is_empty() {
            json!({})
        } else {
            json!({ "listener_statuses": statuses })
        });
    }
    let mut text = String::new();
    for (listener, bound) in &active {
        for address in bound {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}::{address}", listener.name);
        }
    }
    Reply::text(200, text)
}

/// An address as a message. (envoy: config.core.v3.Address)
pub(super) fn address(address: &Address) -> Value {
    match address {
        Address::Ip(socket) => json!({
            "socket_address": { "address": socket.ip().to_string(), "port_value": socket.port() }
        }),
        Address::Pipe(path) => json!({ "pipe": { "path": &**path } }),
    }
}
