//! `/runtime`: runtime values, and which layer sets them.

use serde_json::{Map, Value, json};

use super::{Endpoint, Reply, Request, Server};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/runtime",
    is_post: false,
    help: "print runtime values",
    parameters: &[],
    reply,
};

fn reply(server: &Server, _: &Request) -> Reply {
    let environment = server.control.borrow().environment.clone();
    let runtime = &environment.runtime;
    let entries: Map<String, Value> = runtime
        .entries()
        .map(|(key, layers)| {
            let last = layers.iter().rev().flatten().next().copied().unwrap_or_default();
            let layers: Vec<&str> = layers.iter().map(|value| value.unwrap_or_default()).collect();
            (key.to_owned(), json!({ "layer_values": layers, "final_value": last }))
        })
        .collect();
    Reply::json(&json!({ "layers": runtime.layers(), "entries": entries }))
}
