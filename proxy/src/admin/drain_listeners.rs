//! `/drain_listeners`: tells clients to leave, and stops accepting: at once, after the drain time (`graceful`), or never (`skip_exit`). Asking again
//! changes nothing.

use std::rc::Rc;

use super::{Endpoint, Reply, Request, Server};
use crate::listener::drain::Phase;

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/drain_listeners",
    is_post: true,
    help: "drain listeners",
    parameters: &[
        (
            "graceful",
            "go on accepting through the drain time (--drain-time-s) while clients are told to leave",
        ),
        ("skip_exit", "never stop accepting; graceful has no effect then"),
        ("inboundonly", "only listeners whose traffic_direction is INBOUND"),
    ],
    reply,
};

fn reply(server: &Server, request: &Request) -> Reply {
    let inbound_only = request.has("inboundonly");
    server.control.borrow().drain(Phase::Draining, inbound_only);
    if request.has("skip_exit") {
        return Reply::ok();
    }
    if request.has("graceful") {
        let control = Rc::downgrade(&server.control);
        let time = server.options.drain_time();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(time).await;
            if let Some(control) = control.upgrade() {
                control.borrow_mut().listeners.stop(inbound_only);
            }
        });
    } else {
        server.control.borrow_mut().listeners.stop(inbound_only);
    }
    Reply::ok()
}
