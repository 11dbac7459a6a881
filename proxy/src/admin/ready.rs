//! `/ready`: whether the process serves.

use super::{Endpoint, Reply, Request, Server};
use crate::lifecycle::ServerState;

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/ready",
    is_post: false,
    help: "print server state, return 200 if LIVE, otherwise return 503",
    parameters: &[],
    reply,
};

fn reply(server: &Server, _: &Request) -> Reply {
    let state = server.control.borrow().lifecycle.state();
    let status = if state == ServerState::Live { 200 } else { 503 };
    Reply::text(status, format!("{}\n", state.as_str()))
}
