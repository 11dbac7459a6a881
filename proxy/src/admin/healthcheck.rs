//! `/healthcheck/fail` and `/healthcheck/ok`: takes the process out of traffic and back. While it is out, clients are told to leave.

use super::{Endpoint, Reply, Request, Server};

pub(super) const FAIL: Endpoint = Endpoint {
    path: "/healthcheck/fail",
    is_post: true,
    help: "cause the server to fail health checks",
    parameters: &[],
    reply: |server, request| set(server, request, true),
};

pub(super) const OK: Endpoint = Endpoint {
    path: "/healthcheck/ok",
    is_post: true,
    help: "cause the server to pass health checks",
    parameters: &[],
    reply: |server, request| set(server, request, false),
};

fn set(server: &Server, _: &Request, failed: bool) -> Reply {
    let control = server.control.borrow();
    control.lifecycle.set_failed(failed);
    control.listeners.set_failed(failed);
    Reply::ok()
}
