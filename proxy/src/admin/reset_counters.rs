//! `/reset_counters`: lets all counters begin at zero again.

use super::{Endpoint, Reply, Request, Server};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/reset_counters",
    is_post: true,
    help: "reset all counters to zero",
    parameters: &[],
    reply,
};

fn reply(server: &Server, _: &Request) -> Reply {
    server.control.borrow().environment.registry.reset_counters();
    Reply::ok()
}
